"""Handwritten digits, without sound and without a corpus: the 1,797 images of 8x8 pixels of scikit-learn."""

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
import torch
import torch.nn.functional as F
from pydantic import Field
from sklearn.datasets import load_digits
from torch import Tensor, nn

from trainables.corpora.corpus import Corpus
from trainables.corpora.splits import Split
from trainables.trainable import Metric, Trainable, TrialConfig

PLACES: dict[Split, slice] = {"train": slice(1200), "validation": slice(1200, 1500), "test": slice(1500, None)}
"""In the order of the file: the first images are for training, the last ones for the test."""


def read_digits(split: Split) -> tuple[Tensor, Tensor]:
    """Return the images of a split, of shape (images, 1, 8, 8) in [0, 1], and their digits."""
    digits = load_digits()
    images = torch.from_numpy(digits.images[PLACES[split]]).float() / 16
    return images[:, None], torch.from_numpy(digits.target[PLACES[split]])


def make_network(kind: str, width: int) -> nn.Sequential:
    """Return a network from images of shape (images, 1, 8, 8) to logits of shape (images, 10)."""
    if kind == "convolutional":
        layers = [
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * width, 10),
        ]
    elif kind == "dense":
        layers = [nn.Flatten(), nn.Linear(64, 4 * width), nn.ReLU(), nn.Linear(4 * width, 10)]
    else:
        layers = [nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*layers)


class Digits(Trainable):
    """A classifier of handwritten digits."""

    class Config(TrialConfig):
        network: Literal["linear", "dense", "convolutional"] = Field("dense", description="what classifies the images")
        width: int = Field(16, ge=1, description="maps of the convolution, or a quarter of the hidden units")
        lr: float = Field(1e-3, gt=0, description="learning rate of Adam")
        weight_decay: float = Field(0.0, ge=0, description="weight decay of Adam")

    METRICS = {
        "train/loss": Metric("min", "all", "cross-entropy of the training split in nats, mean over the epoch"),
        "val/loss": Metric("min", "all", "cross-entropy of the validation split in nats"),
        "val/accuracy": Metric("max", "all", "fraction of validation images whose digit is found"),
        "val/kiloparams": Metric("min", "all", "thousands of weights"),
    }

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.device = device
        self.network = make_network(config.network, config.width).to(device)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), config.lr, weight_decay=config.weight_decay)
        self.images, self.digits = (tensor.to(device) for tensor in read_digits("train"))

    def step(self) -> dict[str, float]:
        """Train one epoch, and return its metrics."""
        losses = []
        for batch in torch.randperm(len(self.images)).to(self.device).split(32):
            loss = F.cross_entropy(self.network(self.images[batch]), self.digits[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        validation = self.evaluate("validation")
        return {
            "train/loss": sum(losses) / len(losses),
            "val/loss": float(validation["loss"].mean()),
            "val/accuracy": float(validation["accuracy"].mean()),
            "val/kiloparams": sum(weights.numel() for weights in self.network.parameters()) / 1000,
        }

    @torch.no_grad()
    def evaluate(self, split: Split) -> pd.DataFrame:
        """Return a row for each image of a split."""
        images, digits = (tensor.to(self.device) for tensor in read_digits(split))
        logits = self.network(images)
        return pd.DataFrame(
            {
                "recording": [f"image {index}" for index in range(len(images))],
                "class": [str(digit) for digit in digits.tolist()],
                "accuracy": (logits.argmax(dim=1) == digits).double().cpu().numpy(),
                "loss": F.cross_entropy(logits, digits, reduction="none").double().cpu().numpy(),
            }
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

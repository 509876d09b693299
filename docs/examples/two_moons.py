"""A problem without sound and without a corpus: a network separates two half-moons of points that numpy draws."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from trainables.corpora.corpus import Corpus
from trainables.corpora.splits import Split
from trainables.trainable import Metric, Trainable, TrialConfig

POINTS = {"train": 200, "validation": 500, "test": 500}
SEED_OF_SPLIT = {"train": 1, "validation": 2, "test": 3}
ACTIVATIONS = {"linear": nn.Identity, "relu": nn.ReLU, "tanh": nn.Tanh}


def draw_points(split: Split, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the points of a split, of shape (points, 2), and the moon of each, 0 or 1.

    The seed is that of the split, not that of the trial: every trial sees the same points.
    """
    rng = np.random.default_rng(SEED_OF_SPLIT[split])
    moons = np.arange(POINTS[split]) % 2
    angles = np.pi * rng.random(POINTS[split])
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.where(moons[:, None] == 0, upper, [1, 0.5] - upper) + noise * rng.standard_normal((len(moons), 2))
    return torch.from_numpy(points).float(), torch.from_numpy(moons)


class TwoMoons(Trainable):
    class Config(TrialConfig):
        activation: Literal["linear", "relu", "tanh"] = Field("relu", description="what follows the hidden layer")
        width: int = Field(16, ge=1, description="hidden units")
        lr: float = Field(1e-2, gt=0, description="learning rate of Adam")
        noise: float = Field(0.2, ge=0, description="standard deviation of the points around their moon")

    METRICS = {
        "train/loss": Metric("min", "all", "cross-entropy of the training split in nats"),
        "val/loss": Metric("min", "all", "cross-entropy of the validation split in nats"),
        "val/accuracy": Metric("max", "all", "fraction of validation points whose moon is found"),
    }

    # `corpus` is None, because the search space has no `corpus:`.
    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config = config
        self.device = device
        hidden = [nn.Linear(2, config.width), ACTIVATIONS[config.activation]()]
        # The orchestrator has seeded torch with `seed` before it calls this.
        self.network = nn.Sequential(*hidden, nn.Linear(config.width, 2)).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr)

    def step(self) -> dict[str, float]:
        points, moons = self._points("train")
        for batch in torch.randperm(len(points)).split(10):
            loss = F.cross_entropy(self.network(points[batch]), moons[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        train, validation = self.evaluate("train"), self.evaluate("validation")
        return {
            "train/loss": float(train["loss"].mean()),
            "val/loss": float(validation["loss"].mean()),
            "val/accuracy": float(validation["accuracy"].mean()),
        }

    @torch.no_grad()
    def evaluate(self, split: Split) -> pd.DataFrame:
        """Return a row a point; the columns of numbers become metrics of the test split, `test/accuracy` for one."""
        points, moons = self._points(split)
        logits = self.network(points)
        return pd.DataFrame(
            {
                "recording": [f"point {index}" for index in range(len(points))],
                "class": [f"moon {moon}" for moon in moons.tolist()],
                "accuracy": (logits.argmax(dim=1) == moons).cpu().double().numpy(),
                "loss": F.cross_entropy(logits, moons, reduction="none").cpu().double().numpy(),
            }
        )

    def _points(self, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
        points, moons = draw_points(split, self.config.noise)
        return points.to(self.device), moons.to(self.device)

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

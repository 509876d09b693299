"""A network of your own: two layers that find the class of a clip in its spectrogram."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.corpora.corpus import Corpus, require_corpus
from trainables.trainable import Metric, Trainable, TrialConfig

SPECTROGRAM = Feature(Grid("24x64"))


class MyNet(Trainable):
    class Config(TrialConfig):
        width: int = Field(64, ge=1, description="hidden units")
        lr: float = Field(1e-3, gt=0, description="learning rate of Adam")

    METRICS = {
        "val/accuracy": Metric("max", "all", "fraction of validation clips whose class is found"),
        "val/loss": Metric("min", "all", "cross-entropy of the validation split in nats"),
    }

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config = config
        corpus = require_corpus(corpus, MyNet)
        features = corpus.features(SPECTROGRAM)
        self.clips, self.labels = {}, {}
        for split in ("train", "validation"):
            indices = corpus.indices(split)
            self.clips[split] = torch.from_numpy(features[indices]).float().flatten(1).to(device)
            self.labels[split] = torch.from_numpy(corpus.labels(indices)).to(device)
        pixels = features[0].size
        layers = nn.Linear(pixels, config.width), nn.ReLU(), nn.Linear(config.width, len(corpus.classes))
        self.network = nn.Sequential(nn.BatchNorm1d(pixels), *layers).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr)

    def step(self) -> dict[str, float]:
        self.network.train()
        for batch in torch.randperm(len(self.labels["train"])).split(16):
            loss = F.cross_entropy(self.network(self.clips["train"][batch]), self.labels["train"][batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        self.network.eval()
        with torch.no_grad():
            logits = self.network(self.clips["validation"])
        hits = logits.argmax(dim=1) == self.labels["validation"]
        loss = F.cross_entropy(logits, self.labels["validation"])
        return {"val/accuracy": hits.float().mean().item(), "val/loss": loss.item()}

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

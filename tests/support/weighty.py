"""A trainable whose epochs take the time of so many matrix products, and whose checkpoint has so many bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field

from trainables.corpora.corpus import Corpus
from trainables.trainable import Metric, Trainable, TrialConfig

SIDE = 512
FLOAT_BYTES = 4


class Weighty(Trainable):
    """Multiplies matrices."""

    class Config(TrialConfig):
        products: int = Field(1, ge=0, description="products in an epoch")
        weight_bytes: int = Field(0, ge=0, description="the size of the checkpoint")

    METRICS = {"val/score": Metric("max", "all", "the epoch")}

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config = config
        self.epoch = 0
        self.weights = torch.randn(config.weight_bytes // FLOAT_BYTES)

    def step(self) -> dict[str, float]:
        self.epoch += 1
        matrix = torch.eye(SIDE)
        for _ in range(self.config.products):
            matrix = matrix @ matrix
        self.weights += 1
        return {"val/score": float(self.epoch)}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.weights = state["epoch"], state["weights"]

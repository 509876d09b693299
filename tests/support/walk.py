"""A trainable whose epochs depend on all random numbers before, and last as long as a trial says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field

from trainables.corpora.corpus import Corpus
from trainables.trainable import Metric, Trainable, TrialConfig


class Walk(Trainable):
    """Walks by a random step an epoch."""

    class Config(TrialConfig):
        epoch_s: float = Field(0.0, ge=0, description="how long an epoch takes, in seconds")
        signalled_at: int = Field(0, ge=0, description="the epoch at whose begin it sends its process SIGTERM")

    METRICS = {"val/score": Metric("max", "all", "where it is")}

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config = config
        self.epoch = 0
        self.place_now = torch.zeros(1000)

    def step(self) -> dict[str, float]:
        self.epoch += 1
        if self.epoch == self.config.signalled_at:
            os.kill(os.getpid(), signal.SIGTERM)
        self.place_now = self.place_now + torch.randn(1000)
        time.sleep(self.config.epoch_s)
        return {"val/score": float(self.place_now.square().mean())}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "place": self.place_now}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.place_now = state["epoch"], state["place"]

"""A trainable that does nothing, so that what is left is the cost of the machinery around it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from trainables.corpora.corpus import Corpus
from trainables.trainable import Metric, Trainable, TrialConfig

NUM_METRICS = 16


class Noop(Trainable):
    """Reports sixteen metrics an epoch; the first is best where `x` is 0.3."""

    class Config(TrialConfig):
        x: float = Field(0.0, ge=0, le=1, description="where the trial is")
        arm: str = Field("a", description="something to compare")
        epoch_s: float = Field(0.0, ge=0, description="how long an epoch takes, in seconds")

    METRICS = {
        "val/score": Metric("max", "all", "best at x = 0.3"),
        "val/error": Metric("min", "all", "its opposite"),
    }

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config = config
        self.epoch = 0

    def step(self) -> dict[str, float]:
        self.epoch += 1
        time.sleep(self.config.epoch_s)
        score = 1 - abs(self.config.x - 0.3) - 0.5**self.epoch
        rest = {f"train/metric_{index}": score * index for index in range(2, NUM_METRICS)}
        return {"val/score": score, "val/error": -score} | rest

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch = state["epoch"]

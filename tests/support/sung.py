"""A trainable whose trained model is rendered in several ways; what each of them scores is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from trainables.corpora.corpus import Corpus
from trainables.corpora.splits import Split
from trainables.trainable import SPLIT_METRICS, Media, Metric, Trainable, TrialConfig

LEVELS = {"soft": 0.25, "loud": 0.5}


class Sung(Trainable):
    """Scores its epoch in training and, rendered, that times the level of its voice."""

    class Config(TrialConfig):
        pitch: str = Field("low", description="something to compare")
        voice: Literal["soft", "loud"] = Field("soft", description="how it is rendered")

        @model_validator(mode="after")
        def _check(self) -> Sung.Config:
            if self.pitch == "shrill" and self.voice == "loud":
                raise ValueError("nobody can bear voice: loud with pitch: shrill")
            return self

    METRICS = {"val/score": Metric("max", "all", "the epoch"), "val/silence": Metric("max", "all", "of the mute")}
    RENDERING = frozenset({"voice"})

    def __init__(self, config: Config, corpus: Corpus | None, *, device: str, seed: int) -> None:
        self.config = config
        self.epoch = 0

    @classmethod
    def reported(cls, config: Config) -> list[str]:
        return ["val/silence" if config.pitch == "mute" else "val/score"]

    def step(self) -> dict[str, float]:
        self.epoch += 1
        return {"val/score": float(self.epoch)}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch = state["epoch"]

    def render(self, probes: NDArray[np.int64]) -> Media:
        return Media(audio={"a_1_reconstruction": np.full(100, LEVELS[self.config.voice], np.float32)})

    def evaluate(self, split: Split) -> pd.DataFrame:
        scores = self.epoch * LEVELS[self.config.voice] * np.array([0.5, 1.5])
        table = pd.DataFrame({"recording": ["a", "b"], "class": ["x", "x"], "score": scores})
        table.attrs[SPLIT_METRICS] = {"range": scores.max() - scores.min()}
        return table

"""A judge of sounds whose answers follow from a sound's spectral centroid, and ones that answer wrongly."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from trainables.components.judges.plugin import JUDGES, AddedJudge, Answer, JudgeSettings

EDGES_HZ = {"low hum": (0, 450), "siren": (450, 2500), "hiss": (2500, 8000)}
"""The centroids of the tiny corpus's classes."""


class KnownSettings(JudgeSettings):
    fault: str = Field("none", description="what is wrong with its answers")


@JUDGES.register("known_ear")
class KnownEar(AddedJudge):
    Settings = KnownSettings
    rate_hz = 16_000
    knows_classes = True

    def __init__(self, settings: KnownSettings, classes: Sequence[str]) -> None:
        super().__init__(settings, classes)
        self.knows_classes = settings.classes is None and settings.fault != "embeddings only"

    def answer(self, clips: np.ndarray) -> Answer:
        power = np.abs(np.fft.rfft(clips, axis=1)) ** 2
        frequencies_hz = np.fft.rfftfreq(clips.shape[1], 1 / self.rate_hz)
        centroid_hz = (power @ frequencies_hz) / power.sum(axis=1).clip(min=1e-9)
        scores = np.full((len(clips), len(self.classes)), 0.05)
        for label, name in enumerate(self.classes):
            low_hz, high_hz = EDGES_HZ[name]
            scores[(centroid_hz >= low_hz) & (centroid_hz < high_hz), label] = 0.9
        embeddings = np.stack([np.log(centroid_hz + 1), clips.std(axis=1), clips.max(axis=1)], axis=1)
        match self.settings.fault:
            case "nan":
                embeddings[0] = np.nan
            case "classes":
                scores = scores[:, 1:]
            case "slow":
                time.sleep(30)
            case "deaf":
                scores[:] = 1
            case "error":
                raise ZeroDivisionError("no clip")
            case "clips":
                embeddings = embeddings[1:]
        return Answer(embeddings.astype(np.float32), scores.astype(np.float32))

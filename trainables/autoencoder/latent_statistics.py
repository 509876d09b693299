"""The latents of training clips: their distribution, and a regression from latents to clips' statistics."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch

from trainables.components.representation.normalization import Statistics
from trainables.components.representation.normalizer import RidgeRegression
from trainables.components.representation.representation import ClipSplit
from trainables.components.shapes import Clips, Latents

MAX_CLIPS = 2048
"""Training clips that are encoded at most."""
BATCH_CLIPS = 256


class TrainLatents:
    """The latents and the statistics of a fixed random sample of training clips."""

    def __init__(self, train: ClipSplit, encode: Callable[[Clips], tuple[Latents, Statistics]]) -> None:
        """Encode the sample.

        Args:
            train: the training clips.
            encode: returns the mean of the latents of clips, and the statistics that invert their normalization.
        """
        positions = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:MAX_CLIPS]
        pairs = [encode(train.batch(part)) for part in positions.split(BATCH_CLIPS)]
        self._latents = torch.cat([latents for latents, _ in pairs])
        self._statistics = torch.cat([statistics for _, statistics in pairs])

    @cached_property
    def predict(self) -> RidgeRegression:
        """A ridge regression from latents to the statistics of their clips."""
        return RidgeRegression.fit(self._latents, self._statistics)

    def draw(self, count: int) -> Latents:
        """Draw latents from a Gaussian with the sample's mean and covariance; the same ones in every call.

        A sum of the sample's deviations with Gaussian weights has its covariance, and no matrix has to be factorized.
        """
        mean = self._latents.mean(dim=0)
        weights = torch.randn(count, len(self._latents), generator=torch.Generator().manual_seed(1))
        drawn: Latents = mean + weights.to(mean.device) @ (self._latents - mean) / len(self._latents) ** 0.5
        return drawn

"""What the latents of training clips tell: how latents are distributed, and what they say of a clip's statistics."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.representation.normalizations import Clips, Statistics
from trainables.components.representation.normalizer import RidgeRegression
from trainables.components.representation.representation import ClipSplit

MAX_CLIPS = 2048
BATCH_CLIPS = 256

Latents = Float[Tensor, "clips latents"]


class KnownLatents:
    """The latents of a sample of training clips, which is always the same."""

    def __init__(self, train: ClipSplit, encode: Callable[[Clips], tuple[Latents, Statistics]]) -> None:
        positions = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:MAX_CLIPS]
        pairs = [encode(train.batch(part)) for part in positions.split(BATCH_CLIPS)]
        self._latents = torch.cat([latents for latents, _ in pairs])
        self._statistics = torch.cat([statistics for _, statistics in pairs])

    @cached_property
    def predict(self) -> RidgeRegression:
        """Clips' statistics from their latents."""
        return RidgeRegression(self._latents, self._statistics)

    def draw(self, count: int) -> Latents:
        """From a Gaussian that has their mean and covariance: random mixtures of what they deviate by."""
        mean = self._latents.mean(dim=0)
        weights = torch.randn(count, len(self._latents), generator=torch.Generator().manual_seed(1))
        drawn: Latents = mean + weights.to(mean.device) @ (self._latents - mean) / len(self._latents) ** 0.5
        return drawn

"""Metrics that mean the same for every trial: taken on one grid, in log-power nats or dB, or by the judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio.spectrogram import DB_PER_NAT, Size

COMMON_SIZE: Size = "48x128"
"""The grid on which trials of every size are compared."""

Batch = Float[Tensor, "clips frames bins"]
Clips = Float[Tensor, "clips *map"]
PerClip = Float[Tensor, " clips"]


@dataclass
class FractionUnexplained:
    """FVU = Σ(x − x̂)² / Σ(x − x̄)², x̄ being each clip's own mean: 0 is perfect, 1 as good as a constant.

    Gathered batch by batch: it is a ratio of sums, not a mean of ratios.
    """

    error: float = 0.0
    total: float = 0.0

    def add(self, estimate: Clips, target: Clips) -> None:
        error, total = squared_errors(estimate, target)
        self.error += float(error.sum())
        self.total += float(total.sum())

    @property
    def value(self) -> float:
        return self.error / self.total


class Variation:
    """Variance between clips of the estimates as a part of that of the targets, both averaged over pixels.

    0 when every clip is made into the same thing. Gathered batch by batch.
    """

    def __init__(self) -> None:
        self._count = 0
        self._sums: list[Tensor] = []

    def add(self, estimate: Clips, target: Clips) -> None:
        # In double precision, since the variance is a small difference of large sums.
        batches = (estimate.double(), target.double())
        sums = [part for batch in batches for part in (batch.sum(dim=0), batch.square().sum(dim=0))]
        self._sums = [before + new for before, new in zip(self._sums, sums, strict=True)] if self._sums else sums
        self._count += len(target)

    @property
    def value(self) -> float:
        means = [total / self._count for total in self._sums]
        estimates, targets = (float((square - mean.square()).mean()) for mean, square in (means[:2], means[2:]))
        return estimates / targets


def squared_errors(estimate: Clips, target: Clips) -> tuple[PerClip, PerClip]:
    """Each clip's Σ(x − x̂)² and Σ(x − x̄)²."""
    estimate, target = estimate.flatten(1), target.flatten(1)
    error = (estimate - target).square().sum(dim=1)
    total = (target - target.mean(dim=1, keepdim=True)).square().sum(dim=1)
    return error, total


def lsd_db(estimate: Batch, target: Batch) -> PerClip:
    """Log-spectral distance in dB: over bins the root mean square, over frames the mean, of log-power in nats."""
    return DB_PER_NAT * (estimate - target).square().mean(dim=2).sqrt().mean(dim=1)


@dataclass(frozen=True)
class Hearing:
    """What a judge hears, averaged within each recording; the unit of every test is the recording.

    Attributes:
        probability: of the true class, a value a recording.
        is_right: whether the true class is the most probable one, by the mean over the recording's clips.
    """

    recordings: NDArray[Any]
    probability: NDArray[np.float64]
    is_right: NDArray[np.bool_]

    @property
    def mean_probability(self) -> float:
        return float(self.probability.mean())

    @property
    def accuracy(self) -> float:
        return float(self.is_right.mean())


def hearing(
    probabilities: Float[Tensor, "clips classes"], labels: NDArray[np.int64], recordings: NDArray[Any]
) -> Hearing:
    """Average a judge's probabilities within recordings, given the class and the recording of each clip."""
    names, first, of_clip = np.unique(recordings, return_index=True, return_inverse=True)
    means = by_recording(probabilities.double().cpu().numpy(), of_clip)
    truth = labels[first]
    return Hearing(names, means[np.arange(len(names)), truth], means.argmax(axis=1) == truth)


def by_recording(values: NDArray[np.float64], of_clip: NDArray[np.intp]) -> NDArray[np.float64]:
    """Means over the clips of each recording, given each clip's recording as a number; shape (recordings, columns)."""
    counts = np.bincount(of_clip)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, of_clip, values)
    return sums / counts[:, None]

"""Metrics that are comparable between all trials: errors of log-power on one common grid, and scores of the judge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio.sizes import Size
from trainables.components.audio.spectrogram import DB_PER_NAT
from trainables.components.shapes import PerClip, Spectrograms

COMMON_SIZE: Size = "48x128"
"""The grid on which trials of every size are compared."""
ROUNDING = 1e-12
"""A variance that is a smaller share of the mean square is due to rounding in double precision: nothing varies."""

Clips = Float[Tensor, "clips *map"]


@dataclass
class FractionUnexplained:
    """The fraction of variance unexplained, FVU = Σ(x − x̂)² / Σ(x − x̄)², where x̄ is the mean of each clip.

    0 is perfect; 1 is as good as a constant. It is a ratio of sums over all batches, not a mean of ratios.

    Attributes:
        error: the numerator so far.
        total: the denominator so far.
    """

    error: float = 0.0
    total: float = 0.0

    def add(self, estimate: Clips, target: Clips) -> None:
        """Add a batch."""
        error, total = squared_errors(estimate, target)
        self.error += float(error.sum())
        self.total += float(total.sum())

    @property
    def value(self) -> float:
        """The FVU of all batches added so far; NaN where every clip is a constant."""
        return self.error / self.total if self.total else math.nan


class Variation:
    """The variance between estimated clips divided by that between target clips, both averaged over pixels.

    It is 0 when all estimates are equal, and NaN when all targets are, such as a single one.
    """

    def __init__(self) -> None:
        self._count = 0
        # Sums over clips of estimates, squared estimates, targets, squared targets.
        self._sums: list[Tensor] = []

    def add(self, estimate: Clips, target: Clips) -> None:
        """Add a batch."""
        sums = []
        # In double precision, since the variance is a small difference of large sums.
        for batch in (estimate.double(), target.double()):
            sums += [batch.sum(dim=0), batch.square().sum(dim=0)]
        if self._sums:
            sums = [before + new for before, new in zip(self._sums, sums, strict=True)]
        self._sums = sums
        self._count += len(target)

    @property
    def do_targets_vary(self) -> bool:
        """Whether the targets added so far differ."""
        _, (variance, mean_square) = self._measure()
        return variance > ROUNDING * mean_square

    @property
    def value(self) -> float:
        """The ratio over all batches added so far."""
        (estimates, _), (targets, _) = self._measure()
        return estimates / targets if self.do_targets_vary else math.nan

    def _measure(self) -> list[tuple[float, float]]:
        """Return the variance and the mean square of the estimates, and those of the targets."""
        means = [total / self._count for total in self._sums]
        pairs = (means[:2], means[2:])
        return [(float((square - mean.square()).mean()), float(square.mean())) for mean, square in pairs]


def squared_errors(estimate: Clips, target: Clips) -> tuple[PerClip, PerClip]:
    """Return Σ(x − x̂)² and Σ(x − x̄)² of each clip: the terms of `FractionUnexplained`."""
    estimate, target = estimate.flatten(1), target.flatten(1)
    error = (estimate - target).square().sum(dim=1)
    total = (target - target.mean(dim=1, keepdim=True)).square().sum(dim=1)
    return error, total


def lsd_db(estimate: Spectrograms, target: Spectrograms) -> PerClip:
    """Compute the log-spectral distance in dB from log-power in nats: root mean square over bins, mean over frames."""
    return DB_PER_NAT * (estimate - target).square().mean(dim=2).sqrt().mean(dim=1)


@dataclass(frozen=True)
class RecordingScores:
    """A judge's scores, one per recording, since recordings are the units of every statistical test.

    Attributes:
        recordings: their names, sorted.
        probability: the probability of the true class, averaged over the clips of the recording.
        is_right: 1 where the true class has the highest average probability, 0 elsewhere; NaN where the probabilities
            are not finite, as those of a model that has diverged.
    """

    recordings: NDArray[Any]
    probability: NDArray[np.float64]
    is_right: NDArray[np.float64]

    @property
    def mean_probability(self) -> float:
        """The mean over recordings of the probability of the true class."""
        return float(self.probability.mean())

    @property
    def accuracy(self) -> float:
        """The fraction of recordings whose class is right."""
        return float(self.is_right.mean())


def score_recordings(
    probabilities: Float[Tensor, "clips classes"], labels: NDArray[np.int64], recordings: NDArray[Any]
) -> RecordingScores:
    """Average a judge's class probabilities within recordings, and score them.

    Args:
        probabilities: the class probabilities of each clip.
        labels: the true class of each clip.
        recordings: the name of each clip's recording.
    """
    names, first, of_clip = np.unique(recordings, return_index=True, return_inverse=True)
    means = average_by_recording(probabilities.double().cpu().numpy(), of_clip)
    truth = labels[first]
    # argmax would return the first class for values that are not numbers.
    is_right = np.where(np.isfinite(means).all(axis=1), means.argmax(axis=1) == truth, np.nan)
    return RecordingScores(names, means[np.arange(len(names)), truth], is_right)


def average_by_recording(values: NDArray[np.float64], of_clip: NDArray[np.intp]) -> NDArray[np.float64]:
    """Average each column of values over the clips of each recording.

    Args:
        values: shape (clips, columns).
        of_clip: the index of each clip's recording.

    Returns:
        The means, of shape (recordings, columns).
    """
    counts = np.bincount(of_clip)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, of_clip, values)
    return sums / counts[:, None]

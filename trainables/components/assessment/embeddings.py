"""Distances of generated from training clips, by a judge's embeddings, which are cached once per corpus."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.components.assessment.added_metrics import measure_embeddings
from trainables.components.assessment.distributions import (
    NUM_BINS,
    count_bins,
    diversity,
    frechet_distance,
)
from trainables.components.assessment.kernel_distances import choose_subset, kernel_distance
from trainables.components.shapes import Embeddings
from trainables.errors import InputError
from trainables.support.cache import write_once

CLIPS_A_BIN = 10
"""Reference clips per bin, at least: fewer clips are counted in fewer bins."""
REFERENCE_CLIPS = 2048
"""The most training clips that others are compared with."""

Clips = NDArray[np.int64]


class Reference:
    """The embeddings of training clips, as a reference for generated ones.

    Args:
        embeddings: of the training clips.
        labels: their classes.
    """

    def __init__(self, embeddings: Embeddings, labels: NDArray[np.int64]) -> None:
        self._embeddings = embeddings
        self._labels = labels

    def distances(self, embeddings: Embeddings, frechet: str) -> dict[str, float]:
        """Compute the Fréchet distance, `kid` and `different_bins`.

        Args:
            embeddings: of generated clips.
            frechet: the name of the Fréchet distance in the result: `fad` or `fid`.

        Returns:
            Metrics by name; NaN where there are fewer than two clips or embeddings are not finite.
        """
        if min(len(embeddings), len(self._embeddings)) < 2 or not embeddings.isfinite().all():
            return dict.fromkeys((frechet, "kid", "different_bins"), math.nan)
        parts = [clips[choose_subset(len(clips)).to(clips.device)] for clips in (embeddings, self._embeddings)]
        num_bins = min(NUM_BINS, max(2, len(self._embeddings) // CLIPS_A_BIN))
        return {
            frechet: frechet_distance(embeddings, self._embeddings),
            "kid": kernel_distance(*parts),
            "different_bins": count_bins(embeddings, self._embeddings, num_bins=num_bins).fraction_different,
        }

    def added_metrics(self, names: Sequence[str], embeddings: Embeddings, recordings: NDArray[Any]) -> dict[str, float]:
        """Compute the metrics of embeddings that a search space adds, with their intervals.

        Args:
            names: of the added metrics.
            embeddings: of generated clips.
            recordings: the name of each clip's recording.
        """
        groups = np.unique(recordings, return_inverse=True)[1].astype(np.int64)
        generated, reference = (values.float().cpu().numpy() for values in (embeddings, self._embeddings))
        return measure_embeddings(names, "", generated, reference, groups)

    def diversity(self, embeddings: Embeddings, labels: NDArray[np.int64]) -> float:
        """Compute `distributions.diversity`; NaN where no class has two generated and two training clips."""
        try:
            return diversity(embeddings, self._embeddings, labels, self._labels)
        except InputError:
            return math.nan


def sample_clips(train: Clips) -> Clips:
    """Draw the training clips to compare with: always the same ones, at most 2,048."""
    return np.random.default_rng(0).permutation(train)[:REFERENCE_CLIPS]


def cache_embeddings(path: Path, embed: Callable[[], Embeddings]) -> Embeddings:
    """Return embeddings on the CPU from a cache file, which is computed the first time.

    Args:
        path: the cache file.
        embed: computes the embeddings.
    """

    def make(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, embed().cpu().numpy())

    return torch.from_numpy(np.load(write_once(path, make)))

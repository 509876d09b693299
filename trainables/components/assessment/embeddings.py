"""How far what was made is, as a whole, from training clips: in a judge's embeddings of them, kept once a corpus."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.distributions import (
    NUM_BINS,
    SUBSET_CLIPS,
    binned,
    diversity,
    frechet_distance,
    kernel_distance,
)
from trainables.errors import InputError
from trainables.support.cache import write_once

CLIPS_A_BIN = 10
REFERENCE_CLIPS = 2048
"""Training clips that the distances are taken to."""

Embeddings = Float[Tensor, "clips features"]
Clips = NDArray[np.int64]


class Reference:
    """The embeddings of training clips, and their classes."""

    def __init__(self, embeddings: Embeddings, labels: NDArray[np.int64]) -> None:
        self._embeddings = embeddings
        self._labels = labels

    def distances(self, embeddings: Embeddings, frechet: str) -> dict[str, float]:
        """The Fréchet distance under the name that it has, `kid` and `different_bins`; not a number where clips are too
        few to tell."""
        if min(len(embeddings), len(self._embeddings)) < 2 or not embeddings.isfinite().all():
            return dict.fromkeys((frechet, "kid", "different_bins"), math.nan)
        num_bins = min(NUM_BINS, max(2, len(self._embeddings) // CLIPS_A_BIN))
        return {
            frechet: frechet_distance(embeddings, self._embeddings),
            "kid": kernel_distance(_some(embeddings), _some(self._embeddings)),
            "different_bins": binned(embeddings, self._embeddings, num_bins=num_bins).fraction_different,
        }

    def diversity(self, embeddings: Embeddings, labels: NDArray[np.int64]) -> float:
        """How diverse the clips of a class are, as a part of the training ones; not a number where none can tell."""
        try:
            return diversity(embeddings, self._embeddings, labels, self._labels)
        except InputError:
            return math.nan


def sampled_clips(train: Clips) -> Clips:
    """The training clips that everything is compared with."""
    return np.random.default_rng(0).permutation(train)[:REFERENCE_CLIPS]


def embedded_once(path: Path, embed: Callable[[], Embeddings]) -> Embeddings:
    """What a judge makes of them, on the processor; computed the first time."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, embed().cpu().numpy())

    return torch.from_numpy(np.load(write_once(path, make)))


def _some(embeddings: Embeddings) -> Float[Tensor, "some features"]:
    """As many as the kernel distance compares at once, from all over."""
    order = torch.randperm(len(embeddings), generator=torch.Generator().manual_seed(0))
    return embeddings[order[:SUBSET_CLIPS].to(embeddings.device)]

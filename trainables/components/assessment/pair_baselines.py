"""Baselines of cross-modal generation that return a training clip instead of generating one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.sizes import Size
from trainables.components.pictures.augmentation import as_floats
from trainables.components.representation.nearest import NearestClips

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.corpora.corpus import Corpus

SOUND_SIZE: Size = "48x128"
PICTURE_PX = 32
SAMPLE_CLIPS = 2048
"""Training clips that the principal components of the index are fitted to."""

Modality = Literal["sound", "picture"]
Clips = NDArray[np.int64]


def choose_nearest(corpus: Corpus, modality: Modality, queries: Clips, train: Clips) -> Clips:
    """Return the training clip that is nearest to each query in one modality.

    Args:
        corpus: of queries and training clips.
        modality: what is compared: sounds or pictures.
        queries: rows of the corpus's table.
        train: rows to search among.

    Returns:
        Rows of the corpus's table.
    """
    read = _sound_reader(corpus) if modality == "sound" else _picture_reader(corpus)
    train_halves = read(train)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:SAMPLE_CLIPS]
    index = NearestClips(train_halves[order], train_halves.split(SAMPLE_CLIPS), torch.from_numpy(corpus.labels(train)))
    nearest_clips: Clips = train[index.find(read(queries)).numpy()]
    return nearest_clips


def choose_of_class(corpus: Corpus, queries: Clips, train: Clips) -> Clips:
    """Return a random training clip of each query's class, or of any class that has none: an oracle of the label."""
    rng = np.random.default_rng(0)
    labels = corpus.labels(train)
    chosen = []
    for label in corpus.labels(queries):
        candidates = train[labels == label]
        chosen.append(rng.choice(candidates if len(candidates) else train))
    return np.array(chosen, np.int64)


def choose_at_random(corpus: Corpus, queries: Clips, train: Clips) -> Clips:
    """Return a random training clip for each query."""
    return np.random.default_rng(1).choice(train, len(queries))


def _sound_reader(corpus: Corpus) -> Callable[[Clips], Float[Tensor, "clips frames bins"]]:
    """Return a function that reads the log-power of clips."""
    features = corpus.features(Feature(Grid(SOUND_SIZE)))
    return lambda clips: torch.from_numpy(features[clips].astype(np.float32))


def _picture_reader(corpus: Corpus) -> Callable[[Clips], Float[Tensor, "clips rows columns"]]:
    """Return a function that reads the pictures of clips as maps, with the colours below each other."""
    pictures = corpus.frames(PICTURE_PX)
    return lambda clips: as_floats(torch.from_numpy(pictures[clips])).flatten(1, 2)

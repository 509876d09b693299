"""What can be given for a picture or a sound without generating anything: training pairs that somebody chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.spectrogram import Size
from trainables.components.pictures.augmentation import as_floats
from trainables.components.representation.nearest import NearestClips

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.corpora.corpus import Corpus

SOUND_SIZE: Size = "48x128"
PICTURE_PX = 32
SAMPLE_CLIPS = 2048

Modality = Literal["sound", "picture"]
Clips = NDArray[np.int64]


def choose_nearest(corpus: Corpus, modality: Modality, queries: Clips, train: Clips) -> Clips:
    """The training clip whose own half of the same modality is nearest to each query's, as rows of the table."""
    halves = _sounds(corpus) if modality == "sound" else _pictures(corpus)
    train_halves = halves(train)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:SAMPLE_CLIPS]
    index = NearestClips(train_halves[order], train_halves.split(SAMPLE_CLIPS), torch.from_numpy(corpus.labels(train)))
    nearest_clips: Clips = train[index.find(halves(queries)).numpy()]
    return nearest_clips


def choose_of_class(corpus: Corpus, queries: Clips, train: Clips) -> Clips:
    """A random training clip of each query's class: all that its label tells, and so an oracle of that alone."""
    rng = np.random.default_rng(0)
    labels = corpus.labels(train)
    chosen = (train[labels == label] for label in corpus.labels(queries))
    return np.array([rng.choice(candidates if len(candidates) else train) for candidates in chosen], np.int64)


def choose_at_random(corpus: Corpus, queries: Clips, train: Clips) -> Clips:
    """Any training clip."""
    return np.random.default_rng(1).choice(train, len(queries))


def _sounds(corpus: Corpus) -> Callable[[Clips], Float[Tensor, "clips frames bins"]]:
    features = corpus.features(Feature(Grid(SOUND_SIZE)))
    return lambda clips: torch.from_numpy(features[clips].astype(np.float32))


def _pictures(corpus: Corpus) -> Callable[[Clips], Float[Tensor, "clips rows columns"]]:
    """Pictures as maps: their colours one below the other."""
    pictures = corpus.frames(PICTURE_PX)
    return lambda clips: as_floats(torch.from_numpy(pictures[clips])).flatten(1, 2)

"""Magnitudes to render as sound, the training clips that phases may be taken from, and what a phase is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio import spectrogram
from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.phase import instantaneous_frequency
from trainables.components.audio.sizes import FRAMES, Size
from trainables.components.representation.nearest import NearestClips
from trainables.components.representation.vocoder import Vocoder, open_vocoder
from trainables.components.shapes import FullSpectrograms, Waveforms
from trainables.corpora.features import FeatureSplit, read_waveforms
from trainables.errors import InputError
from trainables.support.cache import write_once
from trainables.support.progress import Progress

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

INDEX_SIZE: Size = "48x128"
"""The grid on which neighbours are searched."""
SAMPLE_CLIPS = 2048
"""Training clips that the principal components of the index, and the mean frequency, are computed from."""
BATCH_CLIPS = 256


class TrainingClips:
    """The training clips of a corpus as a source of phases: nearest neighbours, the mean, and what a vocoder learnt."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._clips = corpus.indices("train")

    def find_nearest(
        self, log_power: FullSpectrograms, clips: NDArray[np.int64], *, same_class: bool
    ) -> Int64[Tensor, " clips"]:
        """Return, for each spectrogram, the position in the training split of the clip whose log-power is nearest.

        Args:
            log_power: log-power in nats, on the full grid.
            clips: the clips that they are estimates of, as rows of the corpus's table; read only with `same_class`.
            same_class: search only clips of the true class, or all if it has none; the result is then an oracle.
        """
        queries = spectrogram.resize(log_power, INDEX_SIZE)
        labels = torch.from_numpy(self.corpus.labels(clips)) if same_class else None
        positions: Int64[Tensor, " clips"] = self._index.find(queries, labels=labels)
        return positions

    def nearest_phase(
        self, log_power: FullSpectrograms, clips: NDArray[np.int64], *, same_class: bool
    ) -> FullSpectrograms:
        """Return the phase in radians of the clips that `find_nearest` finds."""
        positions = self.find_nearest(log_power, clips, same_class=same_class).numpy()
        waveforms = read_waveforms(self.corpus.waveforms(), self._clips[positions])
        return spectrogram.phase(waveforms).to(log_power.device)

    @cached_property
    def _index(self) -> NearestClips:
        features = self.corpus.features(Feature(Grid(INDEX_SIZE)))
        split = FeatureSplit(features, self._clips, torch.device("cpu"), self.corpus.in_memory_bytes)
        order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
        batches = (split.batch(part) for part in torch.arange(len(split)).split(BATCH_CLIPS))
        labels = torch.from_numpy(self.corpus.labels(self._clips))
        return NearestClips(split.batch(order[:SAMPLE_CLIPS]), batches, labels)

    @cached_property
    def vocoder(self) -> Vocoder:
        """The vocoder that was trained on these clips."""
        return open_vocoder(self.corpus)

    @cached_property
    def mean_frequency(self) -> Float[Tensor, "full 512"]:
        """The circular mean of the instantaneous frequency of training clips, in units of π.

        Frequencies are wrapped, so that −1 and 1 are the same: the mean is the angle of the mean phasor.
        """

        def make(path: Path) -> None:
            rows = np.random.default_rng(0).permutation(self._clips)[:SAMPLE_CLIPS]
            parts = np.array_split(rows, range(BATCH_CLIPS, len(rows), BATCH_CLIPS))
            waveforms = self.corpus.waveforms()
            sums = []
            for part in parts:
                phase = spectrogram.phase(read_waveforms(waveforms, part))
                frequency = math.pi * instantaneous_frequency(phase)
                sums.append(torch.polar(torch.ones_like(frequency), frequency).sum(dim=0))
            with path.open("wb") as file:
                np.save(file, (torch.stack(sums).sum(dim=0).angle() / math.pi).numpy())

        return torch.from_numpy(np.load(write_once(self.corpus.folder / "circular-mean-frequency.npy", make)))


@dataclass(frozen=True)
class Scene:
    """A batch of magnitudes to render as sound, with everything that a phase may use.

    Attributes:
        log_power: the magnitudes in nats, on the full grid.
        clips: the clips that they are estimates of, as rows of `corpus.clips`; empty for generated ones.
        training_clips: None where there is no corpus.
        own_sound: renders the magnitudes with the phase that the model generated; None if it generated none.
        originals: the sounds that the magnitudes are estimates of, where they are not clips of a corpus.
    """

    log_power: FullSpectrograms
    clips: NDArray[np.int64]
    training_clips: TrainingClips | None
    own_sound: Callable[[], Waveforms] | None = None
    originals: Waveforms | None = None

    @property
    def amplitude(self) -> FullSpectrograms:
        """The magnitudes as amplitudes: the square root of power."""
        return (self.log_power / 2).exp()

    def require_training_clips(self) -> TrainingClips:
        """Return the training clips.

        Raises:
            InputError: there is no corpus, as for an exported model.
        """
        if self.training_clips is None:
            raise InputError("needs the corpus, which an exported model does not have")
        return self.training_clips

    def read_originals(self) -> Waveforms:
        """Return the sounds that the magnitudes are estimates of."""
        if self.originals is not None:
            return self.originals
        return read_waveforms(self.require_training_clips().corpus.waveforms(), self.clips)


@dataclass(frozen=True)
class Phase:
    """One way to render magnitudes as sound.

    Attributes:
        sound: renders a scene.
        side_info_floats: the number of values of each original clip, of 192 frames, that it uses; more than 0 makes it
            an oracle.
        follows_magnitude: whether the phase is computed from the magnitudes.
        is_per_frame: whether it uses as many more values of a longer clip.
        prepare: computes what all trials share and takes long, before any of them starts; None if there is nothing.
    """

    sound: Callable[[Scene], Waveforms]
    side_info_floats: int = 0
    follows_magnitude: bool = False
    prepare: Callable[[Corpus, Progress], object] | None = None
    is_per_frame: bool = False

    def __post_init__(self) -> None:
        # The registry refuses another module's part of the same name.
        object.__setattr__(self, "__module__", self.sound.__module__)

    def count_side_info(self, full_frames: int) -> int:
        """Return the number of values that it uses of an original clip with so many frames."""
        return self.side_info_floats * full_frames // FRAMES if self.is_per_frame else self.side_info_floats

"""Renderings of magnitudes as sound: the phases to choose from, and the side information that each one uses.

To add one, register a function with `@register_phase` here or in a file named under `components:`.
"""

from __future__ import annotations

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
from trainables.components.audio.pghi import integrate_phase
from trainables.components.audio.phase import angle_from_frequency, instantaneous_frequency
from trainables.components.audio.sizes import BINS, FRAMES, Size
from trainables.components.audio.spectrogram import griffin_lim, synthesize
from trainables.components.representation.nearest import NearestClips
from trainables.components.representation.registries import PHASES
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
        """Find the training clips whose magnitudes are nearest.

        Args:
            log_power: magnitudes in nats, on the full grid.
            clips: the clips that they are estimates of, as rows of the corpus's table; read only with `same_class`.
            same_class: whether to search only the true class of each clip, which makes it an oracle.

        Returns:
            Positions within the training split.
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
        split = FeatureSplit(features, self._clips, torch.device("cpu"))
        order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
        batches = (split.batch(part) for part in torch.arange(len(split)).split(BATCH_CLIPS))
        labels = torch.from_numpy(self.corpus.labels(self._clips))
        return NearestClips(split.batch(order[:SAMPLE_CLIPS]), batches, labels)

    @cached_property
    def vocoder(self) -> Vocoder:
        """The vocoder that was trained on these clips."""
        return open_vocoder(self.corpus)

    @cached_property
    def mean_frequency(self) -> Float[Tensor, "192 512"]:
        """The mean instantaneous frequency of training clips, in units of π."""

        def make(path: Path) -> None:
            rows = np.random.default_rng(0).permutation(self._clips)[:SAMPLE_CLIPS]
            parts = np.array_split(rows, range(BATCH_CLIPS, len(rows), BATCH_CLIPS))
            waveforms = self.corpus.waveforms()
            sums = []
            for part in parts:
                phase = spectrogram.phase(read_waveforms(waveforms, part))
                sums.append(instantaneous_frequency(phase).sum(dim=0))
            with path.open("wb") as file:
                np.save(file, (torch.stack(sums).sum(dim=0) / len(rows)).numpy())

        return torch.from_numpy(np.load(write_once(self.corpus.folder / "mean-frequency.npy", make)))


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
        side_info_floats: the number of values of each original clip that it uses; more than 0 makes it an oracle.
        follows_magnitude: whether the phase is computed from the magnitudes.
        prepare: computes what all trials share and takes long, before any of them starts; None if there is nothing.
    """

    sound: Callable[[Scene], Waveforms]
    side_info_floats: int = 0
    follows_magnitude: bool = False
    prepare: Callable[[Corpus, Progress], object] | None = None


def register_phase(
    name: str,
    *,
    side_info_floats: int = 0,
    follows_magnitude: bool = False,
    prepare: Callable[[Corpus, Progress], object] | None = None,
) -> Callable[[Callable[[Scene], Waveforms]], Callable[[Scene], Waveforms]]:
    """Return a decorator that registers a function from a `Scene` to sounds as a phase.

    Args:
        name: the value of the setting `phase`.
        side_info_floats: see `Phase`.
        follows_magnitude: see `Phase`.
        prepare: see `Phase`.
    """

    def add(sound: Callable[[Scene], Waveforms]) -> Callable[[Scene], Waveforms]:
        PHASES.register(name)(Phase(sound, side_info_floats, follows_magnitude, prepare))
        return sound

    return add


@register_phase("own")
def render_own(scene: Scene) -> Waveforms:
    """Render with the phase that the model generated."""
    assert scene.own_sound is not None, "the settings were checked"
    return scene.own_sound()


@register_phase("original", side_info_floats=FRAMES * BINS)
def render_original(scene: Scene) -> Waveforms:
    """Render with the phase of the original clip: an oracle."""
    return synthesize(scene.amplitude, spectrogram.phase(scene.read_originals()).to(scene.log_power.device))


@register_phase("griffin_lim", follows_magnitude=True)
def render_griffin_lim(scene: Scene) -> Waveforms:
    """Render by 32 iterations of fast Griffin-Lim from a random phase."""
    return griffin_lim(scene.amplitude)


@register_phase("pghi", follows_magnitude=True)
def render_pghi(scene: Scene) -> Waveforms:
    """Render by phase gradient heap integration (Průša, Balazs and Søndergaard, 2017)."""
    return synthesize(scene.amplitude, integrate_phase(scene.amplitude))


@register_phase("pghi_griffin_lim", follows_magnitude=True)
def render_pghi_griffin_lim(scene: Scene) -> Waveforms:
    """Render by Griffin-Lim from the phase of gradient heap integration."""
    return griffin_lim(scene.amplitude, first_phase=integrate_phase(scene.amplitude))


@register_phase("nearest", follows_magnitude=True)
def render_nearest(scene: Scene) -> Waveforms:
    """Render with the phase of the nearest training clip of any class."""
    return synthesize(scene.amplitude, _nearest_phase(scene))


@register_phase("nearest_griffin_lim", follows_magnitude=True)
def render_nearest_griffin_lim(scene: Scene) -> Waveforms:
    """Render by Griffin-Lim from the phase of the nearest training clip."""
    return griffin_lim(scene.amplitude, first_phase=_nearest_phase(scene))


@register_phase("nearest_own_class", side_info_floats=1, follows_magnitude=True)
def render_nearest_own_class(scene: Scene) -> Waveforms:
    """Render with the phase of the nearest training clip of the same class: an oracle, since it uses the label."""
    return synthesize(scene.amplitude, _nearest_phase(scene, same_class=True))


@register_phase("vocoder", follows_magnitude=True, prepare=open_vocoder)
def render_vocoder(scene: Scene) -> Waveforms:
    """Render by a network that was trained on the corpus: it corrects phases and magnitudes of a first rendering."""
    return scene.require_training_clips().vocoder.render(scene.log_power)


@register_phase("zero")
def render_zero(scene: Scene) -> Waveforms:
    """Render with a phase of 0 everywhere."""
    return synthesize(scene.amplitude, torch.zeros_like(scene.log_power))


@register_phase("corpus_mean")
def render_corpus_mean(scene: Scene) -> Waveforms:
    """Render with the mean instantaneous frequency of the training clips."""
    frequency = scene.require_training_clips().mean_frequency.to(scene.log_power.device)
    return synthesize(scene.amplitude, angle_from_frequency(frequency[None]).expand_as(scene.log_power))


def render_magnitudes(log_power: FullSpectrograms, phase: str) -> Waveforms:
    """Render magnitudes without a corpus, by a phase that needs nothing else.

    Args:
        log_power: in nats, on the full grid.
        phase: a registered phase.
    """
    return PHASES[phase].sound(Scene(log_power, np.empty(0, np.int64), None))


def _nearest_phase(scene: Scene, *, same_class: bool = False) -> FullSpectrograms:
    return scene.require_training_clips().nearest_phase(scene.log_power, scene.clips, same_class=same_class)

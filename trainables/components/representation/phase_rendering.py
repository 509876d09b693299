"""How magnitudes become sound: the phases that they can be given, and what each of them is told for free.

A new one is a function with `@register_phase` here, or in a file named under `components:`.
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
from trainables.components.audio.pghi import integrated_phase
from trainables.components.audio.phase import angle_from_frequency, instantaneous_frequency
from trainables.components.audio.spectrogram import BINS, FRAMES, Size, griffin_lim, synthesized
from trainables.components.representation.nearest import NearestClips
from trainables.corpora.features import FeatureSplit, read_waveforms
from trainables.support.cache import write_once
from trainables.support.registry import Registry

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

INDEX_SIZE: Size = "48x128"
SAMPLE_CLIPS = 2048
BATCH_CLIPS = 256

Full = Float[Tensor, "clips 192 512"]
Waveforms = Float[Tensor, "clips samples"]


class Memory:
    """What is known of the training clips of a corpus when a sound is made."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._clips = corpus.indices("train")

    def nearest(self, log_power: Full, clips: NDArray[np.int64], *, same_class: bool) -> Int64[Tensor, " clips"]:
        """The training clip whose magnitudes are nearest, as a place in the split; `same_class` looks at the label."""
        queries = spectrogram.resized(log_power, INDEX_SIZE)
        labels = torch.from_numpy(self.corpus.labels(clips)) if same_class else None
        positions: Int64[Tensor, " clips"] = self._index.nearest(queries, labels=labels)
        return positions

    def nearest_phase(self, log_power: Full, clips: NDArray[np.int64], *, same_class: bool) -> Full:
        """Its phase in radians."""
        positions = self.nearest(log_power, clips, same_class=same_class).numpy()
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
    def mean_frequency(self) -> Float[Tensor, "192 512"]:
        """The mean instantaneous frequency of training clips, in units of π."""

        def make(path: Path) -> None:
            rows = np.random.default_rng(0).permutation(self._clips)[:SAMPLE_CLIPS]
            parts = np.array_split(rows, range(BATCH_CLIPS, len(rows), BATCH_CLIPS))
            waveforms = self.corpus.waveforms()
            sums = [
                instantaneous_frequency(spectrogram.phase(read_waveforms(waveforms, part))).sum(dim=0) for part in parts
            ]
            with path.open("wb") as file:
                np.save(file, (torch.stack(sums).sum(dim=0) / len(rows)).numpy())

        return torch.from_numpy(np.load(write_once(self.corpus.folder / "mean-frequency.npy", make)))


@dataclass(frozen=True)
class Scene:
    """Clips that are to be heard.

    Attributes:
        log_power: their magnitudes on the full grid, in nats.
        clips: which clips they stand for, as rows of `corpus.clips`; empty where they stand for none.
        memory: what is known of the corpus; None far from it.
        own_sound: with the phase that the model made; None where it made none.
    """

    log_power: Full
    clips: NDArray[np.int64]
    memory: Memory | None
    own_sound: Callable[[], Waveforms] | None = None

    @property
    def amplitude(self) -> Full:
        return (self.log_power / 2).exp()

    @property
    def known(self) -> Memory:
        """The memory, where there has to be one."""
        assert self.memory is not None, "the settings were checked"
        return self.memory


@dataclass(frozen=True)
class Phase:
    """One way to give magnitudes a phase.

    Attributes:
        side_info_floats: numbers of each clip that it is told for free; above 0 it is an oracle.
        follows_magnitude: it is found from magnitudes alone.
    """

    sound: Callable[[Scene], Waveforms]
    side_info_floats: int = 0
    follows_magnitude: bool = False


PHASES: Registry[Phase] = Registry("phase")


def register_phase(
    name: str, *, side_info_floats: int = 0, follows_magnitude: bool = False
) -> Callable[[Callable[[Scene], Waveforms]], Callable[[Scene], Waveforms]]:
    """Decorator that makes a function of a scene known as a phase."""

    def add(sound: Callable[[Scene], Waveforms]) -> Callable[[Scene], Waveforms]:
        PHASES.register(name)(Phase(sound, side_info_floats, follows_magnitude))
        return sound

    return add


@register_phase("own")
def own(scene: Scene) -> Waveforms:
    """The model's own."""
    assert scene.own_sound is not None, "the settings were checked"
    return scene.own_sound()


@register_phase("original", side_info_floats=FRAMES * BINS)
def original(scene: Scene) -> Waveforms:
    """The clip's own, passed through: an oracle."""
    sounds = read_waveforms(scene.known.corpus.waveforms(), scene.clips)
    return synthesized(scene.amplitude, spectrogram.phase(sounds).to(scene.log_power.device))


@register_phase("griffin_lim", follows_magnitude=True)
def from_griffin_lim(scene: Scene) -> Waveforms:
    """32 iterations of fast Griffin-Lim from a random phase."""
    return griffin_lim(scene.amplitude)


@register_phase("pghi", follows_magnitude=True)
def from_gradients(scene: Scene) -> Waveforms:
    """Phase gradient heap integration (Průša, Balazs and Søndergaard, 2017)."""
    return synthesized(scene.amplitude, integrated_phase(scene.amplitude))


@register_phase("pghi_griffin_lim", follows_magnitude=True)
def from_gradients_on(scene: Scene) -> Waveforms:
    """Griffin-Lim that starts there."""
    return griffin_lim(scene.amplitude, first_phase=integrated_phase(scene.amplitude))


@register_phase("nearest", follows_magnitude=True)
def nearest(scene: Scene) -> Waveforms:
    """That of the nearest training clip of any class."""
    return synthesized(scene.amplitude, _nearest(scene))


@register_phase("nearest_griffin_lim", follows_magnitude=True)
def nearest_on(scene: Scene) -> Waveforms:
    """Griffin-Lim that starts there."""
    return griffin_lim(scene.amplitude, first_phase=_nearest(scene))


@register_phase("nearest_own_class", side_info_floats=1, follows_magnitude=True)
def nearest_of_class(scene: Scene) -> Waveforms:
    """That of the nearest training clip of the clip's own class: an oracle, since it looks at the label."""
    return synthesized(scene.amplitude, _nearest(scene, same_class=True))


@register_phase("zero")
def zero(scene: Scene) -> Waveforms:
    """An instantaneous frequency of 0 everywhere."""
    return synthesized(scene.amplitude, torch.zeros_like(scene.log_power))


@register_phase("corpus_mean")
def corpus_mean(scene: Scene) -> Waveforms:
    """The mean instantaneous frequency of the training clips."""
    frequency = scene.known.mean_frequency.to(scene.log_power.device)
    return synthesized(scene.amplitude, angle_from_frequency(frequency[None]).expand_as(scene.log_power))


def sounds_alone(log_power: Full, phase: str) -> Waveforms:
    """Sound of magnitudes on the full grid, by a phase that needs no more than them."""
    return PHASES[phase].sound(Scene(log_power, np.empty(0, np.int64), None))


def _nearest(scene: Scene, *, same_class: bool = False) -> Full:
    return scene.known.nearest_phase(scene.log_power, scene.clips, same_class=same_class)

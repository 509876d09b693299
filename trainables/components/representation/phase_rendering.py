"""Renderings of magnitudes as sound: the phases to choose from, and the side information that each one uses.

To add one, register a function with `@register_phase` here or in a file named under `components:`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from trainables.components.audio import spectrogram
from trainables.components.audio.pghi import integrate_phase
from trainables.components.audio.phase import angle_from_frequency
from trainables.components.audio.sizes import BINS, FRAMES
from trainables.components.audio.spectrogram import griffin_lim, synthesize
from trainables.components.representation.registries import PHASES
from trainables.components.representation.scene import Phase, Scene
from trainables.components.representation.vocoder import open_vocoder
from trainables.components.shapes import FullSpectrograms, Waveforms
from trainables.support.progress import Progress

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


def register_phase(
    name: str,
    *,
    side_info_floats: int = 0,
    follows_magnitude: bool = False,
    prepare: Callable[[Corpus, Progress], object] | None = None,
    is_per_frame: bool = False,
) -> Callable[[Callable[[Scene], Waveforms]], Callable[[Scene], Waveforms]]:
    """Return a decorator that registers a function from a `Scene` to sounds as a phase.

    Args:
        name: the value of the setting `phase`.
        side_info_floats: see `Phase`.
        follows_magnitude: see `Phase`.
        prepare: see `Phase`.
        is_per_frame: see `Phase`.
    """

    def add(sound: Callable[[Scene], Waveforms]) -> Callable[[Scene], Waveforms]:
        PHASES.register(name)(Phase(sound, side_info_floats, follows_magnitude, prepare, is_per_frame))
        return sound

    return add


@register_phase("own")
def render_own(scene: Scene) -> Waveforms:
    """Render with the phase that the model generated."""
    assert scene.own_sound is not None, "the settings were checked"
    return scene.own_sound()


@register_phase("original", side_info_floats=FRAMES * BINS, is_per_frame=True)
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
    """Render with the circular mean of the training clips' instantaneous frequency."""
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

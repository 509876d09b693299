"""The contracts of normalizations, and of phases for magnitudes that have none."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.components.audio.spectrogram import log_power, synthesize
from trainables.components.audio.spectrogram import phase as phase_of
from trainables.components.representation.channels import Part
from trainables.components.representation.normalizer import Normalizer
from trainables.components.representation.registries import NORMALIZATIONS, PHASES
from trainables.components.representation.scene import Scene, TrainingClips
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power, read_waveforms
from trainables.testing.promise import Broken, Promise

FLOOR_NATS = -13.8155
"""The log-power of silence."""
AUDIBLE = 0.01
"""The peak of a sound that is not silent."""


@dataclass(frozen=True)
class NormalizationCase:
    """A normalization that is applied to magnitudes and to phases."""

    name: str

    def clips(self) -> Tensor:
        """Make 20 clips with a magnitude and a phase, of shape (20, 2, 6, 8)."""
        generator = torch.Generator().manual_seed(0)
        level = torch.linspace(-12, 3, 8)
        magnitude = level + torch.randn(20, 6, 8, generator=generator) * torch.linspace(0.5, 3, 6)[:, None]
        return torch.stack([magnitude, 2 * torch.rand(20, 6, 8, generator=generator) - 1], dim=1)

    def fit(self, clips: Tensor) -> Normalizer:
        """Return a normalizer that was fitted to clips in batches of 7."""
        parts: dict[Part, slice] = {"magnitude": slice(0, 1), "phase": slice(1, 2)}
        normalizer = Normalizer({"magnitude": self.name, "phase": self.name}, parts)
        normalizer.fit(lambda: iter(clips.split(7)))
        return normalizer


def check_inverse(case: NormalizationCase) -> None:
    """Check that inverting the normalization returns the clips."""
    clips = case.clips()
    normalizer = case.fit(clips)
    statistics = normalizer.statistics(clips)
    undone = normalizer.invert(normalizer.apply(clips, statistics), statistics)
    if not torch.allclose(undone, clips, atol=1e-4, rtol=1e-5):
        raise Broken(f"inverting returns clips that are {(undone - clips).abs().max().item():.3g} off")


def check_silence(case: NormalizationCase) -> None:
    """Check that clips without any variance stay finite, and that inverting returns them."""
    silence = torch.full((4, 2, 6, 8), FLOOR_NATS)
    silence[:, 1] = 0
    normalizer = case.fit(silence)
    statistics = normalizer.statistics(silence)
    normalized = normalizer.apply(silence, statistics)
    if not normalized.isfinite().all() or not statistics.isfinite().all():
        raise Broken("silence becomes values that are not finite")
    if not torch.allclose(normalizer.invert(normalized, statistics), silence, rtol=1.3e-6, atol=1e-5):
        raise Broken("inverting does not return silence")


def check_alone(case: NormalizationCase) -> None:
    """Check that a clip is normalized in the same way alone and in a batch."""
    clips = case.clips()
    normalizer = case.fit(clips)
    together, alone = (normalizer.apply(part, normalizer.statistics(part)) for part in (clips, clips[3:4]))
    if not torch.allclose(together[3:4], alone, rtol=1.3e-6, atol=1e-5):
        raise Broken("a clip is normalized differently in a batch than alone")


def check_bounds(case: NormalizationCase) -> None:
    """Check that `is_bounded` is right about whether values stay within ±1."""
    clips = case.clips()
    normalizer = case.fit(clips)
    largest = normalizer.apply(clips, normalizer.statistics(clips)).abs().max().item()
    declared = NORMALIZATIONS[case.name].is_bounded
    if (largest <= 1 + 1e-6) != declared:
        raise Broken(f"is_bounded is {declared}, and values reach {largest:.3g}")


def check_checkpoint(case: NormalizationCase) -> None:
    """Check that a normalizer that loads a saved state normalizes as the saved one does."""
    clips = case.clips()
    fitted, loaded = case.fit(clips), case.fit(clips + 1)
    loaded.load_state_dict(fitted.state_dict())
    one, other = (normalizer.apply(clips, normalizer.statistics(clips)) for normalizer in (fitted, loaded))
    if not torch.equal(one, other):
        raise Broken("its state_dict lacks something")


@dataclass(frozen=True)
class PhaseCase:
    """A phase for magnitudes, with the corpus whose first probe clips it is checked on."""

    name: str
    corpus: Corpus

    def scene(self, *, silent: bool = False) -> Scene:
        """Make the scene that the phase renders: three clips, or as many of silence."""
        clips = self.corpus.probes(3)
        real = log_power(clip_power(self.corpus.waveforms(), clips))
        magnitudes = torch.full_like(real, FLOOR_NATS) if silent else real
        own = synthesize((magnitudes / 2).exp(), phase_of(read_waveforms(self.corpus.waveforms(), clips)))
        return Scene(magnitudes, clips, TrainingClips(self.corpus), lambda: own)


def check_sound(case: PhaseCase) -> None:
    """Check that it renders sounds of the length of a clip, and silence as silence."""
    for silent in (False, True):
        scene = case.scene(silent=silent)
        sounds = PHASES[case.name].sound(scene)
        expected = (len(scene.clips), case.corpus.clip_format.samples)
        if sounds.shape != expected or not sounds.isfinite().all():
            raise Broken(f"needs finite sounds of shape {expected}, got {(*sounds.shape,)}")
        if (sounds.abs().max().item() > AUDIBLE) == silent:
            raise Broken("silence gives a sound" if silent else "a clip gives no sound")


def check_sound_alone(case: PhaseCase) -> None:
    """Check that a clip is rendered in the same way alone and in a batch."""
    scene = case.scene()
    own_sound = scene.own_sound
    alone = Scene(
        scene.log_power[1:2], scene.clips[1:2], scene.training_clips, own_sound and (lambda: own_sound()[1:2])
    )
    together = PHASES[case.name].sound(scene)[1:2]
    if not torch.allclose(PHASES[case.name].sound(alone), together, atol=1e-3, rtol=0):
        raise Broken("a clip sounds different alone")


NORMALIZATION = (
    Promise("inverting it returns the clips", check_inverse),
    Promise("silence stays finite, and inverting returns it", check_silence),
    Promise("a clip is normalized alone as in a batch", check_alone),
    Promise("is_bounded says whether values stay within ±1", check_bounds),
    Promise("its statistics survive a checkpoint", check_checkpoint),
)
PHASE = (
    Promise("it makes sounds as long as clips, silent ones of silence", check_sound),
    Promise("a clip sounds the same alone as in a batch", check_sound_alone),
)

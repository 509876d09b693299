"""What every normalization, and every phase for magnitudes that have none, must hold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.components.audio.clip import CLIP_SAMPLES
from trainables.components.audio.spectrogram import log_power, synthesize
from trainables.components.audio.spectrogram import phase as phase_of
from trainables.components.representation.normalizations import NORMALIZATIONS
from trainables.components.representation.normalizer import Normalizer
from trainables.components.representation.phase_rendering import PHASES, Scene, TrainingClips
from trainables.components.representation.representation import Part
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power, read_waveforms
from trainables.testing.promise import Broken, Promise

FLOOR_NATS = -13.8155
AUDIBLE = 0.01


@dataclass(frozen=True)
class NormalizationCase:
    """A normalization, of magnitudes and of phases."""

    name: str

    def clips(self) -> Tensor:
        """Make 20 clips with a magnitude and a phase, of shape (20, 2, 6, 8)."""
        generator = torch.Generator().manual_seed(0)
        level = torch.linspace(-12, 3, 8)
        magnitude = level + torch.randn(20, 6, 8, generator=generator) * torch.linspace(0.5, 3, 6)[:, None]
        return torch.stack([magnitude, 2 * torch.rand(20, 6, 8, generator=generator) - 1], dim=1)

    def fitted(self, clips: Tensor) -> Normalizer:
        """Fit it to clips in batches."""
        parts: dict[Part, slice] = {"magnitude": slice(0, 1), "phase": slice(1, 2)}
        normalizer = Normalizer({"magnitude": self.name, "phase": self.name}, parts)
        normalizer.fit(lambda: iter(clips.split(7)))
        return normalizer


def check_inverse(case: NormalizationCase) -> None:
    """Check that what is normalized comes back."""
    clips = case.clips()
    normalizer = case.fitted(clips)
    statistics = normalizer.statistics(clips)
    undone = normalizer.invert(normalizer.apply(clips, statistics), statistics)
    if not torch.allclose(undone, clips, atol=1e-4, rtol=1e-5):
        raise Broken(f"clips come back {(undone - clips).abs().max().item():.3g} off")


def check_silence(case: NormalizationCase) -> None:
    """Check that clips without any variance stay finite, and come back."""
    silence = torch.full((4, 2, 6, 8), FLOOR_NATS)
    silence[:, 1] = 0
    normalizer = case.fitted(silence)
    statistics = normalizer.statistics(silence)
    normalized = normalizer.apply(silence, statistics)
    if not normalized.isfinite().all() or not statistics.isfinite().all():
        raise Broken("silence becomes values that are not finite")
    if not torch.allclose(normalizer.invert(normalized, statistics), silence, rtol=1.3e-6, atol=1e-5):
        raise Broken("silence does not come back")


def check_alone(case: NormalizationCase) -> None:
    """Check that a clip is normalized without regard to the others of its batch."""
    clips = case.clips()
    normalizer = case.fitted(clips)
    together, alone = (normalizer.apply(part, normalizer.statistics(part)) for part in (clips, clips[3:4]))
    if not torch.allclose(together[3:4], alone, rtol=1.3e-6, atol=1e-5):
        raise Broken("a clip is another one in a batch than alone")


def check_bounds(case: NormalizationCase) -> None:
    """Check that `is_bounded` tells whether values stay within ±1."""
    clips = case.clips()
    normalizer = case.fitted(clips)
    largest = normalizer.apply(clips, normalizer.statistics(clips)).abs().max().item()
    declared = NORMALIZATIONS[case.name].is_bounded
    if (largest <= 1 + 1e-6) != declared:
        raise Broken(f"is_bounded is {declared}, and values reach {largest:.3g}")


def check_checkpoint(case: NormalizationCase) -> None:
    """Check that one that is loaded does what the saved one did."""
    clips = case.clips()
    fitted, loaded = case.fitted(clips), case.fitted(clips + 1)
    loaded.load_state_dict(fitted.state_dict())
    one, other = (normalizer.apply(clips, normalizer.statistics(clips)) for normalizer in (fitted, loaded))
    if not torch.equal(one, other):
        raise Broken("its state_dict lacks something")


@dataclass(frozen=True)
class PhaseCase:
    """A phase for magnitudes, on the first probe clips of a corpus."""

    name: str
    corpus: Corpus

    def scene(self, *, silent: bool = False) -> Scene:
        """Make what the phase is given."""
        clips = self.corpus.probes(3)
        real = log_power(clip_power(self.corpus.waveforms(), clips))
        magnitudes = torch.full_like(real, FLOOR_NATS) if silent else real
        own = synthesize((magnitudes / 2).exp(), phase_of(read_waveforms(self.corpus.waveforms(), clips)))
        return Scene(magnitudes, clips, TrainingClips(self.corpus), lambda: own)


def check_sound(case: PhaseCase) -> None:
    """Check that it makes sounds of two seconds, silent ones of silence."""
    for silent in (False, True):
        scene = case.scene(silent=silent)
        sounds = PHASES[case.name].sound(scene)
        if sounds.shape != (len(scene.clips), CLIP_SAMPLES) or not sounds.isfinite().all():
            raise Broken(f"needs finite sounds of shape ({len(scene.clips)}, {CLIP_SAMPLES}), got {(*sounds.shape,)}")
        if (sounds.abs().max().item() > AUDIBLE) == silent:
            raise Broken("silence is heard" if silent else "nothing is heard")


def check_sound_alone(case: PhaseCase) -> None:
    """Check that a clip sounds the same without the others."""
    scene = case.scene()
    own_sound = scene.own_sound
    alone = Scene(
        scene.log_power[1:2], scene.clips[1:2], scene.training_clips, own_sound and (lambda: own_sound()[1:2])
    )
    together = PHASES[case.name].sound(scene)[1:2]
    if not torch.allclose(PHASES[case.name].sound(alone), together, atol=1e-3, rtol=0):
        raise Broken("a clip sounds different alone")


NORMALIZATION = (
    Promise("it is undone exactly", check_inverse),
    Promise("silence stays finite and comes back", check_silence),
    Promise("a clip is the same alone", check_alone),
    Promise("what is said to be bounded is", check_bounds),
    Promise("its statistics survive a checkpoint", check_checkpoint),
)
PHASE = (
    Promise("it makes sounds of two seconds, silent ones of silence", check_sound),
    Promise("a clip sounds the same alone", check_sound_alone),
)

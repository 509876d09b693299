"""Onsets and their correlation with motion."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from trainables.components.audio.clip import CLIP_SAMPLES, HOP_SAMPLES, RATE_HZ
from trainables.components.audio.onsets import onset_correlation, onset_strength
from trainables.corpora.pictures import MOTION_STEPS

BEATS = (2, 7, 11, 16)
"""Steps of a tenth of a second in which something happens."""
STEP_SAMPLES = CLIP_SAMPLES // MOTION_STEPS


def bursts(kind: str, steps: tuple[int, ...] = BEATS) -> np.ndarray:
    """A short sound in the middle of each of these steps, over a faint hiss."""
    rng = np.random.default_rng(0)
    sound = 1e-3 * rng.standard_normal(CLIP_SAMPLES)
    for step in steps:
        start = int((step + 0.5) * STEP_SAMPLES)
        length = 20 if kind == "click" else 2000
        shape = np.exp(-np.arange(length) / (length / 4))
        sound[start : start + length] += shape * (1 if kind == "click" else 0.3 * rng.standard_normal(length))
    return sound.astype(np.float32)


def motion(*steps: int) -> torch.Tensor:
    moved = torch.full((1, MOTION_STEPS), 0.01)
    moved[0, list(steps)] = 0.2
    return moved


def heard(*sounds: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(sounds))


@pytest.mark.parametrize("kind", ["click", "noise"])
def test_it_is_the_spectral_flux_of_librosa(kind: str) -> None:
    sound = bursts(kind)
    ours = onset_strength(heard(sound))[0].numpy()
    # Left uncentred: librosa would move it by half a window.
    theirs = librosa.onset.onset_strength(
        y=sound, sr=RATE_HZ, n_fft=1024, hop_length=HOP_SAMPLES, n_mels=80, center=False
    )
    assert np.corrcoef(ours, theirs[1 : len(ours) + 1])[0, 1] > 0.9


def test_silence_and_what_only_fades_have_no_onset() -> None:
    fading = bursts("noise", (0,)) * np.linspace(1, 0, CLIP_SAMPLES, dtype=np.float32)
    silent, faded = onset_strength(heard(np.zeros(CLIP_SAMPLES, np.float32), fading))
    assert silent.max() == 0
    assert faded[30:].max() < 0.1 * faded[:30].max()


@pytest.mark.parametrize("kind", ["click", "noise"])
def test_what_moves_when_it_sounds_correlates(kind: str) -> None:
    sounds = heard(bursts(kind))
    assert onset_correlation(sounds, motion(*BEATS)).item() > 0.8
    assert onset_correlation(sounds, motion(*(step + 2 for step in BEATS))).item() < 0.1


def test_it_is_pearsons_correlation_of_steps() -> None:
    sounds, moved = heard(bursts("noise")), torch.rand(1, MOTION_STEPS, generator=torch.Generator().manual_seed(0))
    steps = torch.nn.functional.adaptive_avg_pool1d(onset_strength(sounds), MOTION_STEPS)
    expected = np.corrcoef(steps[0].numpy(), moved[0].numpy())[0, 1]
    assert onset_correlation(sounds, moved).item() == pytest.approx(expected, abs=1e-5)
    assert onset_correlation(sounds, 1e-3 * moved + 5).item() == pytest.approx(expected, abs=1e-2), "of any scale"


@pytest.mark.parametrize("level", [0.0, 0.1, 1.0])
def test_constant_motion_and_silence_correlate_with_nothing(level: float) -> None:
    sounds = heard(bursts("click"), np.zeros(CLIP_SAMPLES, np.float32))
    constant = torch.full((2, MOTION_STEPS), level)
    assert onset_correlation(sounds, constant).abs().max() < 0.05
    assert onset_correlation(sounds[1:], motion(*BEATS)).item() == 0


def test_without_motion_it_is_not_a_number_and_the_other_clips_keep_theirs() -> None:
    sounds = heard(bursts("click"), bursts("click"))
    both = torch.cat([motion(*BEATS), torch.full((1, MOTION_STEPS), torch.nan)])
    alone, missing = onset_correlation(sounds, both)
    assert alone == onset_correlation(sounds[:1], both[:1])[0]
    assert missing.isnan()

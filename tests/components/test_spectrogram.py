from __future__ import annotations

import math

import librosa
import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.components.audio import spectrogram
from trainables.components.audio.sizes import SIZES, Size

RATE_HZ, SAMPLES = 22050, 44100


def tone(frequency_hz: float) -> Tensor:
    return 0.5 * torch.sin(2 * math.pi * frequency_hz * torch.arange(SAMPLES) / RATE_HZ)[None]


def sounds(count: int = 2) -> Tensor:
    """Chirps in a little noise."""
    time_s = torch.arange(SAMPLES) / RATE_HZ
    chirps = [torch.sin(2 * math.pi * (300 + 200 * k + 400 * time_s) * time_s) for k in range(count)]
    return 0.3 * torch.stack(chirps) + 0.01 * torch.randn(count, SAMPLES, generator=torch.Generator().manual_seed(0))


def test_a_clip_fills_192_frames_and_512_bins_without_the_constant_one() -> None:
    power = spectrogram.power(tone(100 * RATE_HZ / 1024))
    assert power.shape == (1, 192, 512)
    assert (power[:, 2:-2].argmax(dim=2) == 99).all()
    assert power.sum(dim=2).min() > 0.5 * power.sum(dim=2).max(), "no frame is made of padding"


@pytest.mark.parametrize("size", SIZES)
def test_power_is_averaged_before_the_logarithm(size: Size) -> None:
    power = spectrogram.power(sounds())
    frames, bins = SIZES[size]
    blocks = power.reshape(2, frames, 192 // frames, bins, 512 // bins).mean(dim=(2, 4))
    log_power = spectrogram.log_power(power, size)
    loud = log_power > log_power.amax(dim=(1, 2), keepdim=True) - 18
    torch.testing.assert_close(log_power[loud], (blocks + 1e-6).log()[loud], rtol=1e-3, atol=1e-3)


def test_nothing_lies_more_than_80_db_below_a_clips_maximum() -> None:
    log_power = spectrogram.log_power(spectrogram.power(tone(1000) + 1e-6 * sounds(1)))
    range_db = 10 / math.log(10) * (log_power.max() - log_power.min())
    assert range_db.item() == pytest.approx(80, abs=0.01)


def test_dither_belongs_to_a_clip_and_not_to_its_batch() -> None:
    silence = torch.zeros(3, SAMPLES)
    together = spectrogram.dither(silence, torch.tensor([4, 5, 6]))
    alone = spectrogram.dither(silence[:1], torch.tensor([5]))
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(together[0], together[1])
    assert together.square().mean().sqrt().item() == pytest.approx(1e-4, rel=0.02)


def test_digital_silence_is_not_constant() -> None:
    power = spectrogram.power(spectrogram.dither(torch.zeros(1, SAMPLES), torch.tensor([0])))
    assert spectrogram.log_power(power).std(dim=1).min() > 0.1


def test_interpolation_keeps_block_centres() -> None:
    ramp = torch.arange(48.0)[:, None].expand(48, 128)[None]
    large = spectrogram.resize(ramp, "192x512")
    centres = (torch.arange(192) + 0.5) / 4 - 0.5
    torch.testing.assert_close(large[0, 2:-2, 0], centres[2:-2])
    torch.testing.assert_close(spectrogram.resize(ramp, "48x128"), ramp)


def test_a_larger_size_is_pooled_in_power() -> None:
    power = spectrogram.power(sounds())
    once = spectrogram.log_power(power, "24x64")
    twice = spectrogram.resize(spectrogram.log_power(power, "96x256"), "24x64")
    torch.testing.assert_close(once, twice, atol=0.02, rtol=0)


def test_griffin_lim_is_as_good_as_that_of_librosa() -> None:
    amplitude = spectrogram.power(sounds(1)).sqrt()
    ours = convergence(spectrogram.griffin_lim(amplitude), amplitude)
    full = np.pad(amplitude.transpose(1, 2).numpy(), ((0, 0), (1, 0), (0, 0)))
    settings = {"n_iter": 32, "hop_length": 230, "momentum": 0.99, "length": SAMPLES, "random_state": 0}
    theirs = convergence(torch.from_numpy(librosa.griffinlim(full, pad_mode="reflect", **settings)), amplitude)
    assert ours < 1.1 * theirs


def convergence(waveforms: Tensor, amplitude: Tensor) -> float:
    return float((spectrogram.power(waveforms).sqrt() - amplitude).norm() / amplitude.norm())


def test_the_true_phase_gives_the_sound_back() -> None:
    waveforms = sounds()
    amplitude, phase = spectrogram.power(waveforms).sqrt(), spectrogram.phase(waveforms)
    direct = spectrogram.griffin_lim(amplitude, first_phase=phase, iterations=0)
    torch.testing.assert_close(direct, waveforms, atol=0.01, rtol=0)
    assert convergence(spectrogram.griffin_lim(amplitude, first_phase=phase), amplitude) < 0.01


def test_a_clip_sounds_the_same_in_every_batch() -> None:
    log_power = spectrogram.log_power(spectrogram.power(sounds()), "24x64")
    together = spectrogram.to_waveform(log_power, iterations=4)
    assert together.shape == (2, SAMPLES)
    torch.testing.assert_close(together[1:], spectrogram.to_waveform(log_power[1:], iterations=4), atol=1e-4, rtol=0)


@pytest.mark.parametrize("bands", [64, 80])
def test_mel_bands_share_the_power_between_them(bands: int) -> None:
    filters = spectrogram.mel_filters(bands)
    assert (filters.amax(dim=0) > 0.3).all(), "every band holds a bin"
    torch.testing.assert_close(filters[2:-40].sum(dim=1), torch.ones(512 - 42))

from __future__ import annotations

import math
from collections.abc import Callable

import librosa
import numpy as np
import pytest
import scipy.signal
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio.sound_metrics import (
    mcd_db,
    mel_lsd_db,
    phase_error_rad,
    si_sdr_db,
    spectral_convergence,
)

RATE_HZ, SAMPLES = 22050, 44100
Metric = Callable[[Tensor, Tensor], Tensor]
BEST: dict[Metric, float] = {
    mel_lsd_db: 0,
    mcd_db: 0,
    spectral_convergence: 0,
    si_sdr_db: 100,
    phase_error_rad: 0,
}
every_metric = pytest.mark.parametrize("metric", BEST, ids=lambda metric: metric.__name__)


def noise(seed: int, count: int = 3) -> Tensor:
    return torch.randn(count, SAMPLES, generator=torch.Generator().manual_seed(seed))


def sounds(count: int = 3) -> Tensor:
    """Chirps in a little noise."""
    time_s = torch.arange(SAMPLES) / RATE_HZ
    chirps = [torch.sin(2 * math.pi * (300 + 200 * k + 400 * time_s) * time_s) for k in range(count)]
    return 0.3 * torch.stack(chirps) + 0.01 * noise(0, count)


def spectra(waveforms: Tensor) -> NDArray[np.complex64]:
    """librosa's short-time spectra without the constant bin; shape (clips, bins, frames)."""
    spectra = librosa.stft(waveforms.numpy(), n_fft=1024, hop_length=230, pad_mode="reflect")[:, 1:]
    assert isinstance(spectra, np.ndarray)
    return spectra


def wrapped(angle: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.abs((angle + np.pi) % (2 * np.pi) - np.pi)


@every_metric
def test_a_sound_is_as_near_to_itself_as_can_be(metric: Metric) -> None:
    torch.testing.assert_close(metric(sounds(), sounds()), torch.full((3,), float(BEST[metric])), atol=1e-5, rtol=0)


@every_metric
def test_more_noise_is_further_away(metric: Metric) -> None:
    values = torch.stack([metric(sounds() + level * noise(1), sounds()) for level in (0.001, 0.01, 0.1, 1.0)])
    steps = values.diff(dim=0) * (-1 if BEST[metric] else 1)
    assert (steps > 0).all()


@every_metric
def test_a_clip_is_measured_the_same_alone_and_in_a_batch(metric: Metric) -> None:
    estimate = sounds() + 0.1 * noise(1)
    together = metric(estimate, sounds())
    assert together.unique().numel() == 3
    torch.testing.assert_close(metric(estimate[1:2], sounds()[1:2]), together[1:2])


@every_metric
def test_silence_is_further_from_a_sound_than_the_sound_in_noise(metric: Metric) -> None:
    silence, noisy = torch.zeros(3, SAMPLES), sounds() + 0.1 * noise(1)
    lost = metric(silence, sounds()) - metric(noisy, sounds())
    assert (lost * (-1 if BEST[metric] else 1) > 0).all()
    assert metric(silence, silence).isfinite().all() and metric(sounds(), silence).isfinite().all()


def test_mel_lsd_of_a_sound_at_half_its_amplitude_is_six_db() -> None:
    loud = 0.3 * noise(0)
    torch.testing.assert_close(mel_lsd_db(loud / 2, loud), torch.full((3,), 20 * math.log10(2)), atol=0.01, rtol=0)


def test_nothing_is_missed_of_what_lies_80_db_below_the_loudest() -> None:
    lost_db = mel_lsd_db(torch.zeros(3, SAMPLES), 10 * noise(0))
    assert 60 < lost_db.min() and lost_db.max() < 80


def test_mcd_is_that_of_librosas_cepstra() -> None:
    estimate, target = 0.3 * noise(1), 0.3 * noise(2)
    filters = librosa.filters.mel(sr=RATE_HZ, n_fft=1024, n_mels=80, htk=True, norm=None)[:, 1:]
    cepstra = [
        librosa.feature.mfcc(S=0.5 * np.log(filters @ np.abs(spectra(each)) ** 2 + 1e-12), n_mfcc=14, dct_type=2)
        for each in (estimate, target)
    ]
    distance = np.sqrt(2 / 80 * 2 * ((cepstra[0] - cepstra[1])[:, 1:] ** 2).sum(axis=1))
    expected = torch.from_numpy(10 / np.log(10) * distance.mean(axis=1))
    torch.testing.assert_close(mcd_db(estimate, target), expected.float(), rtol=1e-3, atol=0)


def test_mcd_is_blind_to_the_level_alone() -> None:
    loud = 0.3 * noise(0)
    lowpass = torch.from_numpy(scipy.signal.lfilter([1, 0.9], [1], loud.numpy()).astype(np.float32))
    assert mcd_db(loud / 2, loud).max() < 0.01
    assert mcd_db(lowpass, loud).min() > 1


def test_spectral_convergence_is_that_of_librosas_amplitudes() -> None:
    estimate, target = sounds() + 0.1 * noise(1), sounds()
    amplitudes = [np.abs(spectra(each)) for each in (estimate, target)]
    expected = np.linalg.norm(amplitudes[1] - amplitudes[0], axis=(1, 2)) / np.linalg.norm(amplitudes[1], axis=(1, 2))
    torch.testing.assert_close(spectral_convergence(estimate, target), torch.from_numpy(expected), rtol=1e-3, atol=0)


def test_spectral_convergence_of_silence_is_one() -> None:
    quiet = spectral_convergence(torch.zeros(3, SAMPLES), sounds())
    torch.testing.assert_close(quiet, torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("ratio_db", [-30.0, 0.0, 20.0, 90.0])
@pytest.mark.parametrize("scale", [1.0, -0.2])
def test_si_sdr_is_the_ratio_to_what_is_orthogonal_at_any_scale(ratio_db: float, scale: float) -> None:
    target, other = sounds().double(), noise(1).double()
    distortion = other - (other * target).sum(dim=1, keepdim=True) / target.square().sum(dim=1, keepdim=True) * target
    distortion *= target.norm(dim=1, keepdim=True) / distortion.norm(dim=1, keepdim=True) * 10 ** (-ratio_db / 20)
    measured = si_sdr_db(scale * (target + distortion), target)
    torch.testing.assert_close(measured, torch.full((3,), ratio_db), atol=0.01, rtol=0)


def test_si_sdr_of_silence_is_the_worst() -> None:
    assert si_sdr_db(torch.zeros(3, SAMPLES), sounds()).tolist() == pytest.approx([-100] * 3)


def test_phase_error_is_that_of_librosas_phases() -> None:
    estimate, target = sounds() + 0.1 * noise(1), sounds()
    one, other = spectra(estimate), spectra(target)
    expected = [
        np.average(wrapped(np.angle(a) - np.angle(b)), weights=np.abs(b)) for a, b in zip(one, other, strict=True)
    ]
    assert phase_error_rad(estimate, target).tolist() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("angle_rad", [0.5, 1.5, 3.0])
def test_a_turned_phase_is_an_error_of_its_angle(angle_rad: float) -> None:
    analytic = torch.from_numpy(scipy.signal.hilbert(sounds().numpy()))
    turned = (analytic * np.exp(1j * angle_rad)).real.float()
    torch.testing.assert_close(phase_error_rad(turned, sounds()), torch.full((3,), angle_rad), atol=0.03, rtol=0)


def test_another_noise_has_its_phase_by_chance() -> None:
    torch.testing.assert_close(phase_error_rad(noise(1), noise(2)), torch.full((3,), math.pi / 2), atol=0.02, rtol=0)


def test_silence_is_not_in_phase() -> None:
    torch.testing.assert_close(phase_error_rad(torch.zeros(3, SAMPLES), noise(2)), torch.full((3,), math.pi / 2))

"""The mel representation of the Audiovision report and its inversion, reproduced with their faults.

It follows GANSynth (Engel et al., 2019): log-power and instantaneous frequency on 512 "mel" bands, with a frame every
256 samples. 5,820 zeros precede each clip, so that the first 19 of 192 frames are empty; a clip of another length has
as many zeros as its number of frames needs. The lowest band is empty, and only 403 bands are independent.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from trainables.components.audio.clip import HOP_SAMPLES, RATE_HZ, count_frames, count_samples
from trainables.components.audio.phase import instantaneous_frequency, unwrap
from trainables.components.audio.sizes import BINS
from trainables.components.audio.spectrogram import FFT_SAMPLES, RANGE_NATS
from trainables.components.shapes import FullSpectrograms, Waveforms

OWN_HOP_SAMPLES = 256
EPSILON = 1e-6
"""Added before square roots and logarithms, as in the report."""
MIN_BAND_BINS = 1.5
"""Least width of a band, from its lower to its upper edge."""


def count_padded_frames(frames: int) -> int:
    """Return how many of a clip's frames, at its beginning, contain zeros of the padding."""
    return math.ceil(_count_zeros(frames) / OWN_HOP_SAMPLES)


def _count_zeros(frames: int) -> int:
    """Return the number of zeros before a clip of so many frames."""
    return FFT_SAMPLES + OWN_HOP_SAMPLES * (frames - 1) - count_samples(frames)


def log_mel_power(waveforms: Waveforms) -> FullSpectrograms:
    """Return ln(|S|² M + 1e-6) in nats, with M from `_band_matrix`; it is −13.8 in the padding."""
    power = (_stft(waveforms).abs() + EPSILON).square()
    return (power @ _band_matrix(power.device) + EPSILON).log()


def mel_frequency(waveforms: Waveforms) -> FullSpectrograms:
    """Return the instantaneous frequency of each band in units of π, within ±1.

    As in the report, the phases are unwrapped over time and then mixed by the same matrix as the power.
    """
    return instantaneous_frequency(unwrap(_stft(waveforms).angle()) @ _band_matrix(waveforms.device))


def linear_log_power(log_mel: FullSpectrograms) -> FullSpectrograms:
    """Convert log-power of mel bands to log-power in nats on the full linear grid, with the frames of `spectrogram`.

    The result is floored 80 dB below each clip's maximum.
    """
    power = log_mel.exp() @ _inverse_band_matrix(log_mel.device)
    # The two framings have different hops: interpolate between the two nearest frames of the report.
    frames = power.shape[1]
    centres = (
        torch.arange(frames, device=power.device) * HOP_SAMPLES + _count_zeros(frames) - FFT_SAMPLES / 2
    ) / OWN_HOP_SAMPLES
    below = centres.floor().long().clamp(0, frames - 2)
    share = (centres - below).clamp(0, 1)[:, None]
    log_power = (power + EPSILON).log()
    between = log_power[:, below] * (1 - share) + log_power[:, below + 1] * share
    return torch.maximum(between, between.amax(dim=(1, 2), keepdim=True) - RANGE_NATS)


def to_waveform(log_mel: FullSpectrograms, frequency: FullSpectrograms) -> Waveforms:
    """Synthesize sound from log-power and instantaneous frequency of mel bands, by the report's overlap-add."""
    amplitude = (log_mel.exp() @ _inverse_band_matrix(log_mel.device) + EPSILON).sqrt()
    phase = (math.pi * frequency).cumsum(dim=1) @ _inverse_band_matrix(log_mel.device)
    spectrum = F.pad(torch.polar(amplitude, phase), (1, 0))
    window = torch.hann_window(FFT_SAMPLES, device=log_mel.device)
    frames = torch.fft.irfft(spectrum, n=FFT_SAMPLES)
    # The squares of all windows over a sample sum up to four times their mean.
    scale = 1 / (4 * float(window.square().mean()))
    padded = _overlap_add(scale * window * frames)
    waveforms: Waveforms = padded[:, _count_zeros(frames.shape[1]) :]
    return waveforms


def _stft(waveforms: Waveforms) -> Complex[Tensor, "clips full 512"]:
    """Return the short-time Fourier transform (periodic Hann window) of padded clips, without the 0 Hz bin."""
    padded = F.pad(waveforms, (_count_zeros(count_frames(waveforms.shape[1])), 0))
    window = torch.hann_window(FFT_SAMPLES, device=waveforms.device)
    spectrum: Tensor = torch.fft.rfft(padded.unfold(1, FFT_SAMPLES, OWN_HOP_SAMPLES) * window)
    return spectrum[..., 1:]


def _overlap_add(frames: Float[Tensor, "clips full 1024"]) -> Waveforms:
    length = FFT_SAMPLES + OWN_HOP_SAMPLES * (frames.shape[1] - 1)
    columns = frames.transpose(1, 2)
    folded = F.fold(columns, (1, length), (1, FFT_SAMPLES), stride=(1, OWN_HOP_SAMPLES))
    waveforms: Waveforms = folded[:, 0, 0]
    return waveforms


@lru_cache(maxsize=2)
def _band_matrix(device: torch.device) -> Float[Tensor, "512 512"]:
    """Return the report's matrix M from linear bins to bands.

    The edges of a band narrower than 1.5 bins are moved apart. Its neighbours share these edges, so they change too.
    """
    top = _to_mel(RATE_HZ / 2)
    edges = torch.linspace(0, top, BINS + 2, dtype=torch.float64)
    narrowest_hz = MIN_BAND_BINS * RATE_HZ / 2 / BINS
    for band in range(BINS):
        lower, centre, upper = edges[band : band + 3].tolist()
        if _to_hz(upper) - _to_hz(lower) < narrowest_hz:
            ratio = 0.5 * narrowest_hz / (700 * math.exp(centre / 1127))
            half = 1127 * math.asinh(ratio)
            edges[band], edges[band + 2] = centre - half, centre + half
    lower_hz, centre_hz, upper_hz = (700 * torch.expm1(mel / 1127) for mel in (edges[:-2], edges[1:-1], edges[2:]))
    bins_hz = torch.linspace(0, RATE_HZ / 2, BINS, dtype=torch.float64)[:, None]
    triangles = torch.minimum(
        (bins_hz - lower_hz) / (centre_hz - lower_hz), (upper_hz - bins_hz) / (upper_hz - centre_hz)
    ).clamp(min=0)
    triangles[0] = 0
    return triangles.float().to(device)


@lru_cache(maxsize=2)
def _inverse_band_matrix(device: torch.device) -> Float[Tensor, "512 512"]:
    """Return the report's approximate inverse of M: Mᵀ, its columns divided by the column sums of M Mᵀ."""
    bands = _band_matrix(device)
    total = (bands @ bands.T).sum(dim=0)
    scale = torch.where(total.abs() > 1e-8, 1 / total.clamp(min=1e-8), total)
    return bands.T * scale


def _to_mel(hz: float) -> float:
    return 1127 * math.log(1 + hz / 700)


def _to_hz(mel: float) -> float:
    return 700 * math.expm1(mel / 1127)

"""The report's own representation, faults included: what its experiments saw, and how they made sound of it.

After GANSynth (Engel et al., 2019): frames every 256 samples behind 5,820 zeros, so that the first 19 of 192 frames are
empty; log-power and instantaneous frequency on 512 "mel" bands, of which the lowest is empty and 403 are independent.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from trainables.components.audio.clip import CLIP_SAMPLES, RATE_HZ
from trainables.components.audio.phase import instantaneous_frequency, unwrapped
from trainables.components.audio.spectrogram import BINS, FFT_SAMPLES, FRAMES, HOP_SAMPLES, RANGE_NATS

OWN_HOP_SAMPLES = 256
PADDING_SAMPLES = FFT_SAMPLES + OWN_HOP_SAMPLES * (FRAMES - 1) - CLIP_SAMPLES
PADDED_FRAMES = math.ceil(PADDING_SAMPLES / OWN_HOP_SAMPLES)
"""Frames at the beginning that have zeros in them."""
EPSILON = 1e-6
MIN_BAND_BINS = 1.5

Full = Float[Tensor, "clips 192 512"]
Waveforms = Float[Tensor, "clips samples"]


def log_mel_power(waveforms: Waveforms) -> Full:
    """ln(|S|² M + 1e-6) in nats; −13.8 where the padding is."""
    power = (_frames(waveforms).abs() + EPSILON).square()
    return (power @ _bands(power.device) + EPSILON).log()


def mel_frequency(waveforms: Waveforms) -> Full:
    """Instantaneous frequency in units of π, within ±1, of phases unwrapped over time and mixed into bands."""
    return instantaneous_frequency(unwrapped(_frames(waveforms).angle()) @ _bands(waveforms.device))


def linear_log_power(log_mel: Full) -> Full:
    """Log-power in nats on the full linear grid: of the frames of `spectrogram`, 80 dB below each clip's maximum or
    more."""
    power = log_mel.exp() @ _unbands(log_mel.device)
    # A frame of ours lies between two of theirs.
    centres = (
        torch.arange(FRAMES, device=power.device) * HOP_SAMPLES + PADDING_SAMPLES - FFT_SAMPLES / 2
    ) / OWN_HOP_SAMPLES
    below = centres.floor().long().clamp(0, FRAMES - 2)
    share = (centres - below).clamp(0, 1)[:, None]
    log_power = (power + EPSILON).log()
    between = log_power[:, below] * (1 - share) + log_power[:, below + 1] * share
    return torch.maximum(between, between.amax(dim=(1, 2), keepdim=True) - RANGE_NATS)


def to_waveform(log_mel: Full, frequency: Full) -> Waveforms:
    """Sound of log-power and instantaneous frequency in mel bands, by the report's overlap-add."""
    amplitude = (log_mel.exp() @ _unbands(log_mel.device) + EPSILON).sqrt()
    phase = (math.pi * frequency).cumsum(dim=1) @ _unbands(log_mel.device)
    spectrum = F.pad(torch.polar(amplitude, phase), (1, 0))
    window = torch.hann_window(FFT_SAMPLES, device=log_mel.device)
    frames = torch.fft.irfft(spectrum, n=FFT_SAMPLES)
    # The squares of all windows over a sample sum up to four times their mean.
    scale = 1 / (4 * float(window.square().mean()))
    padded = _overlapped(scale * window * frames)
    waveforms: Waveforms = padded[:, PADDING_SAMPLES:]
    return waveforms


def _frames(waveforms: Waveforms) -> Complex[Tensor, "clips 192 512"]:
    """The short-time Fourier transform (periodic Hann window), without the constant bin."""
    padded = F.pad(waveforms, (PADDING_SAMPLES, 0))
    window = torch.hann_window(FFT_SAMPLES, device=waveforms.device)
    spectrum: Tensor = torch.fft.rfft(padded.unfold(1, FFT_SAMPLES, OWN_HOP_SAMPLES) * window)
    return spectrum[..., 1:]


def _overlapped(frames: Float[Tensor, "clips 192 1024"]) -> Waveforms:
    length = FFT_SAMPLES + OWN_HOP_SAMPLES * (FRAMES - 1)
    columns = frames.transpose(1, 2)
    folded = F.fold(columns, (1, length), (1, FFT_SAMPLES), stride=(1, OWN_HOP_SAMPLES))
    waveforms: Waveforms = folded[:, 0, 0]
    return waveforms


@lru_cache(maxsize=2)
def _bands(device: torch.device) -> Float[Tensor, "512 512"]:
    """The report's matrix M from linear bins to bands.

    Edges of a band that is narrower than 1.5 bins are moved apart, and with them those of its neighbours, which share
    them.
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
    lower_hz, centre_hz, upper_hz = (700 * torch.expm1(part / 1127) for part in (edges[:-2], edges[1:-1], edges[2:]))
    bins_hz = torch.linspace(0, RATE_HZ / 2, BINS, dtype=torch.float64)[:, None]
    triangles = torch.minimum(
        (bins_hz - lower_hz) / (centre_hz - lower_hz), (upper_hz - bins_hz) / (upper_hz - centre_hz)
    ).clamp(min=0)
    triangles[0] = 0
    return triangles.float().to(device)


@lru_cache(maxsize=2)
def _unbands(device: torch.device) -> Float[Tensor, "512 512"]:
    """The report's way back, Mᵀ with columns scaled by those of M Mᵀ."""
    bands = _bands(device)
    total = (bands @ bands.T).sum(dim=0)
    scale = torch.where(total.abs() > 1e-8, 1 / total.clamp(min=1e-8), total)
    return bands.T * scale


def _to_mel(hz: float) -> float:
    return 1127 * math.log(1 + hz / 700)


def _to_hz(mel: float) -> float:
    return 700 * math.expm1(mel / 1127)

"""The short-time Fourier transform of clips, their log-power spectrograms, and the synthesis of sound from them.

Time is the height (frames) and frequency the width (bins): a size is "frames x bins". Log-power is the natural
logarithm of power, in nats; 1 nat is 4.34 dB. Every function works on a batch.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float, Int64
from torch import Tensor

from trainables.components.audio.clip import HOP_SAMPLES, RATE_HZ, count_samples
from trainables.components.audio.sizes import BINS, SIZES, Size, scale_size

FFT_SAMPLES = 1024
DITHER_RMS = 1e-4
"""−80 dBFS."""
POWER_FLOOR = 1e-6
"""Added to power before its logarithm."""
RANGE_NATS = 8 * math.log(10)
"""80 dB: lower values are raised to this distance below the clip's maximum."""
LOUDEST_NATS = 30.0
"""130 dB: louder outputs of a network are clamped to it."""
DB_PER_NAT = 10 / math.log(10)
GRIFFIN_LIM_CLIPS = {"cpu": 4, "cuda": 32}
"""Clips per batch of Griffin-Lim, by device type: 4 fit into the cache of a CPU, 32 take 150 MB of a GPU."""


def dither(waveforms: Float[Tensor, "clips samples"], clips: Int64[Tensor, " clips"]) -> Float[Tensor, "clips samples"]:
    """Add white noise of −80 dBFS, so that no value of a spectrogram is constant.

    Args:
        waveforms: samples within ±1.
        clips: the number of each clip, which determines its noise.
    """
    noise = _noise(waveforms.shape[1], waveforms.device)
    # The factor is prime: consecutive clips begin far apart in the noise.
    start = (clips.to(waveforms.device) * 7919) % len(noise)
    sample = torch.arange(waveforms.shape[1], device=waveforms.device)
    return waveforms + DITHER_RMS * noise[(start[:, None] + sample) % len(noise)]


def dither_recordings(waveforms: Float[Tensor, "clips samples"]) -> Float[Tensor, "clips samples"]:
    """Dither recordings that are no clips of a corpus, with the noise of its first clip.

    What reads recordings was trained on dithered ones. Rendered sounds are not dithered: the magnitudes that they are
    rendered from have learnt the noise already.
    """
    return dither(waveforms, torch.zeros(len(waveforms), dtype=torch.int64))


def power(waveforms: Float[Tensor, "clips samples"]) -> Float[Tensor, "clips full 512"]:
    """Return the power |S|² of `spectrum`."""
    return spectrum(waveforms).abs().square()


def phase(waveforms: Float[Tensor, "clips samples"]) -> Float[Tensor, "clips full 512"]:
    """Return the angles of `spectrum` in radians, within ±π, measured at the first sample of each frame."""
    return spectrum(waveforms).angle()


def spectrum(waveforms: Float[Tensor, "clips samples"]) -> Complex[Tensor, "clips full 512"]:
    """Return the short-time Fourier transform (periodic Hann window of 1,024 samples, reflected edges)."""
    return _stft(waveforms)[:, 1:].transpose(1, 2)


def log_power(power: Float[Tensor, "clips full 512"], size: Size = "192x512") -> Float[Tensor, "clips frames bins"]:
    """Return ln(P + 1e-6) of the power averaged over blocks, floored as by `apply_floor`.

    Averaging before the logarithm removes the speckle of noise instead of sampling it.
    """
    return apply_floor((F.adaptive_avg_pool2d(power, scale_size(size, power.shape[1])) + POWER_FLOOR).log(), power)


def apply_floor(
    log_power: Float[Tensor, "clips frames bins"], power: Float[Tensor, "clips full 512"]
) -> Float[Tensor, "clips frames bins"]:
    """Raise values that are more than 80 dB below the clip's maximum to that floor.

    The maximum is that of the full resolution, so that a clip has the same floor at every size.

    Args:
        log_power: in nats, on any grid.
        power: of the same clips, at full resolution.
    """
    floor = (power.amax(dim=(1, 2), keepdim=True) + POWER_FLOOR).log() - RANGE_NATS
    return torch.maximum(log_power, floor)


def resize(log_power: Float[Tensor, "clips frames bins"], size: Size) -> Float[Tensor, "clips frames2 bins2"]:
    """Convert log-power to another size.

    To a smaller one, power is averaged over blocks; to a larger one, log-power is interpolated between block centres.
    """
    # A grid has as many frames for each of its bins as the size has.
    shape = log_power.shape[1] * SIZES[size][1] // log_power.shape[2], SIZES[size][1]
    if log_power.shape[1:] == shape:
        return log_power
    if log_power.shape[1] > shape[0]:
        return F.adaptive_avg_pool2d(log_power.exp(), shape).log()
    return F.interpolate(log_power[:, None], shape, mode="bilinear", align_corners=False)[:, 0]


def to_waveform(
    log_power: Float[Tensor, "clips frames bins"], *, iterations: int = 32
) -> Float[Tensor, "clips samples"]:
    """Synthesize a clip from log-power in nats of any size, by interpolation and Griffin-Lim."""
    return griffin_lim((resize(log_power, "192x512") / 2).exp(), iterations=iterations)


def synthesize(
    amplitude: Float[Tensor, "clips full 512"], phase: Float[Tensor, "clips full 512"]
) -> Float[Tensor, "clips samples"]:
    """Synthesize sound from amplitudes and a phase in radians, measured as by `phase`."""
    # The amplitudes have no bin at 0 Hz; it is padded with 0.
    return _istft(F.pad(torch.polar(amplitude, phase).transpose(1, 2), (0, 0, 1, 0)))


def griffin_lim(
    amplitude: Float[Tensor, "clips full 512"],
    *,
    first_phase: Float[Tensor, "clips full 512"] | None = None,
    iterations: int = 32,
    momentum: float = 0.99,
) -> Float[Tensor, "clips samples"]:
    """Synthesize sound from amplitudes by the fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard, 2013).

    Args:
        amplitude: magnitudes on the full grid.
        first_phase: the initial phase in radians, measured as by `phase`. Without it, the initial phase is random and
            the same for every clip, so that the result does not depend on the batch.
        iterations: 0 synthesizes with the initial phase.
        momentum: α of the paper.
    """
    size = GRIFFIN_LIM_CLIPS[amplitude.device.type]
    phases = [None] * len(amplitude) if first_phase is None else first_phase.split(size)
    parts = [
        _griffin_lim(part, first, iterations, momentum)
        for part, first in zip(amplitude.split(size), phases, strict=False)
    ]
    return torch.cat(parts) if parts else amplitude.new_zeros(0, count_samples(amplitude.shape[1]))


def _griffin_lim(
    amplitude: Float[Tensor, "clips full 512"],
    first_phase: Float[Tensor, "clips full 512"] | None,
    iterations: int,
    momentum: float,
) -> Float[Tensor, "clips samples"]:
    target = F.pad(amplitude.transpose(1, 2), (0, 0, 1, 0))
    if first_phase is None:
        spectrum = target * _first_phase(target.shape[2], target.device)
    else:
        spectrum = torch.polar(target, F.pad(first_phase.transpose(1, 2), (0, 0, 1, 0)))
    previous = torch.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = _stft(_istft(spectrum))
        direction = consistent - momentum / (1 + momentum) * previous
        spectrum = target * direction / direction.abs().clamp(min=1e-12)
        previous = consistent
    return _istft(spectrum)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def mel_filters(bands: int, device: torch.device | str = "cpu") -> Float[Tensor, "512 bands"]:
    """Return triangles of unit height, equally spaced from 0 to 11,025 Hz on the scale mel = 1127 ln(1 + f / 700)."""
    top = 1127 * math.log(1 + RATE_HZ / 2 / 700)
    edges_hz = 700 * (torch.expm1(torch.linspace(0, top, bands + 2, dtype=torch.float64) / 1127))
    bins_hz = torch.arange(1, BINS + 1, dtype=torch.float64)[:, None] * RATE_HZ / FFT_SAMPLES
    rising = (bins_hz - edges_hz[:-2]) / (edges_hz[1:-1] - edges_hz[:-2])
    falling = (edges_hz[2:] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float().to(device)


def _stft(waveforms: Float[Tensor, "clips samples"]) -> Complex[Tensor, "clips 513 full"]:
    window = torch.hann_window(FFT_SAMPLES, device=waveforms.device)
    return torch.stft(waveforms, FFT_SAMPLES, HOP_SAMPLES, window=window, pad_mode="reflect", return_complex=True)


def _istft(spectrum: Complex[Tensor, "clips 513 full"]) -> Float[Tensor, "clips samples"]:
    window = torch.hann_window(FFT_SAMPLES, device=spectrum.device)
    return torch.istft(spectrum, FFT_SAMPLES, HOP_SAMPLES, window=window, length=count_samples(spectrum.shape[2]))


@lru_cache(maxsize=2)
def _noise(samples: int, device: torch.device) -> Float[Tensor, " samples"]:
    return torch.randn(samples, generator=torch.Generator().manual_seed(0)).to(device)


@lru_cache(maxsize=2)
def _first_phase(frames: int, device: torch.device) -> Complex[Tensor, "513 full"]:
    angle = 2 * math.pi * torch.rand(BINS + 1, frames, generator=torch.Generator().manual_seed(1))
    return torch.polar(torch.ones_like(angle), angle).to(device)

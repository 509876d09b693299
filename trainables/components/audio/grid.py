"""Grids: the frames and bins to which a spectrogram is reduced for a network, and the expansion to the full grid.

Metrics are computed after the expansion, so that trials on different grids are comparable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trainables.components.audio import audiovision, spectrogram
from trainables.components.audio.clip import RATE_HZ
from trainables.components.audio.sizes import BINS, SIZES, Reduction, RepresentationName, Size, scale_size
from trainables.components.audio.spectrogram import FFT_SAMPLES, POWER_FLOOR
from trainables.components.shapes import FullSpectrograms, Spectrograms, Waveforms

MIN_HALF_WIDTH_BINS = 1.0
"""Least half-width of a mel band: a narrower triangle could lie between two bins, and its band would be empty."""

Resized = Float[Tensor, "clips frames2 bins2"]


@dataclass(frozen=True)
class Grid:
    """The frames and bins of a log-power spectrogram.

    Attributes:
        size: frames x bins in a clip of 192 frames at full resolution. Longer clips have more frames.
        representation: `linear` in frequency, `mel` bands, or `audiovision`: the mel bands and the framing of the
            Audiovision report.
        reduction: how the full resolution is reduced to the size: `pool` takes the mean power of each block;
            `decimate` takes its first value, as in the report, which keeps the speckle of noise.
    """

    size: Size = "48x128"
    representation: RepresentationName = "linear"
    reduction: Reduction = "pool"

    @property
    def name(self) -> str:
        """The unique name of the grid, used for cache files."""
        return "-".join([self.representation, self.size, self.reduction])

    @property
    def label(self) -> str:
        """The name in tables: the size, followed by what differs from a pooled linear grid."""
        words: list[str] = [self.size]
        if self.representation != "linear":
            words.append(self.representation)
        if self.reduction != "pool":
            words.append(self.reduction)
        return " ".join(words)

    @property
    def is_dithered(self) -> bool:
        """Whether sounds are dithered first, so that no value is constant; the report did not dither."""
        return self.representation != "audiovision"

    def count_padded_frames(self, frames: int) -> int:
        """Return the number of frames at the beginning of every clip that contain padding, of so many on the grid."""
        if self.representation != "audiovision":
            return 0
        # Rounded up.
        return -(-audiovision.count_padded_frames(frames * self.step) // self.step)

    def shape(self, full_frames: int) -> tuple[int, int]:
        """Return the numbers of frames and bins of clips with so many frames at full resolution."""
        return scale_size(self.size, full_frames)

    @property
    def bins(self) -> int:
        """The number of bins."""
        return SIZES[self.size][1]

    @property
    def step(self) -> int:
        """The number of full-resolution frames per frame of the grid; the same holds for bins."""
        return BINS // self.bins

    def log_power(self, waveforms: Waveforms) -> Spectrograms:
        """Compute log-power in nats on the grid, floored 80 dB below each clip's maximum.

        `audiovision` has no such floor, as in the report.
        """
        if self.representation == "audiovision":
            log_mel = audiovision.log_mel_power(waveforms)
            if self.reduction == "decimate":
                return self._decimate(log_mel)
            return self._pool(log_mel.exp()).log()
        power = spectrogram.power(waveforms)
        if self.representation == "linear" and self.reduction == "pool":
            return spectrogram.log_power(power, self.size)
        if self.representation == "linear":
            return self._decimate(spectrogram.log_power(power))
        if self.reduction == "decimate":
            mel = self._decimate(power @ mel_bands(BINS, power.device))
        else:
            mel = F.adaptive_avg_pool2d(power, (power.shape[1] // self.step, BINS)) @ mel_bands(self.bins, power.device)
        return spectrogram.apply_floor((mel + POWER_FLOOR).log(), power)

    def to_full(self, log_power: Spectrograms) -> FullSpectrograms:
        """Expand log-power on the grid to the full linear grid.

        Pooled values are interpolated between the centres of their blocks; decimated ones are repeated, as in the
        report.
        """
        if self.representation == "audiovision":
            return audiovision.linear_log_power(self.repeat(log_power))
        if self.representation == "linear":
            if self.reduction == "decimate":
                return self.repeat(log_power)
            return spectrogram.resize(log_power, "192x512")
        if self.reduction == "pool":
            size = log_power.shape[1] * self.step, log_power.shape[2]
            frames = F.interpolate(log_power[:, None], size, mode="bilinear", align_corners=False)[:, 0]
        else:
            frames = self.repeat(log_power)
        return frames @ _interpolation_weights(frames.shape[2], frames.device)

    def resize(self, log_power: Spectrograms, size: Size) -> Resized:
        """Convert log-power on this grid to a pooled linear grid of the given size."""
        # A pooled linear grid is resized directly: interpolating it first would make it smoother than its target.
        if self.representation != "linear" or self.reduction != "pool":
            log_power = self.to_full(log_power)
        return spectrogram.resize(log_power, size)

    def _decimate(self, full: FullSpectrograms) -> Spectrograms:
        return full[:, :: self.step, :: self.step]

    def _pool(self, full: FullSpectrograms) -> Spectrograms:
        return F.adaptive_avg_pool2d(full, self.shape(full.shape[1]))

    def repeat(self, values: Spectrograms) -> FullSpectrograms:
        """Expand values to the full resolution by repeating each over its block."""
        return values.repeat_interleave(self.step, dim=1).repeat_interleave(self.step, dim=2)


def mel_bands(bands: int, device: torch.device) -> Float[Tensor, "512 bands"]:
    """Return weights for the mean power of each band: triangles around `_centres_hz`, at least two bins wide."""
    return _mel_bands(bands).to(device)


@lru_cache(maxsize=4)
def _mel_bands(bands: int) -> Float[Tensor, "512 bands"]:
    bins_hz = torch.arange(1, BINS + 1, dtype=torch.float64)[:, None] * RATE_HZ / FFT_SAMPLES
    centres = _centres_hz(bands)
    edges = torch.cat([2 * centres[:1] - centres[1:2], centres, 2 * centres[-1:] - centres[-2:-1]])
    narrowest = MIN_HALF_WIDTH_BINS * RATE_HZ / FFT_SAMPLES
    below = (centres - edges[:-2]).clamp(min=narrowest)
    above = (edges[2:] - centres).clamp(min=narrowest)
    distance = bins_hz - centres
    triangles = (1 - torch.where(distance < 0, -distance / below, distance / above)).clamp(min=0)
    return (triangles / triangles.sum(dim=0)).float()


@lru_cache(maxsize=4)
def _interpolation_weights(bands: int, device: torch.device) -> Float[Tensor, "bands 512"]:
    """Return weights that interpolate log-power linearly from the centres of mel bands to linear bins."""
    bins_hz = torch.arange(1, BINS + 1, dtype=torch.float64) * RATE_HZ / FFT_SAMPLES
    centres = _centres_hz(bands)
    above = torch.searchsorted(centres, bins_hz).clamp(1, bands - 1)
    share = ((bins_hz - centres[above - 1]) / (centres[above] - centres[above - 1])).clamp(0, 1)
    weights = torch.zeros(bands, BINS, dtype=torch.float64)
    column = torch.arange(BINS)
    weights[above - 1, column] += 1 - share
    weights[above, column] += share
    return weights.float().to(device)


def _centres_hz(bands: int) -> Float[Tensor, " bands"]:
    """Return band centres that are equally spaced on the scale mel = 1127 ln(1 + f / 700), over all bins."""
    first, last = (1127 * math.log(1 + k * RATE_HZ / FFT_SAMPLES / 700) for k in (1, BINS))
    return 700 * torch.expm1(torch.linspace(first, last, bands, dtype=torch.float64) / 1127)

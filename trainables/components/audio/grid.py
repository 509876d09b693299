"""Grids: what is left of a spectrogram for a network, and the way back to the full linear one.

Trials are compared behind that way back, so that grids can be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trainables.components.audio import audiovision, spectrogram
from trainables.components.audio.clip import RATE_HZ
from trainables.components.audio.spectrogram import BINS, FFT_SAMPLES, FRAMES, POWER_FLOOR, SIZES, Size

RepresentationName = Literal["linear", "mel", "audiovision"]
Reduction = Literal["pool", "decimate"]
MIN_HALF_WIDTH_BINS = 1.0
"""Half of a mel band's width: a narrower triangle may fall between two bins and hold nothing."""

Batch = Float[Tensor, "clips frames bins"]
Resized = Float[Tensor, "clips frames2 bins2"]
Full = Float[Tensor, "clips 192 512"]
Waveforms = Float[Tensor, "clips samples"]


@dataclass(frozen=True)
class Grid:
    """On which frames and bins a log-power spectrogram is held.

    Attributes:
        size: frames x bins.
        representation: what the bins are: `linear` in frequency; `mel` bands; `audiovision`, the report's own mel
            bands, with its framing.
        reduction: how the full resolution becomes the size: the mean power of blocks, or the first value of each, as
            in the report, which keeps the speckle of noise.
    """

    size: Size = "48x128"
    representation: RepresentationName = "linear"
    reduction: Reduction = "pool"

    @property
    def name(self) -> str:
        """Tells it from every other one."""
        return "-".join([self.representation, self.size, self.reduction])

    @property
    def label(self) -> str:
        """How tables call it: the size alone where nothing else is unusual."""
        other = [self.representation] * (self.representation != "linear") + [self.reduction] * (
            self.reduction != "pool"
        )
        return " ".join([self.size, *other])

    @property
    def is_dithered(self) -> bool:
        """Whether the sounds are, so that no value is constant; the report's were not."""
        return self.representation != "audiovision"

    @property
    def padded_frames(self) -> int:
        """Frames at the beginning of every clip that are made of padding, in part or whole."""
        return -(-audiovision.PADDED_FRAMES // self.step) if self.representation == "audiovision" else 0

    @property
    def shape(self) -> tuple[int, int]:
        """Frames and bins."""
        return SIZES[self.size]

    @property
    def step(self) -> int:
        """Frames (and bins) of the full resolution in one of the grid's."""
        return FRAMES // self.shape[0]

    def log_power(self, waveforms: Waveforms) -> Batch:
        """Log-power in nats of sounds, floored 80 dB below each clip's maximum (`audiovision` as the report has it)."""
        if self.representation == "audiovision":
            log_mel = audiovision.log_mel_power(waveforms)
            return self._thinned(log_mel) if self.reduction == "decimate" else self._pooled(log_mel.exp()).log()
        power = spectrogram.power(waveforms)
        if self.representation == "linear" and self.reduction == "pool":
            return spectrogram.log_power(power, self.size)
        if self.representation == "linear":
            return self._thinned(spectrogram.log_power(power))
        if self.reduction == "decimate":
            mel = self._thinned(power @ mel_bands(BINS, power.device))
        else:
            mel = F.adaptive_avg_pool2d(power, (self.shape[0], BINS)) @ mel_bands(self.shape[1], power.device)
        return spectrogram.floored((mel + POWER_FLOOR).log(), power)

    def full(self, log_power: Batch) -> Full:
        """The same on the full linear grid: interpolated between the centres of pooled blocks, or the one value of a
        block repeated, as in the report."""
        if self.representation == "audiovision":
            return audiovision.linear_log_power(self.repeated(log_power))
        if self.representation == "linear":
            return spectrogram.resized(log_power, "192x512") if self.reduction == "pool" else self.repeated(log_power)
        if self.reduction == "pool":
            frames = F.interpolate(
                log_power[:, None], (FRAMES, log_power.shape[2]), mode="bilinear", align_corners=False
            )[:, 0]
        else:
            frames = self.repeated(log_power)
        return frames @ _between_bands(frames.shape[2], frames.device)

    def resized(self, log_power: Batch, size: Size) -> Resized:
        """The same on a pooled linear grid of a size."""
        # Pooled to a smaller size directly, since what is interpolated first is smoother than what it is compared with.
        is_pooled = self.representation == "linear" and self.reduction == "pool"
        return spectrogram.resized(log_power if is_pooled else self.full(log_power), size)

    def _thinned(self, full: Full) -> Batch:
        return full[:, :: self.step, :: self.step]

    def _pooled(self, full: Full) -> Batch:
        return F.adaptive_avg_pool2d(full, self.shape)

    def repeated(self, values: Batch) -> Full:
        """Every value as often as the full resolution has frames and bins in its place."""
        return values.repeat_interleave(self.step, dim=1).repeat_interleave(self.step, dim=2)


def mel_bands(bands: int, device: torch.device) -> Float[Tensor, "512 bands"]:
    """Weights that make the mean power of each band: triangles around `_centres_hz`, two bins wide or more."""
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
def _between_bands(bands: int, device: torch.device) -> Float[Tensor, "bands 512"]:
    """Weights that interpolate log-power linearly between the centres of mel bands."""
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
    """Equally spaced on the scale mel = 1127 ln(1 + f / 700), from the first bin to the last."""
    first, last = (1127 * math.log(1 + k * RATE_HZ / FFT_SAMPLES / 700) for k in (1, BINS))
    return 700 * torch.expm1(torch.linspace(first, last, bands, dtype=torch.float64) / 1127)

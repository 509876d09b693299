"""Distances between log-power spectrograms at several resolutions and in mel bands.

The losses of vocoders compare STFTs of two waveforms. Here both sides are spectrograms on the trial's grid already.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trainables.components.audio.grid import mel_bands
from trainables.components.audio.sizes import BINS
from trainables.components.audio.spectrogram import LOUDEST_NATS
from trainables.components.shapes import Scalar

LogPower = Float[Tensor, "clips *channels frames bins"]
Maps = Float[Tensor, "clips 1 frames bins"]

RESOLUTIONS = ((1, 1), (4, 1), (1, 4))
"""Frames and bins that are pooled: none, as of a longer window, as of a shorter window."""
MEL_BANDS = (10, 20, 40, 80)
"""Numbers of bands, of which a grid gets those that it has enough bins for."""
BANDS_PER_BIN = 80 / 128
"""The most bands for each bin: 80 for 128 bins, of which 77 differ, 40 for 64. Of 80 for 64 bins, 69 would differ."""
LEAST_POWER = 1e-10
"""Added to power before a logarithm; silence has about 1e-6."""


def multi_resolution(estimate: LogPower, target: LogPower) -> Scalar:
    """Return the mean over `RESOLUTIONS` of ‖A − Â‖ / ‖A‖ + mean |ln A − ln Â|, where A is the magnitude.

    The norms are Frobenius norms of each clip. These are equations 4 to 6 of Yamamoto, Song and Kim (2020).

    Args:
        estimate: log-power in nats.
        target: the same.
    """
    powers = [_power(batch) for batch in (estimate, target)]
    terms = []
    for frames, bins in RESOLUTIONS:
        size = min(frames, powers[0].shape[2]), min(bins, powers[0].shape[3])
        pooled = [F.avg_pool2d(power, size, ceil_mode=True, count_include_pad=False) for power in powers]
        magnitudes = [(power + LEAST_POWER).sqrt().flatten(1) for power in pooled]
        squared_error = (magnitudes[0] - magnitudes[1]).square().sum(dim=1)
        # Without the small number the gradient of the root would not be finite at the target.
        convergence = (squared_error / magnitudes[1].square().sum(dim=1) + 1e-12).sqrt()
        log_distance = (magnitudes[0].log() - magnitudes[1].log()).abs().mean(dim=1)
        terms.append((convergence + log_distance).mean())
    return torch.stack(terms).mean()


def mel(estimate: LogPower, target: LogPower) -> Scalar:
    """Return the mean absolute difference of ln power in mel bands, mean over those of `MEL_BANDS` that fit the bins.

    Args:
        estimate: log-power in nats, whose bins are equally spaced in Hz up to half the sampling rate.
        target: the same.
    """
    powers = [_power(batch) for batch in (estimate, target)]
    terms = []
    bins = powers[0].shape[3]
    for count in [count for count in MEL_BANDS if count <= BANDS_PER_BIN * bins] or MEL_BANDS[:1]:
        bands = _bands(count, bins, powers[0].device)
        logs = [(power @ bands + LEAST_POWER).log() for power in powers]
        terms.append((logs[0] - logs[1]).abs().mean())
    return torch.stack(terms).mean()


def _power(log_power: LogPower) -> Maps:
    """Return power as maps of one channel; an untrained network's log-power could overflow without the limit."""
    frames, bins = log_power.shape[-2:]
    power: Maps = log_power.clamp(max=LOUDEST_NATS).exp().reshape(len(log_power), 1, frames, bins)
    return power


def _bands(count: int, bins: int, device: torch.device) -> Float[Tensor, "bins bands"]:
    """Return weights for the mean power in mel bands of bins that each stand for a block of full-resolution bins."""
    bands: Float[Tensor, "bins bands"] = mel_bands(count, device).unflatten(0, (bins, BINS // bins)).sum(dim=1)
    return bands

"""Augmentations of waveforms: clips that a model trains on, changed anew whenever they are read.

To add one, write a function of clips and the source of randomness, both on the processor, that returns the changed
clips, with `@WAVEFORM_AUGMENTATIONS.register` here or in a file that `components:` names.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.components.audio.clip import RATE_HZ
from trainables.components.audio.registries import WAVEFORM_AUGMENTATIONS
from trainables.components.shapes import Waveforms

MOST_GAIN_DB = 6.0
MIXED_SHARE = 0.5
"""The share of clips that get another clip mixed in."""
MOST_OTHER_POWER = 0.5
"""The largest part of a mixture's power that is the other clip's."""
MOST_HIDDEN_TIME = 0.2
MOST_HIDDEN_BAND = 0.15
"""The longest stretch that is hidden, as a part of the clip, and the widest band, as a part of all frequencies."""
FADE_S = 0.005
"""A stretch fades in and out over this time; without it, its ends would click."""
LEAST_RMS = 1e-4


@WAVEFORM_AUGMENTATIONS.register("gain")
def gain(waveforms: Waveforms, generator: torch.Generator) -> Waveforms:
    """Make clips louder or softer by up to `MOST_GAIN_DB`."""
    gain_db = MOST_GAIN_DB * (2 * _draw(waveforms, generator) - 1)
    return waveforms * 10 ** (gain_db / 20)


@WAVEFORM_AUGMENTATIONS.register("shift")
def shift(waveforms: Waveforms, generator: torch.Generator) -> Waveforms:
    """Move clips in time; what leaves a clip at its end comes in at its beginning."""
    num_samples = waveforms.shape[1]
    starts = torch.randint(num_samples, (len(waveforms), 1), generator=generator)
    return waveforms.gather(1, (torch.arange(num_samples) + starts) % num_samples)


@WAVEFORM_AUGMENTATIONS.register("mix")
def mix(waveforms: Waveforms, generator: torch.Generator) -> Waveforms:
    """Add another clip of the batch to half of the clips, as loud as they are before both are weighted.

    The weights are square roots of shares that add up to 1, so that the power stays what it was (as in between-class
    learning; Tokozume, Ushiku and Harada, 2018).
    """
    others = waveforms.roll(1, dims=0)
    rms, other_rms = (
        sounds.square().mean(dim=1, keepdim=True).sqrt().clamp(min=LEAST_RMS) for sounds in (waveforms, others)
    )
    share = MOST_OTHER_POWER * _draw(waveforms, generator)
    is_mixed = _draw(waveforms, generator) < MIXED_SHARE
    mixed = (1 - share).sqrt() * waveforms + share.sqrt() * others * rms / other_rms
    return torch.where(is_mixed, mixed, waveforms)


@WAVEFORM_AUGMENTATIONS.register("mask")
def mask(waveforms: Waveforms, generator: torch.Generator) -> Waveforms:
    """Silence a stretch of time, and remove a band of frequencies (SpecAugment; Park et al., 2019)."""
    num_samples = waveforms.shape[1]
    spectra = torch.fft.rfft(waveforms)
    hidden_band = _hide(spectra.shape[1], MOST_HIDDEN_BAND, _draw(waveforms, generator), _draw(waveforms, generator))
    filtered = torch.fft.irfft(spectra * ~hidden_band, num_samples)
    hidden_time = _hide(num_samples, MOST_HIDDEN_TIME, _draw(waveforms, generator), _draw(waveforms, generator))
    fade = math.floor(FADE_S * RATE_HZ)
    # The means of neighbours, without what is beyond the ends of a clip.
    shares = F.avg_pool1d((~hidden_time).float()[:, None], 2 * fade + 1, 1, fade, count_include_pad=False)[:, 0]
    masked: Waveforms = filtered * shares
    return masked


def _hide(
    length: int, most: float, width: Float[Tensor, "clips 1"], place: Float[Tensor, "clips 1"]
) -> Bool[Tensor, "clips length"]:
    """Return where a range lies that is at most a part `most` of the length."""
    size = width * most * length
    start = place * (length - size)
    position = torch.arange(length)
    return (position >= start) & (position < start + size)


def _draw(waveforms: Waveforms, generator: torch.Generator) -> Float[Tensor, "clips 1"]:
    """Draw a number in 0..1 for each clip."""
    return torch.rand(len(waveforms), 1, generator=generator)

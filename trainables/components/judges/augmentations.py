"""Augmentations of what the corpus judge of sounds learns from, beside those that it always has (see `training`).

They change batches of log-mel spectrograms, in which a gain, a filter or the sum of two sounds that don't know of each
other is what it would be for the waveforms.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from trainables.components.judges.batch import Batch
from trainables.components.judges.registries import AUGMENTATIONS
from trainables.components.judges.weights import MEL_BANDS

MIXED_SHARE = 0.5
"""The share of clips that get another clip mixed in."""
MOST_BANDS = 3
"""Mel bands by which a pitch is moved at most."""
SPEEDS = (0.8, 1.25)
TILT_NATS = 1.0
TILT_KNOTS = 4
"""Standard deviation of a filter's log-power at so many frequencies; between them it is interpolated."""
LEAST_SHARE = 1e-4
VERSIONS = {"mix": 2}
"""The versions of augmentations that have changed, so that judges are trained anew."""


@AUGMENTATIONS.register("mix")
def mix(batch: Batch, draw: Callable[[], Batch], generator: torch.Generator) -> Batch:
    """Add another sound to half of the clips; the classes share the target as the sounds share the power.

    Between-class learning (Tokozume, Ushiku and Harada, 2018) with the mean power instead of a gain by loudness: the
    other sound gets the power of the clip before the two are weighted.
    """
    other, count = draw(), len(batch.mels)
    level, other_level = (mels.logsumexp(dim=(1, 2), keepdim=True) for mels in (batch.mels, other.mels))
    share = torch.rand(count, generator=generator)
    is_mixed = torch.rand(count, generator=generator) < MIXED_SHARE
    share = torch.where(is_mixed, share, torch.ones(count))[:, None]
    gains, other_gains = (part.clamp(min=LEAST_SHARE).log()[..., None] for part in (share, 1 - share))
    mels = torch.logaddexp(batch.mels + gains, other.mels + level - other_level + other_gains)
    mels = torch.where(is_mixed[:, None, None], mels, batch.mels)
    return Batch(mels, share * batch.targets + (1 - share) * other.targets)


@AUGMENTATIONS.register("pitch")
def pitch(batch: Batch, draw: Callable[[], Batch], generator: torch.Generator) -> Batch:
    """Move the spectra by up to `MOST_BANDS` mel bands; the outermost band is repeated."""
    shift = torch.randint(-MOST_BANDS, MOST_BANDS + 1, (len(batch.mels), 1, 1), generator=generator)
    bands = (torch.arange(MEL_BANDS) + shift).clamp(0, MEL_BANDS - 1)
    return Batch(batch.mels.gather(2, bands.expand(-1, batch.mels.shape[1], -1)), batch.targets)


@AUGMENTATIONS.register("speed")
def speed(batch: Batch, draw: Callable[[], Batch], generator: torch.Generator) -> Batch:
    """Play clips faster or slower without a change of pitch; the last frame of a fast one is repeated."""
    low, high = (math.log(factor) for factor in SPEEDS)
    factor = (low + (high - low) * torch.rand(len(batch.mels), 1, generator=generator)).exp()
    last = batch.mels.shape[1] - 1
    position = (torch.arange(last + 1) * factor).clamp(max=last)
    before = position.long()
    after = (before + 1).clamp(max=last)
    weight = (position - before)[..., None]
    clips = torch.arange(len(batch.mels))[:, None]
    return Batch(batch.mels[clips, before].lerp(batch.mels[clips, after], weight), batch.targets)


@AUGMENTATIONS.register("filter")
def filter_bands(batch: Batch, draw: Callable[[], Batch], generator: torch.Generator) -> Batch:
    """Filter clips as another microphone or room would: a smooth random gain over frequency."""
    knots = TILT_NATS * torch.randn(len(batch.mels), 1, TILT_KNOTS, generator=generator)
    gains = F.interpolate(knots, MEL_BANDS, mode="linear", align_corners=True)
    return Batch(batch.mels + gains, batch.targets)

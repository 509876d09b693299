"""The correlation of sound onsets with motion in the video."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trainables.components.audio.sound_metrics import MEL_BANDS
from trainables.components.audio.spectrogram import DB_PER_NAT, POWER_FLOOR, mel_filters, power


def onset_strength(sounds: Float[Tensor, "clips samples"]) -> Float[Tensor, "clips steps"]:
    """Compute the spectral flux: the rise in dB from frame to frame, averaged over 80 mel bands; falls count as 0.

    It follows librosa's `onset_strength` (Böck and Widmer, 2013).
    """
    levels_db = DB_PER_NAT * (power(sounds) @ mel_filters(MEL_BANDS, sounds.device) + POWER_FLOOR).log()
    return levels_db.diff(dim=1).clamp(min=0).mean(dim=2)


def onset_correlation(
    sounds: Float[Tensor, "clips samples"], motion: Float[Tensor, "clips steps2"]
) -> Float[Tensor, " clips"]:
    """Compute Pearson's correlation of onset strength with motion, at the rate of the motion.

    Returns:
        Values from −1 to 1. Chance is 0; it is also 0 where one of the two is constant, and NaN where the motion is.
    """
    onsets = F.adaptive_avg_pool1d(onset_strength(sounds)[:, None], motion.shape[1])[:, 0]
    centred_onsets, centred_motion = (
        series - series.mean(dim=1, keepdim=True) for series in (onsets, motion.to(onsets))
    )
    return F.cosine_similarity(centred_onsets, centred_motion, dim=1)

"""Whether what is heard begins when something moves."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trainables.components.audio.sound_metrics import MEL_BANDS
from trainables.components.audio.spectrogram import DB_PER_NAT, POWER_FLOOR, mel_filters, power


def onset_strength(sounds: Float[Tensor, "clips samples"]) -> Float[Tensor, "clips steps"]:
    """How much louder, in dB and on average over 80 mel bands, each frame is than the one before it: spectral flux, as
    librosa's `onset_strength` (Böck and Widmer, 2013)."""
    levels_db = DB_PER_NAT * (power(sounds) @ mel_filters(MEL_BANDS, sounds.device) + POWER_FLOOR).log()
    return levels_db.diff(dim=1).clamp(min=0).mean(dim=2)


def onset_correlation(
    sounds: Float[Tensor, "clips samples"], motion: Float[Tensor, "clips steps2"]
) -> Float[Tensor, " clips"]:
    """Pearson's correlation of onsets with motion, from −1 to 1, at motion's rate: 0 by chance, and where one of them
    never changes; not a number without motion."""
    onsets = F.adaptive_avg_pool1d(onset_strength(sounds)[:, None], motion.shape[1])[:, 0]
    centred_onsets, centred_motion = (
        series - series.mean(dim=1, keepdim=True) for series in (onsets, motion.to(onsets))
    )
    return F.cosine_similarity(centred_onsets, centred_motion, dim=1)

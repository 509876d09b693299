"""Whether the ranking of trials still changes when they train for longer, on which PASHA's top rung depends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NOISE_QUANTILE = 0.9
"""The part of the distances between trials with crossing curves that counts as noise (Bohdal et al., 2023, N = 90)."""


def is_ranking_stable(losses: Sequence[Sequence[float]], below: int) -> bool:
    """Return whether trials are ranked at their last epoch as at an earlier one, apart from noise.

    Soft ranking (Bohdal et al., "PASHA", ICLR 2023, section 4.2): at each place of the ranking at the last epoch has to
    be a trial whose earlier loss differs by at most the noise from that of the trial which had this place earlier.

    Args:
        losses: the best loss so far of each trial after each epoch, of shape (trials, epochs).
        below: the earlier epoch, from 1 on.
    """
    by_trial = np.asarray(losses, dtype=float)
    if len(by_trial) < 2:
        return True
    earlier, last = by_trial[:, below - 1], by_trial[:, -1]
    ranked_earlier = np.sort(earlier)
    in_last_order = earlier[np.argsort(last, kind="stable")]
    return bool(np.all(np.abs(in_last_order - ranked_earlier) <= estimate_noise(by_trial)))


def estimate_noise(losses: np.ndarray) -> float:
    """Return the distance below which a difference between two trials is noise.

    If the curves of two trials cross twice, their order changes at random: the distance between them is noise. The
    result is the 90th percentile of these distances at the last epoch (Bohdal et al., 2023, section 4.2); 0 without
    such pairs.

    Args:
        losses: of shape (trials, epochs).
    """
    order = np.zeros((len(losses), len(losses)))
    crossings = np.zeros(order.shape, dtype=int)
    for values in losses.T:
        signs = np.sign(values[:, None] - values)
        crossings += (signs * order) < 0
        order = np.where(signs == 0, order, signs)
    distances = np.abs(losses[:, None, -1] - losses[:, -1])[np.triu(crossings >= 2)]
    return float(np.quantile(distances, NOISE_QUANTILE)) if distances.size else 0.0

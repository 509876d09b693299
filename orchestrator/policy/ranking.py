"""Whether the ranking of trials still changes when they train for longer, on which PASHA's top rung depends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NOISE_QUANTILE = 0.9
"""The part of the distances between trials with crossing curves that counts as noise (Bohdal et al., 2023, N = 90)."""
MAX_TRIALS_OF_NOISE = 500
"""How many trials the noise is estimated from.

Every pair of them is compared, at each report at the top rung: that takes 0.03 s with 500 trials, and over a second
with 10,000. 500 have 125,000 pairs, plenty for a percentile. They are the newest ones, which a sampler has
drawn to where the ranking matters. If they are more alike than others, the noise is smaller: the top rung rises sooner.
"""
BLOCK = 256
"""How many trials are compared with all others at once, so that memory grows with the trials, not with the pairs."""


def is_ranking_stable(losses: Sequence[Sequence[float]], below: int) -> bool:
    """Return whether trials are ranked at their last epoch as at an earlier one, apart from noise.

    Soft ranking (Bohdal et al., "PASHA", ICLR 2023, section 4.2): at each place of the ranking at the last epoch has to
    be a trial whose earlier loss differs by at most the noise from that of the trial which had this place earlier.

    Args:
        losses: the best loss so far of each trial after each epoch, of shape (trials, epochs); the newest trial last.
        below: the earlier epoch, from 1 on.
    """
    by_trial = np.asarray(losses, dtype=float)
    if len(by_trial) < 2:
        return True
    earlier, last = by_trial[:, below - 1], by_trial[:, -1]
    ranked_earlier = np.sort(earlier)
    in_last_order = earlier[np.argsort(last, kind="stable")]
    if np.array_equal(in_last_order, ranked_earlier):
        return True
    noise = estimate_noise(by_trial[-MAX_TRIALS_OF_NOISE:])
    return bool(np.all(np.abs(in_last_order - ranked_earlier) <= noise))


def estimate_noise(losses: np.ndarray) -> float:
    """Return the distance below which a difference between two trials is noise.

    If the curves of two trials cross twice, their order changes at random: the distance between them is noise. The
    result is the 90th percentile of these distances at the last epoch (Bohdal et al., 2023, section 4.2); 0 without
    such pairs.

    Args:
        losses: of shape (trials, epochs).
    """
    blocks = [_noisy_distances(losses[start:], BLOCK) for start in range(0, len(losses), BLOCK)]
    distances = np.concatenate(blocks) if blocks else np.empty(0)
    return float(np.quantile(distances, NOISE_QUANTILE)) if distances.size else 0.0


def _noisy_distances(losses: np.ndarray, num_first: int) -> np.ndarray:
    """Return the distances at the last epoch of the first trials from each later one whose curve crosses theirs twice.

    Args:
        losses: of shape (trials, epochs).
        num_first: how many trials are compared with all that come after them.
    """
    first = losses[:num_first]
    shape = len(first), len(losses)
    # Where a trial was worse, or better, than another one when they last differed.
    was_above, was_below = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    crossed, crossed_twice = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for own, others in zip(first.T[:, :, None], losses.T, strict=True):
        is_above, is_below = own > others, own < others
        crosses = (is_above & was_below) | (is_below & was_above)
        crossed_twice |= crossed & crosses
        crossed |= crosses
        was_above, was_below = is_above | (was_above & ~is_below), is_below | (was_below & ~is_above)
    distances: np.ndarray = np.abs(first[:, None, -1] - losses[:, -1])
    return distances[np.triu(crossed_twice)]

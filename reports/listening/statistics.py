"""Intervals, tests and agreement of listeners' answers, and what a number of answers can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reports.listening.design import SCALE

CONFIDENCE = 0.95
ROUNDING_SD = 1 / 12**0.5
"""Of ratings that differ only by their rounding to whole numbers: two equal ratings are no proof that all would be."""
TYPICAL_SD = 1.0
"""Of ratings of one system, on the scale from 1 to 5; what is known beforehand is only about how large it will be."""


@dataclass(frozen=True)
class Estimate:
    """A mean or a share with its interval, which a single rating has not."""

    value: float
    low: float | None
    high: float | None
    count: int


def mean_opinion(ratings: Sequence[float]) -> Estimate:
    """Mean with Student's t interval over ratings, one for each listener and clip, cut at the ends of the scale.

    Ratings count as independent, as in ITU-T P.800: the interval is about these clips and listeners like these.
    """
    values = np.asarray(ratings, dtype=float)
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Estimate(mean, None, None, count)
    half = half_width(max(float(values.std(ddof=1)), ROUNDING_SD), count)
    return Estimate(mean, max(mean - half, min(SCALE)), min(mean + half, max(SCALE)), count)


def half_width(sd: float, count: int) -> float:
    """Of the t interval of a mean of so many ratings."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * sd / np.sqrt(count))


def share_right(right: int, count: int) -> Estimate:
    """Share of right answers with Wilson's interval."""
    interval = stats.binomtest(right, count).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(right / count, float(interval.low), float(interval.high), count)


def p_guessing(right: int, count: int) -> float:
    """Chance of at least so many right answers by guessing: one-sided binomial test."""
    return float(stats.binomtest(right, count, 0.5, alternative="greater").pvalue)


def least_right(count: int) -> int | None:
    """The fewest right answers of `count` that are better than guessing; None if not even all of them are."""
    sufficient = (right for right in range(count // 2, count + 1) if p_guessing(right, count) < 1 - CONFIDENCE)
    return next(sufficient, None)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment: the chance of one false find among all pairs stays what it is for one."""
    # Its import takes longer than everything else here, and ratings have no use for it.
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(p_values, method="holm")[1]]


def agreement(ratings: NDArray[np.float64]) -> float | None:
    """Krippendorff's alpha for ordinal values: 1 is full agreement, 0 is what chance gives.

    It allows for ratings that are missing, and for more than two listeners.

    Args:
        ratings: shape (listeners, units), whole numbers, NaN where a listener gave none.

    Returns:
        None where fewer than two listeners rated a unit, or all ratings are the same.
    """
    levels = np.arange(min(SCALE), max(SCALE) + 1)
    counts = (ratings[:, :, None] == levels).sum(axis=0).astype(float)
    counts = counts[counts.sum(axis=1) >= 2]
    weights = 1 / (counts.sum(axis=1) - 1)
    coincidences = np.einsum("u,uc,uk->ck", weights, counts, counts) - np.diag(weights @ counts)
    totals = coincidences.sum(axis=1)
    below = np.cumsum(totals) - totals / 2
    distance = (below[:, None] - below[None, :]) ** 2
    expected = float((np.outer(totals, totals) * distance).sum())
    if expected == 0:
        return None
    return 1 - float(totals.sum() - 1) * float((coincidences * distance).sum()) / expected


def foresee_mos(per_system: int) -> str:
    """How well a mean opinion score will be known, for one listener and for several."""
    parts = [
        f"after {_listeners(listeners)} ({per_system * listeners} ratings a system) about ± "
        f"{half_width(TYPICAL_SD, per_system * listeners):.2f}"
        for listeners in (1, 5, 20)
        if per_system * listeners > 1
    ]
    return f"A mean opinion score will be known, {'; '.join(parts)} (95 % interval, if ratings scatter by one point)."


def foresee_abx(per_pair: int) -> str:
    """How many right answers will be better than guessing, for one listener and for several."""
    parts = []
    for listeners in (1, 5):
        count = per_pair * listeners
        right = least_right(count)
        # Rounded up: 56 % of 200 would be 112, which is not enough where 113 are needed.
        threshold = "too few" if right is None else f"{-(-100 * right // count)} % right ({right}) or more"
        parts.append(f"{threshold} of {count} answers ({_listeners(listeners)})")
    return f"Better than guessing about a pair: {'; '.join(parts)}; one-sided binomial test, 5 %."


def _listeners(number: int) -> str:
    return "1 listener" if number == 1 else f"{number} listeners"

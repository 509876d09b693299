"""Intervals, tests and agreement of listeners' answers, and the precision to expect from a number of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reports.listening.design import SCALE

CONFIDENCE = 0.95
ROUNDING_SD = 1 / 12**0.5
"""Standard deviation of rounding to whole numbers: the least that is assumed for ratings, even if all are equal."""
TYPICAL_SD = 1.0
"""Standard deviation of ratings of one system on the scale from 1 to 5; a rough guess, for use before there are any."""


@dataclass(frozen=True)
class Estimate:
    """A mean or a share with its 95 % interval; a single rating has no interval.

    Attributes:
        value: the mean or the share.
        low: lower end of the interval.
        high: upper end of the interval.
        count: number of ratings or answers.
    """

    value: float
    low: float | None
    high: float | None
    count: int


def mean_opinion(ratings: Sequence[float]) -> Estimate:
    """Return the mean with Student's t interval, clipped to the scale.

    Ratings are treated as independent, as in ITU-T P.800, so the interval is for these clips and similar listeners.

    Args:
        ratings: one rating per listener and clip, from 1 to 5.
    """
    values = np.asarray(ratings, dtype=float)
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Estimate(mean, None, None, count)
    half = half_width(max(float(values.std(ddof=1)), ROUNDING_SD), count)
    return Estimate(mean, max(mean - half, min(SCALE)), min(mean + half, max(SCALE)), count)


def half_width(sd: float, count: int) -> float:
    """Return half the width of the t interval of a mean of `count` values with the standard deviation `sd`."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * sd / np.sqrt(count))


def share_right(right: int, count: int) -> Estimate:
    """Return the share of right answers with Wilson's interval."""
    interval = stats.binomtest(right, count).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(right / count, float(interval.low), float(interval.high), count)


def p_guessing(right: int, count: int) -> float:
    """Return the probability of at least this many right answers by guessing (one-sided binomial test)."""
    return float(stats.binomtest(right, count, 0.5, alternative="greater").pvalue)


def least_right(count: int) -> int | None:
    """Return the least number of right answers that is significantly better than guessing; None if there is none."""
    sufficient = (right for right in range(count // 2, count + 1) if p_guessing(right, count) < 1 - CONFIDENCE)
    return next(sufficient, None)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values after Holm's adjustment, which controls the probability of any false finding."""
    # It is slow to import, and MOS tests don't need it.
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(p_values, method="holm")[1]]


def agreement(ratings: NDArray[np.float64]) -> float | None:
    """Return Krippendorff's alpha for ordinal ratings: 1 is full agreement, 0 is agreement by chance.

    There may be missing ratings and more than two listeners (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability").

    Args:
        ratings: whole numbers of the scale, shape (listeners, items); NaN if a listener gave none.

    Returns:
        None if no item has two ratings, or all ratings are the same.
    """
    levels = np.arange(min(SCALE), max(SCALE) + 1)
    # Number of listeners who gave each rating to each item, shape (items, levels); items with one rating don't count.
    counts = (ratings[:, :, None] == levels).sum(axis=0).astype(float)
    counts = counts[counts.sum(axis=1) >= 2]
    weights = 1 / (counts.sum(axis=1) - 1)
    coincidences = np.einsum("u,uc,uk->ck", weights, counts, counts) - np.diag(weights @ counts)
    totals = coincidences.sum(axis=1)
    # The distance of two ordinal levels is the number of ratings between them, half of the levels themselves included.
    ranks = np.cumsum(totals) - totals / 2
    distance = (ranks[:, None] - ranks[None, :]) ** 2
    expected = float((np.outer(totals, totals) * distance).sum())
    if expected == 0:
        return None
    return 1 - float(totals.sum() - 1) * float((coincidences * distance).sum()) / expected


def describe_mos_precision(per_system: int) -> str:
    """Return a sentence with the interval to expect of a mean opinion score, for 1, 5 and 20 listeners.

    Args:
        per_system: ratings of each system by one listener.
    """
    parts = [
        f"after {_listeners(listeners)} ({per_system * listeners} ratings a system) about ± "
        f"{half_width(TYPICAL_SD, per_system * listeners):.2f}"
        for listeners in (1, 5, 20)
        if per_system * listeners > 1
    ]
    return (
        f"Expected 95 % interval of a mean opinion score: {'; '.join(parts)} (if the standard deviation of ratings is "
        "one point)."
    )


def describe_abx_threshold(per_pair: int) -> str:
    """Return a sentence with the number of right answers that are better than guessing, for 1 and 5 listeners.

    Args:
        per_pair: answers about each pair by one listener.
    """
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

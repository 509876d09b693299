"""The expected best objective of a search as a function of its number of trials and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

BLOCK_SIZES = 128
"""Values of n that are computed at once."""


def expected_best(values: Sequence[float], costs: Sequence[float], mode: Literal["min", "max"]) -> pd.DataFrame:
    """Return the mean best objective and the mean cost of n of these trials, for every n.

    The mean is over all choices of n trials (Dodge et al. 2019, "Show Your Work"), drawn without replacement as in
    Tang et al. 2020, "Showing Your Work Doesn't Always Work": with replacement the estimate is biased.

    Args:
        values: objective of each trial; NaN for a trial without one, which still counts with its cost.
        costs: cost of each trial, such as epochs or GPU-seconds.
        mode: whether small (`min`) or large (`max`) values are better.

    Returns:
        One row per n from 1 to the number of trials, with the columns `n`, `cost` and `expected_best`. The latter is
        the mean over the choices with at least one value; NaN if no trial has one.
    """
    sign = 1 if mode == "max" else -1
    ranked = np.sort(np.nan_to_num(sign * np.asarray(values, dtype=float), nan=-np.inf))
    total = len(ranked)
    sizes = np.arange(1, total + 1)
    # Memory for all sizes at once is quadratic in the number of trials: gigabytes for ten thousand trials.
    blocks = np.array_split(sizes, -(-total // BLOCK_SIZES) or 1)
    best = sign * np.concatenate([_mean_best(ranked, block) for block in blocks])
    return pd.DataFrame({"n": sizes, "cost": sizes * np.mean(costs), "expected_best": best})


def _mean_best(ranked: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of the largest of n values over all choices of n values whose largest is finite.

    Args:
        ranked: all values in ascending order, shape (total,).
        sizes: values of n, shape (sizes,).

    Returns:
        A mean for each n, shape (sizes,); NaN if there is no finite value.
    """
    total = len(ranked)
    # The largest of n values has rank i in C(i - 1, n - 1) of C(total, n) choices. Logarithms avoid an overflow.
    log_factorials = special.gammaln(np.arange(total + 1) + 1)
    others, below = sizes[:, None] - 1, np.arange(total)
    log_choices = log_factorials[below] - log_factorials[others] - log_factorials[np.maximum(below - others, 0)]
    log_all = log_factorials[total] - log_factorials[sizes] - log_factorials[total - sizes]
    weights = np.exp(log_choices - log_all[:, None]) * (below >= others) * np.isfinite(ranked)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = weights @ np.where(np.isfinite(ranked), ranked, 0) / weights.sum(axis=1)
    return means

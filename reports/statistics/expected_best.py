"""What a search of so many trials finds, for what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

BLOCK_SIZES = 128


def expected_best(values: Sequence[float], costs: Sequence[float], mode: Literal["min", "max"]) -> pd.DataFrame:
    """What the best of n of these trials is on average, and what n trials cost; a row an n.

    Over all choices of n of the trials (Dodge et al. 2019, "Show Your Work"; without replacement as Tang et al. 2020,
    "Showing Your Work Doesn't Always Work", since with it the estimate is biased).

    Args:
        values: the trials' objective; NaN for a trial that has none: it costs all the same.
        costs: what each of them took, such as epochs or GPU-seconds.
        mode: which values are good.

    Returns:
        columns `n` (1 to all), `cost` and `expected_best`: NaN if no trial has a value, else over the choices with one.
    """
    sign = 1 if mode == "max" else -1
    ranked = np.sort(np.nan_to_num(sign * np.asarray(values, dtype=float), nan=-np.inf))
    total = len(ranked)
    sizes = np.arange(1, total + 1)
    # All sizes at once would take the square of the trials in memory: gigabytes of ten thousand.
    blocks = np.array_split(sizes, -(-total // BLOCK_SIZES) or 1)
    best = sign * np.concatenate([_mean_best(ranked, block) for block in blocks])
    return pd.DataFrame({"n": sizes, "cost": sizes * np.mean(costs), "expected_best": best})


def _mean_best(ranked: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of the largest of n values, for some n, over the choices of which the largest is finite.

    Args:
        ranked: all values, shape (total,), the smallest first.
        sizes: each n, shape (sizes,).

    Returns:
        Shape (sizes,); NaN where no choice has a finite value.
    """
    total = len(ranked)
    # The best of n has the rank i in C(i - 1, n - 1) of C(total, n) choices.
    log_factorials = special.gammaln(np.arange(total + 1) + 1)
    others, below = sizes[:, None] - 1, np.arange(total)
    log_choices = log_factorials[below] - log_factorials[others] - log_factorials[np.maximum(below - others, 0)]
    log_all = log_factorials[total] - log_factorials[sizes] - log_factorials[total - sizes]
    weights = np.exp(log_choices - log_all[:, None]) * (below >= others) * np.isfinite(ranked)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = weights @ np.where(np.isfinite(ranked), ranked, 0) / weights.sum(axis=1)
    return means

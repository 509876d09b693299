"""Positions of a parameter's values on a figure's axis: numbers, or the options of a choice."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
import pandas as pd

MAX_TICK = 30
"""Maximum number of characters for the options below an axis."""


def is_logarithmic(numbers: pd.Series) -> bool:
    """Return whether numbers are positive and span more than a factor of 20, so that a log axis shows them better."""
    valid = numbers.dropna()
    return len(valid) > 1 and bool(valid.min() > 0) and bool(valid.max() > 20 * valid.min())


def positions_of(values: pd.Series) -> tuple[pd.Series, list[str]]:
    """Return the positions of values on an axis.

    Returns:
        The positions and the names of the options. Numbers are their own positions, and there are no options. Texts
        and bools are options, at the positions 0, 1, …. The position of a missing value is NaN.
    """
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    is_choice = values.map(lambda value: isinstance(value, bool | np.bool_)).any()
    if not is_choice and numbers.notna().sum() == values.notna().sum():
        return numbers, []
    codes, options = pd.factorize(values.map(yaml_text, na_action="ignore"), sort=True)
    return pd.Series(codes, index=values.index, dtype=float).replace(-1, math.nan), list(options)


def scale_to_unit(values: pd.Series) -> np.ndarray:
    """Return positions scaled to the range from 0 to 1, shape (values,); NaN for a missing value."""
    numbers, options = positions_of(values)
    if not options and is_logarithmic(numbers):
        numbers = np.log(numbers)
    low, high = numbers.min(), numbers.max()
    # Equal values are in the middle.
    scaled = (numbers - low) / (high - low) if high > low else numbers * 0 + 0.5
    unit: np.ndarray = scaled.to_numpy(float)
    return unit


def describe_range(values: pd.Series) -> str:
    """Return the range of an axis as text, or as many of its options as fit into `MAX_TICK` characters."""
    numbers, options = positions_of(values)
    if options:
        return textwrap.shorten(" · ".join(options), MAX_TICK, placeholder=" …")
    return f"{numbers.min():.3g} … {numbers.max():.3g}" if numbers.notna().any() else ""


def yaml_text(value: Any) -> str:
    """Return a value as it is written in YAML."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)

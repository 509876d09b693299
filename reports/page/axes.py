"""Where a parameter's values stand on an axis: numbers, and the options of a choice."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
import pandas as pd

MAX_TICK = 30
"""Characters of the options below an axis."""


def is_logarithmic(numbers: pd.Series) -> bool:
    """Whether numbers span so much that only a logarithmic axis shows them all."""
    valid = numbers.dropna()
    return len(valid) > 1 and bool(valid.min() > 0) and bool(valid.max() > 20 * valid.min())


def places_of(values: pd.Series) -> tuple[pd.Series, list[str]]:
    """Where values stand on an axis: numbers at themselves, NaN where there is none. Words and truths are options of a
    choice, each at a place of its own, whose names are returned too."""
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    is_choice = values.map(lambda value: isinstance(value, bool | np.bool_)).any()
    if not is_choice and numbers.notna().sum() == values.notna().sum():
        return numbers, []
    codes, options = pd.factorize(values.map(text_of, na_action="ignore"), sort=True)
    return pd.Series(codes, index=values.index, dtype=float).replace(-1, math.nan), list(options)


def unit_of(values: pd.Series) -> np.ndarray:
    """Values between 0 and 1; NaN where there is none."""
    numbers, options = places_of(values)
    if not options and is_logarithmic(numbers):
        numbers = np.log(numbers)
    low, high = numbers.min(), numbers.max()
    unit: np.ndarray = ((numbers - low) / (high - low) if high > low else numbers * 0 + 0.5).to_numpy(float)
    return unit


def ends_of(values: pd.Series) -> str:
    """The range of an axis, or its options as far as they fit."""
    numbers, options = places_of(values)
    if options:
        return textwrap.shorten(" · ".join(options), MAX_TICK, placeholder=" …")
    return f"{numbers.min():.3g} … {numbers.max():.3g}" if numbers.notna().any() else ""


def text_of(value: Any) -> str:
    """A value as YAML has it."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)

"""Axes of figures: the positions of numbers and of options, where they stand from 0 to 1, and labels of ticks."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

MAX_TICK = 30
"""Maximum number of characters for the options below an axis."""
CHARACTER_PX = 6.6
"""Mean width of a character of the charts' labels."""
GAP_PX = 10
"""Space between two labels side by side."""
PADDING = 0.04
"""Space between the outermost values and the ends of an axis, as a fraction of it."""
MAX_LABEL = 18
"""Maximum number of characters of an option's label."""


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


@dataclass(frozen=True)
class Axis:
    """The range and the ticks of an axis.

    Attributes:
        low: the value at 0.
        high: the value at 1.
        is_log: whether the axis is logarithmic.
        ticks: the values with a label, and their labels.
        is_choice: whether the values are the numbers of options.
        is_padded: whether there is space between the outermost values and the ends.
        is_whole: whether the values are whole numbers.
    """

    low: float
    high: float
    is_log: bool
    ticks: tuple[tuple[float, str], ...]
    is_choice: bool = False
    is_padded: bool = False
    is_whole: bool = False

    def place(self, value: float) -> float:
        """Return where a value stands on the axis, 0 at its beginning and 1 at its end."""
        low, high, value = map(math.log, (self.low, self.high, value)) if self.is_log else (self.low, self.high, value)
        return (value - low) / (high - low)


def make_axis(values: pd.Series, *, is_log: bool | None = None, num_ticks: int = 5, padding: float = PADDING) -> Axis:
    """Return the axis of a column: numbers on a linear or a logarithmic axis, anything else as options.

    Args:
        values: the values; missing ones are ignored.
        is_log: whether numbers are on a logarithmic axis; None if their range decides.
        num_ticks: about how many ticks a linear axis gets.
        padding: space at both ends as a fraction of the axis.
    """
    numbers, options = positions_of(values)
    if options:
        return choice_axis(options)
    numbers = numbers[numbers.map(math.isfinite)]
    if numbers.empty:
        return Axis(0.0, 1.0, False, ())
    low, high = float(numbers.min()), float(numbers.max())
    log = low > 0 and (is_logarithmic(numbers) if is_log is None else is_log)
    low, high = _widen(low, high, log, padding)
    ticks = _log_ticks(low, high) if log else _linear_ticks(low, high, num_ticks)
    return Axis(low, high, log, ticks, is_padded=padding > 0)


def choice_axis(options: Sequence[str]) -> Axis:
    """Return the axis of options, which are at 0, 1, …."""
    ticks = tuple((float(number), shorten(option)) for number, option in enumerate(options))
    return Axis(-0.5, len(options) - 0.5, False, ticks, is_choice=True)


def number_axis(low: float, high: float, num_ticks: int = 5, *, is_whole: bool = False) -> Axis:
    """Return a linear axis from one number to another, without space at its ends; whole numbers have whole ticks."""
    return Axis(low, high, False, _linear_ticks(low, high, num_ticks, is_whole=is_whole), is_whole=is_whole)


def pick_labels(
    ticks: Sequence[tuple[float, str]], place_px: Callable[[float], float]
) -> tuple[list[tuple[float, str]], float]:
    """Return the ticks whose labels fit side by side without touching, and the width of the longest label.

    Args:
        ticks: values and labels.
        place_px: the place of a value in px.
    """
    labelled: list[tuple[float, str]] = []
    end_px = -math.inf
    for value, label in ticks:
        half_px = len(label) * CHARACTER_PX / 2
        if place_px(value) - half_px >= end_px:
            labelled.append((value, label))
            end_px = place_px(value) + half_px + GAP_PX
    return labelled, max((len(label) for _, label in ticks), default=0) * CHARACTER_PX


def format_tick(value: float, step: float = 0.0, smallest: float = 1e-3) -> str:
    """Return a number as a short label: `0.25`, `1e−4`, `3000`; with a step, as many decimals as the step has.

    Args:
        value: the number.
        step: the distance of the ticks of a linear axis.
        smallest: smaller numbers are written with an exponent.
    """
    if value == 0:
        return "0"
    if not smallest <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", "−")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step else 0
    text = f"{value:.{decimals}f}" if step else f"{value:g}"
    return text.replace("-", "−")


def shorten(text: str, most: int = MAX_LABEL) -> str:
    """Return a text with at most this many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _widen(low: float, high: float, is_log: bool, padding: float) -> tuple[float, float]:
    if is_log:
        margin = (math.log(high / low) or 1.0) * padding
        return low * math.exp(-margin), high * math.exp(margin)
    # Equal values get an axis around them, on which they are in the middle.
    margin = (high - low) * padding or max(abs(high), 1.0) * 0.1
    return low - margin, high + margin


def _linear_ticks(low: float, high: float, num_ticks: int, *, is_whole: bool = False) -> tuple[tuple[float, str], ...]:
    locator = MaxNLocator(num_ticks, steps=[1, 2, 5, 10], integer=is_whole)
    values = [float(value) for value in locator.tick_values(low, high)]
    step = values[1] - values[0] if len(values) > 1 else 0.0
    shown = [0.0 if abs(value) < step / 1e6 else value for value in values if low <= value <= high]
    return tuple((value, format_tick(value, step)) for value in shown)


def _log_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Return ticks at 1, 2 and 5 of each decade, or at every decade or every few if there are many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    digits = (1, 2, 5) if last - first <= 3 else (1,)
    stride = max(1, math.ceil((last - first) / 7))
    values = [digit * 10.0**power for power in range(first, last + 1, stride) for digit in digits]
    shown = [value for value in values if low <= value <= high]
    if len(shown) < 2:
        return _linear_ticks(low, high, 3)
    # Next to 5e-4, 0.001 would look larger than it is.
    smallest = 0.1 if shown[0] < 1e-3 else 1e-3
    return tuple((value, format_tick(value, smallest=smallest)) for value in shown)

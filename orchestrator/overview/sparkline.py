"""Curves as a line of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
MOST_BARS = 40


def sparkline(values: Sequence[float], low: float, high: float, most: int = MOST_BARS) -> str:
    """Return a line of bars for values between two bounds; NaN is `·`.

    Of more than `most` values, evenly spaced ones are shown.

    Args:
        values: the values in order.
        low: the value of the lowest bar.
        high: the value of the highest bar.
        most: the number of bars, at most.
    """
    count = min(len(values), most)
    chosen = [values[round(index * (len(values) - 1) / max(count - 1, 1))] for index in range(count)]
    span = (high - low) or 1.0

    def draw_bar(value: float) -> str:
        if not math.isfinite(value):
            return "·"
        return BARS[min(len(BARS) - 1, int((value - low) / span * len(BARS)))]

    return "".join(map(draw_bar, chosen))

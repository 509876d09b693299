"""Parallel coordinates: a line per trial through its settings to the objective, coloured by the objective."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from reports import vocabulary as words
from reports.page.axes import CHARACTER_PX, Axis, make_axis, pick_labels, positions_of, shorten
from reports.page.charts import svg
from reports.page.charts.plots import Arms

WIDTH, HEIGHT = 1040, 380
LEFT, TOP, BOTTOM, MISSING = 50, 62, 320, 352
"""Places in px: the first axis, the ends of all axes, and the position of trials without the parameter."""
NUM_SHADES = 5
"""Number of colours; each has the same number of trials."""
ABSENT = "—"
"""Label of the position of trials without the parameter."""
MAX_NAME_LINES = 3


def parallel(
    trials: pd.DataFrame,
    params: Sequence[str],
    logs: Mapping[str, bool],
    column: str,
    metric: str,
    mode: str,
    arms: Arms,
) -> Markup:
    """Draw parallel coordinates of trials that have the objective; better trials are drawn on top.

    Args:
        trials: columns `trial`, `arm`, the parameters and the objective.
        params: names of the parameters, in the order of the axes.
        logs: whether a parameter's axis is logarithmic; if it is not in there, the values decide.
        column: column of `trials` with the objective.
        metric: name of the objective.
        mode: whether small (`min`) or large (`max`) values are better.
        arms: the number of each arm.
    """
    shown = trials[np.isfinite(pd.to_numeric(trials[column]).astype(float))]
    shown = shown.sort_values(column, ascending=mode == "max")
    names = [*params, column]
    titles = [*params, f"best {words.label_of(metric)}"]
    axes = [make_axis(shown[name], is_log=logs.get(name, None if name in params else False)) for name in names]
    step_px = (WIDTH - LEFT - 90) / max(1, len(names) - 1)
    parts = [
        _draw_axis(LEFT + number * step_px, axis, title, step_px, has_missing=bool(shown[name].isna().any()))
        for number, (name, title, axis) in enumerate(zip(names, titles, axes, strict=True))
    ]
    heights = np.column_stack([_heights(shown[name], axis) for name, axis in zip(names, axes, strict=True)])
    shades = shade_of(shown[column])
    places = [LEFT + number * step_px for number in range(len(names))]
    lines = [
        Markup("<polyline class='path q{}'{} points='{}'/>").format(
            shade, svg.keys(arms[row["arm"]], int(row["trial"])), svg.trace(zip(places, line, strict=True))
        )
        for row, line, shade in zip(shown.to_dict("records"), heights, shades, strict=True)
    ]
    # The labels are on top of the lines, with a border in the page's colour.
    return svg.element(f"parallel coordinates of {', '.join(titles)}", WIDTH, HEIGHT, [*lines, *parts])


def shade_of(sorted_values: pd.Series) -> list[int]:
    """Return the shade of each trial, from 0 to `NUM_SHADES` - 1; the values are sorted, the best one last.

    Equal values get the same shade.
    """
    ranks = sorted_values.rank(method="max", ascending=bool(sorted_values.iloc[0] <= sorted_values.iloc[-1]))
    return [min(NUM_SHADES - 1, math.ceil(NUM_SHADES * rank / len(ranks)) - 1) for rank in ranks]


def shade_bounds(trials: pd.DataFrame, column: str, mode: str) -> list[tuple[int, str]]:
    """Return the shades that occur, the best first, each with the range of its values as text."""
    values = pd.to_numeric(trials[column]).dropna().astype(float)
    values = values[np.isfinite(values)].sort_values(ascending=mode == "max")
    if values.empty:
        return []
    by_shade: dict[int, list[float]] = {}
    for shade, value in zip(shade_of(values), values, strict=True):
        by_shade.setdefault(shade, []).append(value)
    ranges = [(shade, f"{min(own):.3g}", f"{max(own):.3g}") for shade, own in sorted(by_shade.items(), reverse=True)]
    return [(shade, low if low == high else f"{low} to {high}") for shade, low, high in ranges]


def _heights(values: pd.Series, axis: Axis) -> list[float]:
    """Return the height of each value on its axis in px; that of a missing one is below the axis."""
    positions, _ = positions_of(values)
    return [MISSING if math.isnan(position) else _height(axis, position) for position in positions]


def _height(axis: Axis, value: float) -> float:
    return BOTTOM - axis.place(value) * (BOTTOM - TOP)


def _draw_axis(x: float, axis: Axis, title: str, room_px: float, *, has_missing: bool) -> Markup:
    """Return an axis with its name above it and the labels of its ticks next to it."""
    parts: list[Any] = [Markup("<path class='axis' d='M{} {}V{}'/>").format(round(x, 1), TOP, BOTTOM)]
    for number, line in enumerate(reversed(wrap(title, int(room_px / CHARACTER_PX) - 2))):
        parts.append(svg.text(x, TOP - 12 - 14 * number, line, "title middle"))
    labelled, _ = pick_labels([(value, "ii") for value, _ in axis.ticks], lambda value: -_height(axis, value))
    wanted = {value for value, _ in labelled}
    for value, label in axis.ticks:
        if value in wanted:
            y = round(_height(axis, value), 1)
            parts.append(Markup("<path class='axis' d='M{} {}h6'/>").format(round(x - 3, 1), y))
            fitting = shorten(label, max(6, int((room_px - 20) / CHARACTER_PX)))
            parts.append(svg.text(x + 7, y + 4, fitting, "halo"))
    if has_missing:
        parts.append(svg.text(x + 7, MISSING + 4, ABSENT, "halo"))
    return Markup("").join(parts)


def wrap(name: str, most: int) -> list[str]:
    """Return a name in at most `MAX_NAME_LINES` lines, broken behind `_`, `.` and spaces."""
    lines = [""]
    for part in name.replace("_", "_\0").replace(".", ".\0").replace(" ", " \0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part.strip()) > most:
            lines.append("")
        lines[-1] += part
    shown = [line.strip() for line in lines[:MAX_NAME_LINES]]
    return [shorten(line, most) for line in shown]

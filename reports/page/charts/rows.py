"""Charts of the page with a labelled row for each value: contrasts with their intervals, and importances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from markupsafe import Markup

from reports.page.axes import CHARACTER_PX, Axis, make_axis, number_axis, pick_labels, shorten
from reports.page.charts import svg
from reports.page.charts.plots import Arms
from reports.page.figures import label_contrast
from reports.statistics.contrast import Contrast, find_intervals

WIDTH, SIDE, ROW = 480, 14, 38
"""Size in px: the chart's width, the space next to the axis, and the height of a row."""
BAR = 9
MAX_LABEL = int((WIDTH - 2 * SIDE) / CHARACTER_PX)


def contrasts(comparisons: Sequence[Contrast], unit: str) -> Markup:
    """Draw differences with their 95 % intervals, in colour if a test found a difference.

    Args:
        comparisons: contrasts; those without an interval are left out.
        unit: label of the metric.
    """
    shown = find_intervals(comparisons)
    ends = [0.0, *(end for _, low, high in shown for end in (low, high))]
    axis = make_axis(pd.Series(ends), is_log=False)
    bottom = ROW * len(shown) + 8
    zero = round(_x(axis, 0.0), 1)
    parts = [_draw_scale(axis, bottom), Markup("<path class='zero' d='M{} 4V{}'/>").format(zero, bottom)]
    for row, (contrast, low, high) in enumerate(shown):
        y = ROW * row + 28
        style = "found" if contrast.is_distinguishable else "open"
        first, last, middle = (round(_x(axis, value), 1) for value in (low, high, contrast.difference))
        value = f"{contrast.difference:+.3f}".replace("-", "−")
        parts.append(svg.text(SIDE, y - 10, shorten(label_contrast(contrast), MAX_LABEL - 9), "halo"))
        parts.append(svg.text(WIDTH - SIDE, y - 10, value, "end halo"))
        parts.append(Markup("<path class='interval {}' d='M{} {}H{}'/>").format(style, first, y, last))
        parts.append(Markup("<circle class='estimate {}' cx='{}' cy='{}' r='4.5'/>").format(style, middle, y))
    label = f"difference in {unit}, 95 % interval"
    parts.append(svg.text(WIDTH / 2, bottom + 36, label, "title middle"))
    return svg.element(label, WIDTH, bottom + 42, parts)


def importances(by_arm: Mapping[str, pd.Series], arms: Arms) -> Markup:
    """Draw the importance of each searched parameter as bars, by arm; an importance is a share of the variance."""
    frame = pd.DataFrame(dict(by_arm))
    frame = frame.loc[frame.mean(axis=1).sort_values(ascending=False).index]
    axis = number_axis(0.0, max(0.1, float(frame.max().max())))
    height = 20 + (BAR + 2) * len(frame.columns) + 8
    bottom = height * len(frame) + 8
    parts = [_draw_scale(axis, bottom)]
    for row, name in enumerate(frame.index):
        top = height * row + 16
        parts.append(svg.text(SIDE, top, shorten(str(name), MAX_LABEL), "halo"))
        for place, (arm, share) in enumerate(frame.loc[name].fillna(0.0).items()):
            number = arms[str(arm)]
            y = top + 6 + (BAR + 2) * place
            parts.append(
                Markup("<rect class='bar {}'{} x='{}' y='{}' width='{}' height='{}'/>").format(
                    svg.arm_style(number), svg.keys(number, None), SIDE, y, round(_x(axis, share) - SIDE, 1), BAR
                )
            )
    label = "importance inside the arm (adds up to 1)"
    parts.append(svg.text(WIDTH / 2, bottom + 36, label, "title middle"))
    return svg.element(label, WIDTH, bottom + 42, parts)


def _x(axis: Axis, value: float) -> float:
    return SIDE + axis.place(value) * (WIDTH - 2 * SIDE)


def _draw_scale(axis: Axis, bottom: float) -> Markup:
    """Return the horizontal axis with its ticks."""
    labelled, _ = pick_labels(axis.ticks, lambda value: _x(axis, value))
    parts = [Markup("<path class='axis' d='M{} {}H{}'/>").format(SIDE, bottom, WIDTH - SIDE)]
    for value, label in labelled:
        x = round(_x(axis, value), 1)
        parts.append(Markup("<path class='grid' d='M{} 4V{}'/>").format(x, bottom))
        parts.append(svg.text(x, bottom + 17, label, "middle"))
    return Markup("").join(parts)

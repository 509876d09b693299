"""The chart of a front: each trial at its values of two objectives."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from markupsafe import Markup

from reports import vocabulary as words
from reports.page.axes import make_axis
from reports.page.charts import svg
from reports.page.charts.plots import Arms
from reports.page.charts.svg import Plot
from reports.page.front_points import make_stairs


def front(points: pd.DataFrame, modes: Mapping[str, str], arms: Arms) -> Markup:
    """Draw the first objective against each of the others, one chart each; trials on no front are hollow.

    With two objectives, a line joins the front over all arms, and a thin one that of each arm.

    Args:
        points: columns `trial`, `arm`, `front` and the values of the objectives; at least one row.
        modes: the modes of the objectives by metric; the first one is on the vertical axis.
        arms: the number of each arm.
    """
    first, *others = modes
    y_column, panels = words.best_name(first), []
    for other in others:
        x_column = words.best_name(other)
        plot = Plot(
            make_axis(points[x_column]),
            make_axis(points[y_column]),
            f"{words.label_of(other)} ({modes[other]})",
            f"{words.label_of(first)} ({modes[first]})",
        )
        if len(others) == 1:
            for arm, rows in points[points[words.FRONT] != words.FRONT_NO].groupby("arm", sort=False):
                corners = make_stairs(list(zip(rows[x_column], rows[y_column], strict=True)), modes[other])
                plot.add(svg.line(plot.trace(corners), "thin", arms[str(arm)]))
            rows = points[points[words.FRONT] == words.FRONT_SWEEP]
            corners = make_stairs(list(zip(rows[x_column], rows[y_column], strict=True)), modes[other])
            plot.add(Markup("<polyline class='front' points='{}'/>").format(plot.trace(corners)))
        for row in points.to_dict("records"):
            style = "hollow" if row[words.FRONT] == words.FRONT_NO else ""
            x, y = plot.x_px(row[x_column]), plot.y_px(row[y_column])
            plot.add(svg.marker(x, y, arms[row["arm"]], int(row["trial"]), style))
        panels.append(plot.draw(f"{words.label_of(first)} of each trial against {words.label_of(other)}"))
    return Markup("").join(panels)

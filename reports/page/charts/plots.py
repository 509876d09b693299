"""The charts of the page: lines of arms over epochs or costs, and points of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from reports import vocabulary as words
from reports.page.axes import choice_axis, make_axis, number_axis, positions_of
from reports.page.charts import svg
from reports.page.charts.svg import Plot

Arms = Mapping[str, int]
"""The number of each arm, which decides its colour, dash and marker."""
MAX_POINTS = 120
"""Maximum number of points of a line; of longer ones some are left out, never the last."""
MARKERS = 6
"""About how many markers a line gets, and how many arms have theirs at different places."""
MAX_SHIFTED = 200
"""Up to this many trials, markers at the same place are drawn side by side."""
SHIFT_PX = 6


def curves(histories: pd.DataFrame, metric: str, arms: Arms, rungs: Sequence[int], shown: Sequence[int]) -> Markup:
    """Draw the median and the quartiles of a metric over epochs of each arm, and a thin line for each trial.

    Args:
        histories: columns `trial`, `arm`, `epoch` and the metric, whose values are finite; at least one row.
        metric: name of the metric.
        arms: the number of each arm.
        rungs: epochs at which ASHA pruned trials.
        shown: the trials with a line of their own.
    """
    first, last = float(histories["epoch"].min()), float(histories["epoch"].max())
    plot = Plot(
        number_axis(first, max(last, first + 1), is_whole=True),
        make_axis(histories[metric], is_log=False),
        "epoch" + (" (dotted: ASHA prunes)" if rungs else ""),
        words.label_of(metric),
    )
    plot.add_rules(rungs)
    by_trial = {int(str(trial)): own for trial, own in histories.groupby("trial")}
    for trial in shown:
        if trial in by_trial:
            own = _thin_out(by_trial[trial].sort_values("epoch"))
            trace = plot.trace(zip(own["epoch"], own[metric], strict=True))
            plot.add(svg.line(trace, "thin", arms[str(own["arm"].iloc[0])], trial))
    for arm, own in histories.groupby("arm", sort=False):
        quartiles = _thin_out(own.groupby("epoch")[metric].quantile(np.array([0.25, 0.5, 0.75])).unstack())
        number = arms[str(arm)]
        epochs = list(quartiles.index)
        band = [*zip(epochs, quartiles[0.25], strict=True), *reversed(list(zip(epochs, quartiles[0.75], strict=True)))]
        plot.add(
            Markup("<polygon class='band {}'{} points='{}'/>").format(
                svg.arm_style(number), svg.keys(number, None), plot.trace(band)
            )
        )
        _add_line(plot, epochs, list(quartiles[0.5]), number)
    return plot.draw(f"{words.label_of(metric)} over epochs, by arm")


def survival(trials: pd.DataFrame, max_epochs: int, arms: Arms, rungs: Sequence[int]) -> Markup:
    """Draw how many trials of each arm trained for at least a number of epochs; `rungs` are the epochs of ASHA."""
    most = int(trials.groupby("arm").size().max())
    plot = Plot(
        number_axis(1, max(max_epochs, 2), is_whole=True),
        number_axis(0, most, is_whole=True),
        "epoch (dotted: ASHA prunes)",
        "trials still training",
    )
    plot.add_rules(rungs)
    for arm, rows in trials.groupby("arm", sort=False):
        epochs = np.arange(1, max_epochs + 1)
        num_training = (rows["epochs"].fillna(0).to_numpy()[:, None] >= epochs).sum(axis=0)
        # Each number holds until the next epoch.
        corners = [
            (epoch, number) for epoch, number in zip(np.repeat(epochs, 2)[1:], np.repeat(num_training, 2), strict=False)
        ]
        _add_line(plot, [x for x, _ in corners], [y for _, y in corners], arms[str(arm)])
    return plot.draw("number of trials that still train, over epochs, by arm")


def expected_best(by_cost: Mapping[str, Mapping[str, pd.DataFrame]], metric: str, arms: Arms) -> Markup:
    """Draw the expected best of n trials of each arm against their expected cost, one chart per kind of cost.

    Args:
        by_cost: for `epochs` and `hours`, the data frame of `statistics.expected_best` of each arm.
        metric: name of the objective.
        arms: the number of each arm.
    """
    panels = []
    for cost, frames in by_cost.items():
        every = pd.concat(list(frames.values()))
        unit, scale = ("minutes", 60) if cost == "hours" and every["cost"].max() < 2 else (cost, 1)
        plot = Plot(
            make_axis(scale * every["cost"], is_log=False),
            make_axis(every["expected_best"], is_log=False),
            f"expected {unit}",
            f"expected best {words.label_of(metric)}",
        )
        for arm, frame in frames.items():
            _add_line(plot, list(scale * frame["cost"]), list(frame["expected_best"]), arms[arm])
        panels.append(plot.draw(f"expected best {words.label_of(metric)} against {unit}, by arm"))
    return Markup("").join(panels)


def slices(
    trials: pd.DataFrame, params: Sequence[str], logs: Mapping[str, bool], column: str, metric: str, arms: Arms
) -> Markup:
    """Draw the objective against each searched parameter, one chart each; markers of pruned trials are hollow.

    Args:
        trials: columns `trial`, `arm`, `outcome`, the parameters and the objective.
        params: names of the parameters.
        logs: whether a parameter's axis is logarithmic; if it is not in there, the values decide.
        column: column of `trials` with the objective.
        metric: name of the objective.
        arms: the number of each arm.
    """
    panels = []
    rows = trials[np.isfinite(pd.to_numeric(trials[column]).astype(float))]
    for name in params:
        plot = Plot(
            make_axis(trials[name], is_log=logs.get(name)),
            make_axis(rows[column]),
            name,
            f"best {words.label_of(metric)}",
        )
        positions, _ = positions_of(trials[name])
        taken: set[tuple[int, int]] = set()
        for row in rows.assign(place=positions).dropna(subset=["place"]).to_dict("records"):
            style = "hollow" if row["outcome"] == words.OUTCOME_PRUNED else ""
            x, y = plot.x_px(row["place"]), plot.y_px(row[column])
            if len(rows) <= MAX_SHIFTED:
                x = _shift(x, y, taken)
            plot.add(svg.marker(x, y, arms[row["arm"]], int(row["trial"]), style))
        panels.append(plot.draw(f"best {words.label_of(metric)} of each trial against {name}"))
    return Markup("").join(panels)


def confirmations(pairs: pd.DataFrame, metric: str, arms: Arms) -> Markup:
    """Draw the objective of confirmed configurations in the search and when trained again (the winner's curse).

    Args:
        pairs: columns `arm`, `trial`, `searched`, `confirmed` (validation split) and `test` (test split).
        metric: name of the objective.
        arms: the number of each arm.
    """
    values = pairs[["searched", "confirmed", "test"]].astype(float)
    stages = choice_axis(["search", "confirmed", "test"])
    y = make_axis(pd.Series(values.to_numpy().ravel()), is_log=False)
    plot = Plot(stages, y, "confirmed: trained again, validation split", words.label_of(metric))
    for row, scores in zip(pairs.to_dict("records"), values.to_numpy(), strict=True):
        points = [(place, score) for place, score in enumerate(scores) if np.isfinite(score)]
        arm, trial = arms[row["arm"]], int(row["trial"])
        plot.add(svg.line(plot.trace(points), "line", arm, trial))
        plot.add(*(svg.marker(plot.x_px(place), plot.y_px(score), arm, trial) for place, score in points))
    return plot.draw(f"{words.label_of(metric)} of confirmed configurations in the search and when trained again")


def pick_best(trials: pd.DataFrame, column: str, mode: str, most: int) -> list[int]:
    """Return the numbers of the best trials, at most `most`; the best one is last, so that it is drawn on top."""
    ranked = trials.dropna(subset=[column]).sort_values(column, ascending=mode == "max")
    return [int(trial) for trial in ranked["trial"].tail(most)]


def _shift(x: float, y: float, taken: set[tuple[int, int]]) -> float:
    """Return the place of a marker next to those that are there, and enter it in `taken`."""
    column, row = round(x / SHIFT_PX), round(y / SHIFT_PX)
    shift = 0
    while (column + shift, row) in taken:
        shift += 1
    taken.add((column + shift, row))
    return x + shift * SHIFT_PX


def _add_line(plot: Plot, xs: Sequence[Any], ys: Sequence[Any], arm: int) -> None:
    """Add the line of an arm with some markers, at other places than those of the arms before and after it."""
    points = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True) if np.isfinite(y)]
    plot.add(svg.line(plot.trace(points), "line", arm))
    stride = max(1, len(points) // MARKERS, min(MARKERS, len(points) // 2))
    for x, y in points[arm * max(1, stride // MARKERS) % stride :: stride]:
        plot.add(svg.marker(plot.x_px(x), plot.y_px(y), arm))


def _thin_out(rows: pd.DataFrame) -> pd.DataFrame:
    """Return at most `MAX_POINTS` rows at equal distances, the first and the last among them."""
    if len(rows) <= MAX_POINTS:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, MAX_POINTS).round().astype(int)]

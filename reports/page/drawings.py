"""The figures of a report, each drawn when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reports import vocabulary as words
from reports.page import figures
from reports.page.content import Report
from reports.page.front_points import find_points
from reports.runs.findings import ContrastSet
from reports.statistics.contrast import Contrast
from reports.statistics.expected_best import expected_best

MAX_SLICES = 4
"""Number of parameters that the figure of slices shows."""
Drawings = dict[str, Callable[[], Figure]]
"""Functions that draw a figure, by the figure's name."""


def drawings(report: Report) -> Drawings:
    """Return the functions that draw the report's figures, for all figures that there are data for."""
    runs, trials = report.runs, report.runs.search_trials
    metric, best = runs.metric, runs.best_column
    draw_by_name: Drawings = {
        name: partial(figures.contrasts, shown, label_unit(contrast_set))
        for name, contrast_set, shown in group_contrasts(report)
    }
    if not report.confirmed.empty:
        draw_by_name["confirmed"] = partial(figures.confirmations, report.confirmed, metric)
    if report.rungs:
        draw_by_name["survival"] = partial(figures.survival, trials, report.max_epochs, report.rungs)
    if report.importances:
        draw_by_name["importances"] = partial(figures.importances, report.importances)
    if best not in trials or trials[best].isna().all():
        return draw_by_name
    draw_by_name["curves"] = lambda: figures.curves(report.histories, metric, report.rungs)
    points = find_points(runs)
    if len(points):
        draw_by_name["front"] = partial(figures.front, points, runs.modes)
    if not runs.has_fixed_arms and len(trials) > len(runs.arms):
        draw_by_name["expected_best"] = lambda: figures.expected_best(compute_expected_best(report), metric)
    if report.params:
        draw_by_name["slices"] = partial(figures.slices, trials, report.params[:MAX_SLICES], best, metric)
        params = [*runs.factors, *report.params]
        draw_by_name["parallel"] = partial(figures.parallel, trials, params, best, metric, runs.mode)
    return draw_by_name


def group_contrasts(report: Report) -> Iterator[tuple[str, ContrastSet, Sequence[Contrast]]]:
    """Yield the figures of contrasts: the figure's name, the contrasts by that metric, and those to draw."""
    for contrast_set in report.contrast_sets:
        # With planned contrasts, those of all other pairs are left out of the figure: there can be very many.
        planned = [contrast for contrast in contrast_set.contrasts if contrast.is_planned]
        shown = planned or contrast_set.contrasts
        if any(contrast.low is not None for contrast in shown):
            prefix = "contrasts_renderings_" if contrast_set.of_renderings else "contrasts_"
            yield prefix + contrast_set.metric, contrast_set, shown


def label_unit(contrast_set: ContrastSet) -> str:
    """Return the label of the metric of contrasts."""
    return f"{words.label_of(contrast_set.metric)}, test split"


def compute_expected_best(report: Report) -> dict[str, dict[str, pd.DataFrame]]:
    """Return the data frame of `expected_best` by cost (`epochs` or `hours`) and arm."""
    runs = report.runs
    trials = runs.search_trials.merge(report.costs, on="trial")
    mode: Any = runs.mode
    return {
        cost: {
            str(arm): expected_best(rows[runs.best_column].tolist(), rows[cost].fillna(0).tolist(), mode)
            for arm, rows in trials.groupby("arm", sort=False)
        }
        for cost in ("epochs", "hours")
    }

"""Which figures a report has, each drawn when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reports import vocabulary as words
from reports.page import figures
from reports.page.content import Report
from reports.statistics.expected_best import expected_best

MAX_SLICES = 4


def drawings(report: Report) -> dict[str, Callable[[], Figure]]:
    """Those for which there is something to draw, by name."""
    runs, searched = report.runs, report.runs.searched
    found: dict[str, Callable[[], Figure]] = _contrasts(report)
    if not report.confirmed.empty:
        found["confirmed"] = partial(figures.confirmed, report.confirmed, runs.metric)
    if report.rungs:
        found["survival"] = partial(figures.survival, searched, report.max_epochs, report.rungs)
    if report.importances:
        found["importances"] = partial(figures.importances, report.importances)
    if runs.best not in searched or searched[runs.best].isna().all():
        return found
    found["curves"] = lambda: figures.curves(runs.histories([runs.metric], searched), runs.metric, report.rungs)
    if not runs.is_repeated and len(searched) > len(runs.arms):
        found["expected_best"] = lambda: figures.expected_best(_expected_best(report), runs.metric)
    if report.params:
        found["slices"] = partial(figures.slices, searched, report.params[:MAX_SLICES], runs.best, runs.metric)
        params = [*runs.factors, *report.params]
        found["parallel"] = partial(figures.parallel, searched, params, runs.best, runs.metric, runs.mode)
    return found


def _contrasts(report: Report) -> dict[str, Callable[[], Figure]]:
    answers = {f"contrasts_{'renderings_' * each.of_renderings}{each.metric}": each for each in report.answers}
    shown = {
        # Beside the comparisons with the baseline, all other pairs would only be in the way.
        name: [contrast for contrast in each.found if contrast.is_planned] or each.found
        for name, each in answers.items()
    }
    return {
        name: partial(figures.contrasts, found, f"{words.in_words(answers[name].metric)}, test split")
        for name, found in shown.items()
        if any(contrast.low is not None for contrast in found)
    }


def _expected_best(report: Report) -> dict[str, dict[str, pd.DataFrame]]:
    runs = report.runs
    trials = runs.searched.merge(report.costs, on="trial")
    mode: Any = runs.mode
    return {
        cost: {
            str(arm): expected_best(rows[runs.best].tolist(), rows[cost].fillna(0).tolist(), mode)
            for arm, rows in trials.groupby("arm", sort=False)
        }
        for cost in ("epochs", "hours")
    }

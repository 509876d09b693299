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
    draw_by_name: dict[str, Callable[[], Figure]] = _contrasts(report)
    if not report.confirmed.empty:
        draw_by_name["confirmed"] = partial(figures.confirmed, report.confirmed, runs.metric)
    if report.rungs:
        draw_by_name["survival"] = partial(figures.survival, searched, report.max_epochs, report.rungs)
    if report.importances:
        draw_by_name["importances"] = partial(figures.importances, report.importances)
    if runs.best not in searched or searched[runs.best].isna().all():
        return draw_by_name
    draw_by_name["curves"] = lambda: figures.curves(runs.histories([runs.metric], searched), runs.metric, report.rungs)
    if not runs.is_repeated and len(searched) > len(runs.arms):
        draw_by_name["expected_best"] = lambda: figures.expected_best(_expected_best(report), runs.metric)
    if report.params:
        draw_by_name["slices"] = partial(figures.slices, searched, report.params[:MAX_SLICES], runs.best, runs.metric)
        params = [*runs.factors, *report.params]
        draw_by_name["parallel"] = partial(figures.parallel, searched, params, runs.best, runs.metric, runs.mode)
    return draw_by_name


def _contrasts(report: Report) -> dict[str, Callable[[], Figure]]:
    answers_by_name = {
        f"contrasts_{'renderings_' * answers.of_renderings}{answers.metric}": answers for answers in report.answers
    }
    shown = {
        # Beside the comparisons with the baseline, all other pairs would only be in the way.
        name: [contrast for contrast in answers.found if contrast.is_planned] or answers.found
        for name, answers in answers_by_name.items()
    }
    return {
        name: partial(figures.contrasts, contrasts, f"{words.label_of(answers_by_name[name].metric)}, test split")
        for name, contrasts in shown.items()
        if any(contrast.low is not None for contrast in contrasts)
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

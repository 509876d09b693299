"""The charts of a page by name, each with a legend whose entries hide an arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from reports.page.charts import plots, rows, svg
from reports.page.charts.front import front
from reports.page.charts.parallel import parallel, shade_bounds
from reports.page.content import Report
from reports.page.drawings import MAX_SLICES, compute_expected_best, group_contrasts, label_unit
from reports.page.front_points import find_points
from reports.runs.importance import LOGARITHMIC

MAX_MARKS = 2000
"""Maximum number of trials with a mark in the figures of parameters."""
MAX_CURVES = 200
"""Maximum number of trials with a line of their own over epochs."""
Charts = Mapping[str, Markup]
"""Charts with their legends, by name."""

WIDE = Markup("<div class='scroll wide' role='region' tabindex='0' aria-label='{}'>{}</div>")
"""A chart that scrolls sideways on narrow screens."""


def draw_charts(report: Report) -> Charts:
    """Return all charts that there are data for."""
    runs, trials, metric = report.runs, report.runs.search_trials, report.runs.metric
    arms = {arm: number for number, arm in enumerate(runs.arms)}
    legend = draw_legend(runs.arms)
    drawn = {
        name: rows.contrasts(shown, label_unit(contrast_set)) for name, contrast_set, shown in group_contrasts(report)
    }
    if not report.confirmed.empty:
        drawn["confirmed"] = legend + plots.confirmations(report.confirmed, metric, arms)
    if report.rungs and len(trials):
        drawn["survival"] = legend + plots.survival(trials, report.max_epochs, arms, report.rungs)
    if report.importances:
        drawn["importances"] = legend + rows.importances(report.importances, arms)
    best = runs.best_column
    if best not in trials or trials[best].isna().all():
        return drawn
    points = find_points(runs)
    if len(points):
        drawn["front"] = legend + front(points, runs.modes, arms)
    histories = report.histories[np.isfinite(report.histories[metric].astype(float))]
    if len(histories):
        shown = plots.pick_best(trials, best, runs.mode, MAX_CURVES)
        drawn["curves"] = legend + plots.curves(histories, metric, arms, report.rungs, shown)
    if not runs.has_fixed_arms and len(trials) > len(runs.arms):
        drawn["expected_best"] = legend + plots.expected_best(compute_expected_best(report), metric, arms)
    if report.params:
        logs = find_logs(report)
        # More marks would cover each other and fill the page.
        marked = trials[trials["trial"].isin(plots.pick_best(trials, best, runs.mode, MAX_MARKS))]
        drawn["slices"] = legend + plots.slices(marked, report.params[:MAX_SLICES], logs, best, metric, arms)
        # An axis on which all trials are at one place says nothing.
        params = [name for name in (*runs.factors, *report.params) if trials[name].nunique(dropna=False) > 1]
        chart = parallel(marked, params, logs, best, metric, runs.mode, arms)
        shades = _draw_shades(shade_bounds(marked, best, runs.mode))
        drawn["parallel"] = legend + shades + WIDE.format("parallel coordinates", chart)
    return drawn


def find_logs(report: Report) -> dict[str, bool]:
    """Return whether each searched parameter is on a logarithmic scale, by the search space that was recorded."""
    logs: dict[str, bool] = {}
    for arm in report.runs.arms:
        for name, domain in report.search_space(arm).items():
            (kind,) = domain
            logs[name] = logs.get(name, False) or kind in LOGARITHMIC
    return logs


def draw_legend(arms: Sequence[str]) -> Markup:
    """Return a button for each arm, which hides it in all charts; empty for a single arm."""
    if len(arms) < 2:
        return Markup("")
    entries = []
    for number, arm in enumerate(arms):
        sample = svg.line("1,6 27,6", "line", number) + svg.marker(14, 6, number)
        entries.append(
            Markup(
                "<button type='button' class='entry' data-entry='{}' aria-pressed='true'>"
                "<svg viewBox='0 0 28 12' aria-hidden='true'>{}</svg>{}</button>"
            ).format(number, sample, arm)
        )
    return Markup("<div class='legend' role='group' aria-label='arms'>{}</div>").format(Markup("").join(entries))


def _draw_shades(bounds: Sequence[tuple[int, str]]) -> Markup:
    """Return the key of the colours of parallel coordinates."""
    entries = [Markup("<li><i class='q{}'></i>{}</li>").format(shade, values) for shade, values in bounds]
    return Markup("<ul class='shades'>{}</ul>").format(Markup("").join(entries))


def draw_shapes() -> Markup:
    """Return the definitions of the markers, which the page needs once."""
    shapes: Sequence[Callable[[float], str]] = (
        lambda r: f"M{-r} 0a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z",
        lambda r: f"M{-r} {-r}h{2 * r}v{2 * r}h{-2 * r}z",
        lambda r: f"M0 {-1.2 * r}L{1.2 * r} {r}H{-1.2 * r}z",
        lambda r: f"M0 {-1.4 * r}L{1.4 * r} 0L0 {1.4 * r}L{-1.4 * r} 0z",
        lambda r: f"M0 {1.2 * r}L{1.2 * r} {-r}H{-1.2 * r}z",
        lambda r: f"M{-r} 0H{r}M0 {-r}V{r}",
    )
    paths = [Markup("<path id='m{}' d='{}'/>").format(number, shape(3.6)) for number, shape in enumerate(shapes)]
    return Markup("<svg class='shapes' width='0' height='0' aria-hidden='true'><defs>{}</defs></svg>").format(
        Markup("").join(paths)
    )

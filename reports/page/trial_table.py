"""The table of all trials; the page's script sorts and filters it, and reads there what a chart's mark stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from reports import vocabulary as words
from reports.page.content import Report
from reports.page.tables import format_hours, format_value, to_records

FIRST_ROWS = 200
"""Number of rows that the page's script shows at first: a browser needs seconds to lay out thousands."""
PLAY = Markup(
    "<button type='button' class='play' data-audio='{}' aria-label='play trial {}' aria-pressed='false'></button>"
)


def trial_table(report: Report, sounds: Mapping[int, str]) -> Markup:
    """Return the table of all trials; those with a sound have a button that plays it.

    Args:
        report: the report.
        sounds: sounds as data URIs, by trial.
    """
    frame = trial_frame(report)
    numeric = {name for name in frame if pd.api.types.is_numeric_dtype(frame[name])}
    columns = [str(name) for name in frame if name not in ("name", "hours")]
    arms = {arm: number for number, arm in enumerate(report.runs.arms)}
    head = [Markup("<th class='sound'><span class='hidden'>sound</span></th>")] if sounds else []
    head += [_head_cell(name, name in numeric) for name in columns]
    lines = []
    for number, row in enumerate(to_records(frame)):
        cells = [_sound_cell(int(row["trial"]), sounds)] if sounds else []
        cells += [_cell(row, name, name in numeric) for name in columns]
        lines.append(
            Markup("<tr{} data-row='{}' data-of='{}' data-name='{}'>{}</tr>").format(
                Markup(" class='later'") if number >= FIRST_ROWS else "",
                row["trial"],
                arms.get(row["arm"], -1),
                row["name"],
                Markup("").join(cells),
            )
        )
    return Markup("<table id='trials'><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(
        Markup("").join(head), Markup("").join(lines)
    )


def trial_frame(report: Report) -> pd.DataFrame:
    """Return the table of all trials.

    Returns:
        One row per trial: `trial` (number), `arm`, the objective at the best epoch on the validation split, that on
        the test split if it was evaluated, with several objectives the others and `front`, the searched parameters,
        `outcome`, `stage` if there are several, `epochs`, `time` as text, and what the page does not show: `name` (the
        run's) and `hours`.
    """
    runs, trials = report.runs, report.runs.trials
    test = words.TEST_PREFIX + runs.metric.removeprefix(words.VAL_PREFIX)
    label = words.label_of(runs.metric)
    params = dict.fromkeys(name for arm in runs.arms for name in report.search_space(arm) if name in trials)
    columns: dict[str, Sequence[Any] | pd.Series] = {"trial": trials["trial"], "arm": trials["arm"]}
    if runs.best_column in trials:
        columns[f"best {label} (validation)"] = pd.to_numeric(trials[runs.best_column])
    for name in list(runs.modes)[1:]:
        if words.best_name(name) in trials:
            columns[f"{words.label_of(name)} (validation)"] = pd.to_numeric(trials[words.best_name(name)])
    if test in trials:
        columns[f"{label} (test)"] = pd.to_numeric(trials[test])
    columns |= {name: trials[name] for name in params}
    if len(runs.modes) > 1 and words.FRONT in trials:
        columns["front"] = trials[words.FRONT].fillna("")
    columns["outcome"] = trials["outcome"]
    if "stage" in trials and trials["stage"].nunique() > 1:
        columns["stage"] = trials["stage"]
    columns["epochs"] = pd.to_numeric(trials["epochs"]).astype("Int64")
    hours = report.costs["hours"]
    columns["time"] = [format_hours(value) if math.isfinite(value) else "" for value in hours]
    columns["hours"] = hours
    columns["name"] = trials["run_name"] if "run_name" in trials else ""
    return pd.DataFrame(columns)


def _head_cell(name: str, is_number: bool) -> Markup:
    style = Markup(" class='number'") if is_number else ""
    return Markup("<th{} aria-sort='none'><button type='button'>{}</button></th>").format(style, name)


def _sound_cell(trial: int, sounds: Mapping[int, str]) -> Markup:
    button = PLAY.format(sounds[trial], trial) if trial in sounds else ""
    return Markup("<td class='sound'>{}</td>").format(button)


def _cell(row: Mapping[str, Any], name: str, is_number: bool) -> Markup:
    value = row[name]
    style = Markup(" class='number'") if is_number else Markup("")
    key = ""
    if name == "time" and math.isfinite(row["hours"]):
        key = Markup(" data-sort='{}'").format(row["hours"])
    elif isinstance(value, float) and math.isfinite(value):
        # Numbers that look the same with three decimals are still sorted.
        key = Markup(" data-sort='{}'").format(f"{value:.8g}")
    text = "" if value is pd.NA else format_value(value)
    if isinstance(value, float) and math.isfinite(value) and not name.endswith(")"):
        # Parameters may span decades: three decimals would cut them.
        text = f"{value:.3g}"
    return Markup("<td{}{}>{}</td>").format(style, key, text)

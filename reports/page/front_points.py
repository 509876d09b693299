"""The front of a sweep with several objectives, as MLflow has it: points of trials, and the line through them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from reports import vocabulary as words
from reports.page.tables import to_records
from reports.runs.frames import SweepRuns

MAX_ROWS = 50
"""The most trials in the table of the front; the table of all trials has a column with it."""
Points = Sequence[tuple[float, float]]
"""Points with a value of another objective and one of the first."""


def find_points(runs: SweepRuns) -> pd.DataFrame:
    """Return the trials of the search that may be on a front: those that have ended and have all objectives.

    Returns:
        The rows and columns of `runs.trials`; no rows for a sweep with a single objective.
    """
    trials = runs.search_trials
    columns = [words.best_name(name) for name in runs.modes]
    if len(columns) == 1 or not {words.FRONT, *columns} <= set(trials):
        return trials.iloc[:0]
    ended = trials[trials["outcome"].isin([words.OUTCOME_COMPLETED, words.OUTCOME_PRUNED])]
    return ended.dropna(subset=[words.FRONT, *columns])


def make_stairs(points: Points, mode: str) -> list[tuple[float, float]]:
    """Return the corners of the line that bounds what the points of a front dominate.

    Args:
        points: the front of two objectives.
        mode: of the objective on the horizontal axis.
    """
    ordered = sorted(points)
    corners = ordered[:1]
    for (x, y), (next_x, next_y) in itertools.pairwise(ordered):
        # Between two points, the front is the worse of each.
        corners += [(next_x, y) if mode == "min" else (x, next_y), (next_x, next_y)]
    return corners


def front_rows(runs: SweepRuns, searched: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each trial on the front over all arms, the best by the first objective first.

    Args:
        runs: the sweep.
        searched: the searched parameters.
    """
    points = find_points(runs)
    on_front = points[points[words.FRONT] == words.FRONT_SWEEP] if len(points) else points
    if on_front.empty:
        return []
    on_front = on_front.sort_values(runs.best_column, ascending=runs.mode == "min").head(MAX_ROWS)
    return [
        {
            "trial": row["trial"],
            "arm": row["arm"],
            **{words.label_of(name): row[words.best_name(name)] for name in runs.modes},
            "outcome": row["outcome"],
            **{name: _format_setting(row[name]) for name in searched},
        }
        for row in to_records(on_front)
    ]


def _format_setting(value: Any) -> str:
    """Return a setting as text with three digits, since settings may span decades; empty if an arm lacks it."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.3g}"
    return str(value)

"""Trials and epochs as tables with the columns of `orchestrator.load(NAME)`, so that CSV and Python give the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports import vocabulary as words
from reports.runs.frames import ID, READERS, SweepRuns, parse_param

if TYPE_CHECKING:
    from mlflow.entities import Run

ONCE = (words.BEST_PREFIX, words.TEST_PREFIX, words.LISTEN_PREFIX, words.LOG_PREFIX, words.TRIAL_S)
"""How metrics begin that have one value for a trial, not one for each epoch."""


def read_curves(runs: SweepRuns) -> pd.DataFrame:
    """Read every metric of every epoch from MLflow, which takes a request for each metric of each trial.

    Args:
        runs: the sweep.

    Returns:
        One row per trial and epoch, with the columns `trial`, `arm`, `epoch` and all metrics, sorted by name.
    """

    def read(run: Run) -> list[dict[str, Any]]:
        rows: dict[int, dict[str, Any]] = {}
        for name in run.data.metrics:
            metric = words.from_mlflow(name)
            if not metric.startswith(ONCE):
                for point in runs.client.get_metric_history(run.info.run_id, name):
                    rows.setdefault(point.step, {})[metric] = point.value
        arm = run.data.tags[words.TAG_ARM]
        return [{ID: _number(run), "arm": arm, "epoch": epoch, **rows[epoch]} for epoch in sorted(rows)]

    with ThreadPoolExecutor(READERS) as pool:
        all_rows = [row for rows in pool.map(read, _sorted_runs(runs)) for row in rows]
    keys = [ID, "arm", "epoch"]
    metrics = {name for row in all_rows for name in row if name not in keys}
    return pd.DataFrame(all_rows, columns=[*keys, *sorted(metrics)])


def tabulate_trials(runs: SweepRuns, curves: pd.DataFrame) -> pd.DataFrame:
    """Return where each trial belongs, how it ended, its settings, its metrics at its best epoch, and its test metrics.

    Args:
        runs: the sweep.
        curves: what `read_curves` returned.

    Returns:
        One row per trial, with the columns `trial`, those of `words.TRIAL_COLUMNS`, `front` with several objectives,
        the settings, the metrics of the best epoch and those of the test split; the last three are sorted by name.
    """
    rows: list[dict[str, Any]] = []
    settings, metrics, tests = set[str](), set[str](), set[str]()
    front_column = [words.FRONT] if len(runs.modes) > 1 else []
    rows_by_trial = {number: curve.to_dict("records") for number, curve in curves.groupby(ID)}
    for run in _sorted_runs(runs):
        number, tags = _number(run), run.data.tags
        epochs = [{str(key): value for key, value in row.items()} for row in rows_by_trial.get(number, [])]
        best = _find_best(epochs, runs.record["objective"])
        parsed = {words.from_mlflow(name): parse_param(text) for name, text in run.data.params.items()}
        recorded = tags.get(words.TAG_EPOCHS)
        row: dict[str, Any] = {
            ID: number,
            "arm": tags[words.TAG_ARM],
            "stage": tags.get(words.TAG_STAGE),
            "source": tags.get(words.TAG_SOURCE),
            "outcome": tags.get(words.TAG_OUTCOME),
            "cause": tags.get(words.TAG_CAUSE),
            "seed": parsed.pop(words.PARAM_SEED, None),
            "epochs": len(epochs) if recorded is None else int(recorded),
            "best_epoch": best.get("epoch"),
            # Added one after the other, as a trial does it.
            "seconds": sum((row.get(words.EPOCH_S, 0.0) for row in epochs), 0.0),
        }
        row |= {words.FRONT: tags.get(words.TAG_FRONT)} if front_column else {}
        chosen = {words.setting_column(name): value for name, value in parsed.items()}
        at_best = {name: value for name, value in best.items() if name in curves.columns[3:]}
        scores = {words.from_mlflow(name): value for name, value in run.data.metrics.items()}
        tested = {name: value for name, value in scores.items() if name.startswith(words.TEST_PREFIX)}
        for names, part in ((settings, chosen), (metrics, at_best), (tests, tested)):
            names.update(part)
        rows.append(row | chosen | at_best | tested)
    columns = [*words.TRIAL_COLUMNS, *front_column, *sorted(settings), *sorted(metrics), *sorted(tests)]
    # A metric may have the name of a setting.
    return pd.DataFrame(rows, columns=list(dict.fromkeys([ID, *columns])))


def _find_best(epochs: list[dict[str, Any]], objective: Mapping[str, Any]) -> dict[str, Any]:
    """Return the epoch with the best value that meets the constraints, the earliest of equals; {} if there is none."""
    best: dict[str, Any] = {}
    sign = 1 if objective["mode"] == "max" else -1
    for row in epochs:
        value = row.get(objective["metric"], math.nan)
        is_feasible = all(
            bounds.get("min", -math.inf) <= row.get(name, math.nan) <= bounds.get("max", math.inf)
            for name, bounds in (objective.get("constraints") or {}).items()
        )
        if is_feasible and not math.isnan(value) and (not best or sign * value > sign * best[objective["metric"]]):
            best = row
    return best


def _sorted_runs(runs: SweepRuns) -> list[Run]:
    return sorted(runs.trial_runs, key=_number)


def _number(run: Run) -> int:
    return int(run.data.tags[words.TAG_TRIAL])

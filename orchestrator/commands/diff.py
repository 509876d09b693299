"""`orchestrate diff vae/3 vae/7`: the differences between two trials, and their results side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.overview.snapshot import Snapshot, find_trial
from orchestrator.overview.sparkline import sparkline
from orchestrator.state.paths import trial_folder
from orchestrator.state.trial import Trial
from reports import vocabulary as words

CURVES = ("train/loss", words.VAL_LOSS, words.JUDGE_PROBABILITY, words.JUDGE_ACCURACY, words.FVU)
"""The metrics whose curves are shown with the objective's."""
TABLES = (
    f"media/best/{words.ARTIFACT_PER_RECORDING}",
    f"media/best/{words.ARTIFACT_PER_RECORDING_VALIDATION}",
)
"""In a trial's folder: its metrics by recording on the test split and on the validation split."""
Side = tuple[Snapshot, Trial]
"""One of the two trials, with its sweep."""


def diff(home: Path, first: str, second: str, console: Console) -> None:
    """Print what differs of parameters, code and versions, the curves, and the means of a metric by class.

    Args:
        home: the folder of all sweeps.
        first: a trial, such as `vae/3`.
        second: another trial, which may belong to another sweep.
        console: prints the tables.

    Raises:
        UserError: there is no such sweep or trial.
    """
    sides = find_trial(home, first), find_trial(home, second)
    left, right = (_collect_facts(side) for side in sides)
    keys = dict.fromkeys([*left, *right])
    equal = [key for key in keys if left.get(key) == right.get(key)]
    if len(equal) < len(keys):
        console.print(_make_fact_table(left, right, [key for key in keys if key not in equal], (first, second)))
    if equal:
        console.print(Text(f"Equal in {words.amount(len(equal), 'row')}: {', '.join(equal)}", style="dim"))
    console.print()
    console.print(_make_curve_table(sides, (first, second)))
    metric, by_class = _mean_by_class(sides)
    if by_class:
        console.print()
        console.print(_make_class_table(metric, by_class, (first, second)))
    else:
        console.print(Text("\nThere is no table of classes: these trials were not evaluated by class."))


def _make_fact_table(
    left: Mapping[str, str], right: Mapping[str, str], keys: Sequence[str], names: tuple[str, str]
) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", *names):
        table.add_column(heading, overflow="fold")
    for key in keys:
        table.add_row(key, left.get(key, "–"), right.get(key, "–"))
    return table


def _collect_facts(side: Side) -> dict[str, str]:
    snapshot, trial = side
    row = trial.curve.best_row
    metric = snapshot.objective.metric
    best = f"{row['metrics'][metric]:.4g} (epoch {row['epoch']})" if row else "–"
    reason = f": {trial.reason}" if trial.reason else ""
    started = trial.started
    git, corpus = started.get("git") or {}, started.get("corpus") or {}
    dirty = " with uncommitted changes" if git.get("dirty") else ""
    return {
        "arm": trial.arm,
        **{name: f"{value:.6g}" if isinstance(value, float) else f"{value}" for name, value in trial.params.items()},
        "seed": str(trial.seed),
        "state": snapshot.state_of(trial) + reason,
        "epochs": str(trial.epochs),
        **({"reused from": trial.origin.name} if trial.origin else {}),
        f"best {words.label_of(metric)}": best,
        "judge": str(started.get("judge")),
        "corpus": " ".join(str(corpus[name]) for name in ("name", "fingerprint") if name in corpus),
        "commit": f"{git.get('commit')}{dirty}",
        "code": ", ".join(dict.fromkeys(trial.codes)),
        **(started.get("versions") or {}),
    }


def _make_curve_table(sides: tuple[Side, Side], names: tuple[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("curve", "trial", "", "first", "last", "best"):
        table.add_column(heading, justify="right" if heading in ("first", "last", "best") else "left")
    wanted = dict.fromkeys([sides[0][0].objective.metric, *CURVES])
    rows_by_side = [snapshot.ledger.read_rows(trial) for snapshot, trial in sides]
    for metric in wanted:
        curves = [[row["metrics"].get(metric, math.nan) for row in rows] for rows in rows_by_side]
        finite_values = [value for values in curves for value in values if math.isfinite(value)]
        if not finite_values:
            continue
        best = max if _find_mode(sides[0][0], metric) == "max" else min
        for name, values in zip(names, curves, strict=True):
            numbers = [value for value in values if math.isfinite(value)]
            ends = (numbers[0], numbers[-1], best(numbers)) if numbers else ()
            bars = sparkline(values, min(finite_values), max(finite_values))
            label = metric if name == names[0] else ""
            table.add_row(label, name, bars, *(f"{value:.4g}" for value in ends))
    return table


def _find_mode(snapshot: Snapshot, metric: str) -> str:
    """Return `min` or `max` as the trainable declares for a metric; `min` for losses, which are not declared."""
    objective = snapshot.objective
    declared = snapshot.started.get("metrics", {}).get(metric, {})
    return str(declared.get("mode", objective.mode if metric == objective.metric else "min"))


def _mean_by_class(sides: tuple[Side, Side]) -> tuple[str, dict[str, list[float]]]:
    """Return a metric's name and its mean for each class and trial, if both were evaluated on the same split."""
    wanted = [*(snapshot.objective.metric for snapshot, _ in sides), words.JUDGE_PROBABILITY, words.JUDGE_ACCURACY]
    for name in TABLES:
        paths = [trial_folder(snapshot.ledger.folder, trial.number) / name for snapshot, trial in sides]
        if all(path.exists() for path in paths):
            import pandas as pd

            tables = [pd.read_csv(path, **words.TABLE_OPTIONS) for path in paths]
            columns = (metric.removeprefix(words.VAL_PREFIX) for metric in wanted)
            shared = (name for name in columns if all({"class", name} <= set(table) for table in tables))
            column = next(shared, None)
            if column is None:
                continue
            means = pd.concat([table.groupby("class")[column].mean() for table in tables], axis=1).dropna()
            rows = zip(means.index, means.to_numpy(), strict=True)
            return words.label_of(column), {str(label): [float(value) for value in row] for label, row in rows}
    return "", {}


def _make_class_table(metric: str, by_class: Mapping[str, Sequence[float]], names: tuple[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate((f"{metric} by class", *names, "difference")):
        table.add_column(heading, justify="right" if number else "left")
    for label, (left, right) in _sort_by_difference(by_class):
        table.add_row(label, f"{left:.3f}", f"{right:.3f}", f"{right - left:+.3f}")
    return table


def _sort_by_difference(by_class: Mapping[str, Sequence[float]]) -> list[tuple[str, Sequence[float]]]:
    """Return the classes with their means, the largest difference first."""
    return sorted(by_class.items(), key=lambda item: -abs(item[1][1] - item[1][0]))

"""`orchestrate compare NAME [A B …]`: arms, or some trials, as one table; and the pages on which they can be heard."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.overview.snapshot import MIXED_CODE, Snapshot, read_snapshot
from orchestrator.state.paths import trial_folder
from orchestrator.state.trial import Trial, unfinished_line
from orchestrator.tracking.links import SweepPages, link_lines
from reports import vocabulary as words

"""Metrics shown beside the objective, where trials have them."""
LABEL_WIDTH = 16
NO_ROOM = frozenset({"trials", "tested", "test/fvu", "test/side_info_floats"})
"""For csv and latex; 80 columns are too few for them."""
Row = dict[str, Any]


def compare(home: Path, name: str, numbers: Sequence[int], form: str, console: Console) -> None:
    """Print a table: a row an arm or, with numbers, a row a trial.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        numbers: trials.
        form: `table`, `csv` or `latex`.
        console: where to.

    Raises:
        UserError: there is no such sweep or trial.
    """
    snapshot = read_snapshot(home, name)
    rows = _trial_rows(snapshot, numbers) if numbers else _arm_rows(snapshot)
    references = [] if numbers else _reference_rows(snapshot, rows)
    if form == "csv":
        console.out(_csv([*rows, *references]), end="", highlight=False)
    elif form == "latex":
        console.out(_latex([*rows, *references]), highlight=False)
    else:
        console.print(_side_by_side(rows) if numbers else _table(snapshot, rows, references))
        remarks = _unlike(snapshot, numbers) if numbers else _remarks(snapshot, rows)
        for line in (*remarks, *_links(snapshot, home, numbers)):
            console.print(Text(line), soft_wrap=True)


def _arm_rows(snapshot: Snapshot) -> list[Row]:
    trials = list(snapshot.ledger.trials.values())
    names = list(dict.fromkeys([*snapshot.started.get("arms", {}), *(trial.arm for trial in trials)]))
    rows = []
    for arm in names:
        own = [trial for trial in trials if trial.arm == arm]
        best = snapshot.ledger.tally(arm).best
        row: Row = {"arm": arm, "trials": len(own), "best trial": best.number if best else None}
        row |= _best_values(snapshot, best) if best else {}
        tested = [trial.test for trial in own if trial.test]
        for metric in (
            f"{words.TEST_PREFIX}{val_metric.removeprefix(words.VAL_PREFIX)}" for val_metric in _metrics(snapshot)
        ):
            values = [values[metric] for values in tested if metric in values]
            row |= {metric: fmean(values), "tested": len(values)} if values else {}
        row["epochs"] = sum(trial.epochs for trial in own)
        rows.append(row)
    return rows


def _trial_rows(snapshot: Snapshot, numbers: Sequence[int]) -> list[Row]:
    chosen = [snapshot.trial(number) for number in numbers]
    # Parameters that they share say nothing of what tells them apart.
    differing = [
        key
        for key in dict.fromkeys(key for trial in chosen for key in trial.params)
        if len(chosen) == 1 or len({str(trial.params.get(key)) for trial in chosen}) > 1
    ]
    return [
        {
            "trial": trial.number,
            "state": snapshot.state_of(trial),
            **{key: trial.params.get(key) for key in differing},
            **_best_values(snapshot, trial),
            **trial.test,
            "epochs": trial.epochs,
        }
        for trial in chosen
    ]


def _metrics(snapshot: Snapshot) -> list[str]:
    # Of a sweep that was started before these were recorded, those of the autoencoder.
    metrics = snapshot.started.get("metrics", (words.JUDGE_ACCURACY, words.FVU))
    return words.read(snapshot.objective.metric, metrics)


def _best_values(snapshot: Snapshot, trial: Trial) -> Row:
    row = trial.curve.best_row
    metrics = row["metrics"] if row else {}
    return {name: metrics[name] for name in _metrics(snapshot) if name in metrics}


def _reference_rows(snapshot: Snapshot, rows: Sequence[Row]) -> list[Row]:
    shown = {key for row in rows for key in row}
    references = snapshot.started.get("references", [])
    has_sizes = len({reference.get("size") for reference in references} - {None}) > 1
    reference_rows = []
    for reference in references:
        values = {name: value for name, value in reference.items() if name in shown}
        label = f"{reference['reference']} {reference.get('size') or ''}" if has_sizes else reference["reference"]
        reference_rows += [{"arm": label.strip(), **values}] if values else []
    return reference_rows


def _columns(rows: Sequence[Row]) -> list[str]:
    """Every key, counts last."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    last = [key for key in ("tested", "epochs") if key in keys]
    return [key for key in keys if key not in last] + last


def _table(snapshot: Snapshot, rows: Sequence[Row], references: Sequence[Row]) -> Table:
    label, *others = (key for key in _columns(rows) if key not in NO_ROOM)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(label, vertical="bottom", overflow="fold", min_width=LABEL_WIDTH)
    for key in others:
        table.add_column("\n".join(_heading(key).split()), justify="right", vertical="bottom", no_wrap=True)
    columns = [label, *others]
    for row in rows:
        mark = " *" if snapshot.has_mixed_code(row["arm"]) else ""
        table.add_row(row["arm"] + mark, *(_shown(row.get(key)) for key in others))
    if references:
        table.add_section()
        table.add_row()
    for row in references:
        table.add_row(*(Text(_shown(row.get(key)), style="dim") for key in columns))
    return table


def _side_by_side(rows: Sequence[Row]) -> Table:
    """A column a trial: what they have are many short things."""
    label, *others = _columns(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(label)
    for row in rows:
        table.add_column(_shown(row[label]), justify="right")
    for key in others:
        table.add_row(_heading(key), *(_shown(row.get(key)) for row in rows))
    return table


def _heading(key: str) -> str:
    if key.startswith(words.TEST_PREFIX):
        return f"test {key.removeprefix(words.TEST_PREFIX)}".replace("_", " ")
    return words.in_words(key) if key.startswith(words.VAL_PREFIX) else key


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return (
            "nan"
            if math.isnan(value)
            else f"{value:.3f}"
            if value == 0 or 0.01 <= abs(value) < 1000
            else f"{value:.1e}"
        )
    return str(value)


def _csv(rows: Sequence[Row]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _latex(rows: Sequence[Row]) -> str:
    import pandas as pd

    columns = _columns(rows)
    frame = pd.DataFrame(
        [[_shown(row.get(key)) for key in columns] for row in rows], columns=list(map(_heading, columns))
    )
    style = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
    text: str = style.to_latex(hrules=True)
    return text


def _remarks(snapshot: Snapshot, rows: Sequence[Row]) -> list[str]:
    """What a star means, and which arms' best trials are not to be ranked against the others."""
    trials = snapshot.ledger.trials
    lines = [MIXED_CODE] if any(snapshot.has_mixed_code(row["arm"]) for row in rows) else []
    lines += filter(None, (unfinished_line(row["arm"], trials.get(row["best trial"])) for row in rows))
    return ["", *lines] if lines else []


def _unlike(snapshot: Snapshot, numbers: Sequence[int]) -> list[str]:
    """Why some trials are not to be ranked against the others."""
    trials = [snapshot.ledger.trials[number] for number in numbers]
    pruned = [trial for trial in trials if trial.outcome == words.OUTCOME_PRUNED]
    if len(pruned) in (0, len(trials)):
        return []
    ends = ", ".join(f"trial {trial.number} after {words.counted(trial.epochs, 'epoch')}" for trial in pruned)
    return ["", f"Pruned: {ends}. What they reached can't be ranked against trials that had all epochs."]


def _links(snapshot: Snapshot, home: Path, numbers: Sequence[int]) -> list[str]:
    tracking = snapshot.tracking
    if numbers and (ids := [_run_id(snapshot, number) for number in numbers]) and all(ids):
        pages = SweepPages(snapshot.name, str(tracking.get("experiment_id")), str(tracking.get("run_id")))
        tracking = tracking | {"links": {"compare": pages.compare(list(map(str, ids)))}}
    return ["", *link_lines(snapshot.name, tracking, home)]


def _run_id(snapshot: Snapshot, number: int) -> str | None:
    try:
        sent = json.loads((trial_folder(snapshot.ledger.folder, number) / "mlflow.json").read_text())
    except (OSError, ValueError):
        # Nothing was sent yet, or the file is just being made.
        return None
    run_id: str | None = sent.get("run_id")
    return run_id

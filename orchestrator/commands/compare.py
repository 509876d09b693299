"""`orchestrate compare NAME [A B …]`: one table of the arms or of some trials, and links to MLflow's pages of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.command_line import format_command
from orchestrator.commands.compare_formats import (
    MARGIN,
    Row,
    format_csv,
    format_heading,
    format_latex,
    format_value,
    format_with_margin,
    list_columns,
)
from orchestrator.errors import UserError
from orchestrator.overview.front_table import print_front
from orchestrator.overview.snapshot import MIXED_CODE, Snapshot, read_snapshot
from orchestrator.overview.summary import margin
from orchestrator.overview.tables import describe_best_parameters, print_whole
from orchestrator.state.home import home_option
from orchestrator.state.paths import RUN_FILE, trial_folder
from orchestrator.state.trial import Trial, infeasible_line, unfinished_line
from orchestrator.tracking.links import SweepPages, link_lines
from orchestrator.tracking.run import read_sent
from reports import vocabulary as words

LABEL_WIDTH = 16
TRIAL = re.compile(r".+/\d+")
"""A trial as other commands name it: `vae/3`."""
ON_FRONT = "trials on the front"
"""The column with the trials of an arm that are on the front over all arms, in sweeps with several objectives."""
FILE_ONLY = frozenset({"trials", "tested", ON_FRONT, "test/fvu", "test/side_info_floats"})
"""Columns of csv and latex only: a terminal of 80 columns has no space for them."""


def parse_trials(name: str, trials: Sequence[str]) -> tuple[str, list[int]]:
    """Return the sweep and the numbers of the trials that a user has named: `vae 3 7` or `vae/3 vae/7`.

    Args:
        name: the sweep, or the first trial.
        trials: the trials.

    Raises:
        UserError: a trial is not a number, or of another sweep.
    """
    sweep, is_trial, _ = name.rpartition("/") if TRIAL.fullmatch(name) else (name, "", "")
    numbers = []
    for trial in [name, *trials] if is_trial else trials:
        of_sweep, _, number = trial.rpartition("/")
        if not number.isdecimal() or of_sweep not in ("", sweep):
            example = format_command("compare", sweep, "1", "2")
            raise UserError(
                f"{trial}: is not a trial of {sweep}; give numbers, such as {example} (orchestrate diff compares trials"
                " of two sweeps)"
            )
        numbers.append(int(number))
    return sweep, numbers


def compare(home: Path, name: str, numbers: Sequence[int], form: str, console: Console) -> None:
    """Print a table with a row for each arm or, if numbers of trials are given, for each of these trials.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        numbers: the numbers of the trials; empty for the arms.
        form: `table`, `csv` or `latex`.
        console: prints the table.

    Raises:
        UserError: there is no such sweep or trial.
    """
    snapshot = read_snapshot(home, name)
    if numbers:
        rows, references = _make_trial_rows(snapshot, numbers), []
    else:
        rows = _make_arm_rows(snapshot)
        references = _make_reference_rows(snapshot, rows)
    if form == "csv":
        console.out(format_csv([*rows, *references]), end="", highlight=False)
    elif form == "latex":
        console.out(format_latex([*rows, *references]), highlight=False)
    else:
        if numbers:
            table, remarks = _make_trial_table(rows), _make_trial_remarks(snapshot, numbers)
        else:
            table, remarks = _make_arm_table(snapshot, rows, references), _make_arm_remarks(snapshot, rows)
        print_whole(console, table)
        if not numbers:
            print_front(snapshot.ledger, console)
        for line in (*remarks, *_make_link_lines(snapshot, home, numbers)):
            console.print(Text(line), soft_wrap=True)


def _make_arm_rows(snapshot: Snapshot) -> list[Row]:
    trials = list(snapshot.ledger.trials.values())
    places = snapshot.ledger.front_places()
    names = list(dict.fromkeys([*snapshot.started.get("arms", {}), *(trial.arm for trial in trials)]))
    rows = []
    for arm in names:
        own = [trial for trial in trials if trial.arm == arm]
        best = snapshot.ledger.tally(arm).best
        row: Row = {"arm": arm, "trials": len(own), "best trial": best.number if best else None}
        tested = [trial.test for trial in own if trial.test]
        if snapshot.started.get("seeds"):
            row |= _average_over_seeds(snapshot, own, has_margins=len(tested) > 1)
        elif best:
            row |= _read_best_values(snapshot, best)
        for val_metric in _list_metrics(snapshot):
            metric = f"{words.TEST_PREFIX}{val_metric.removeprefix(words.VAL_PREFIX)}"
            values = [metrics[metric] for metrics in tested if metric in metrics]
            row |= {metric: fmean(values), "tested": len(values)} if values else {}
            row |= _measure_margin(metric, values)
        if snapshot.objective.beside:
            on_front = [trial.number for trial in own if places.get(trial.number) == words.FRONT_SWEEP]
            row[ON_FRONT] = " ".join(map(str, on_front))
        row["epochs"] = sum(trial.epochs for trial in own)
        rows.append(row)
    return rows


def _average_over_seeds(snapshot: Snapshot, trials: Sequence[Trial], *, has_margins: bool) -> Row:
    """Return the means over the completed trials of an arm, whose trials are repetitions with other seeds."""
    rows = [_read_best_values(snapshot, trial) for trial in trials if trial.outcome == words.OUTCOME_COMPLETED]
    means: Row = {}
    for name in _list_metrics(snapshot):
        values = [row[name] for row in rows if name in row]
        means |= {name: fmean(values)} if values else {}
        means |= _measure_margin(name, values) if has_margins else {}
    return means


def _measure_margin(metric: str, values: Sequence[float]) -> Row:
    """Return half of the 95 % confidence interval of a mean; nothing if there is no spread to measure."""
    if len(values) < 2:
        return {}
    half_width = margin(values)
    return {metric + MARGIN: half_width} if float(f"{half_width:.3f}") else {}


def _make_trial_rows(snapshot: Snapshot, numbers: Sequence[int]) -> list[Row]:
    chosen = [snapshot.trial(number) for number in numbers]
    keys = dict.fromkeys(key for trial in chosen for key in trial.params)
    # A parameter that several trials share can't explain a difference between them.
    differing = [key for key in keys if len(chosen) == 1 or len({str(trial.params.get(key)) for trial in chosen}) > 1]
    places = snapshot.ledger.front_places()
    return [
        {
            "trial": trial.number,
            "state": snapshot.state_of(trial),
            **{key: trial.params.get(key) for key in differing},
            **_read_best_values(snapshot, trial),
            **trial.test,
            **({words.FRONT: trial.front_place(places)} if snapshot.objective.beside else {}),
            "epochs": trial.epochs,
        }
        for trial in chosen
    ]


def _list_metrics(snapshot: Snapshot) -> list[str]:
    # Old sweeps did not record their metrics; all of them trained autoencoders.
    metrics = snapshot.started.get("metrics", (words.JUDGE_ACCURACY, words.FVU))
    return words.headline_metrics(snapshot.objective.modes, metrics, snapshot.started.get("judges", ()))


def _read_best_values(snapshot: Snapshot, trial: Trial) -> Row:
    row = trial.curve.best_row
    metrics = row["metrics"] if row else {}
    return {name: metrics[name] for name in _list_metrics(snapshot) if name in metrics}


def _make_reference_rows(snapshot: Snapshot, rows: Sequence[Row]) -> list[Row]:
    shown = {key for row in rows for key in row}
    references = snapshot.started.get("references", [])
    has_sizes = len({reference.get("size") for reference in references} - {None}) > 1
    reference_rows = []
    for reference in references:
        values = {name: value for name, value in reference.items() if name in shown}
        label = f"{reference['reference']} {reference.get('size') or ''}" if has_sizes else reference["reference"]
        reference_rows += [{"arm": label.strip(), **values}] if values else []
    return reference_rows


def _make_arm_table(snapshot: Snapshot, rows: Sequence[Row], references: Sequence[Row]) -> Table:
    # With seeds, an arm's row has means and no best trial.
    hidden = FILE_ONLY - {"trials"} | {"best trial"} if snapshot.started.get("seeds") else FILE_ONLY
    shown = [key for key in list_columns(rows) if key not in hidden]
    label, *others = (key for key in shown if not key.endswith(MARGIN))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(label, vertical="bottom", overflow="fold", min_width=LABEL_WIDTH)
    for key in others:
        table.add_column("\n".join(format_heading(key).split()), justify="right", vertical="bottom", no_wrap=True)
    columns = [label, *others]
    for row in rows:
        mark = " *" if snapshot.has_mixed_code(row["arm"]) else ""
        table.add_row(row["arm"] + mark, *(format_with_margin(row, key) for key in others))
    if references:
        table.add_section()
        table.add_row()
    for row in references:
        table.add_row(*(Text(format_value(row.get(key)), style="dim") for key in columns))
    return table


def _make_trial_table(rows: Sequence[Row]) -> Table:
    """Return a table with a column for each trial, since trials have many short values."""
    label, *others = list_columns(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(label)
    for row in rows:
        table.add_column(format_value(row[label]), justify="right")
    for key in others:
        table.add_row(format_heading(key), *(format_value(row.get(key)) for row in rows))
    return table


def _make_arm_remarks(snapshot: Snapshot, rows: Sequence[Row]) -> list[str]:
    """Return lines about mixed code, best trials that did not train to the end, and the best parameters."""
    trials = snapshot.ledger.trials
    lines = [MIXED_CODE] if any(snapshot.has_mixed_code(row["arm"]) for row in rows) else []
    lines += filter(None, (unfinished_line(row["arm"], trials.get(row["best trial"])) for row in rows))
    lines += filter(None, [infeasible_line(trials.values(), snapshot.objective)])
    command = format_command("report", snapshot.name, "--best-yaml", *home_option(snapshot.ledger.folder.parent))
    if any(key.endswith(MARGIN) for row in rows for key in row):
        lines.append("±: half of the mean's 95 % confidence interval over trials alone (Student's t).")
    lines += describe_best_parameters((trials.get(row["best trial"]) for row in rows), command)
    return ["", *lines] if lines else []


def _make_trial_remarks(snapshot: Snapshot, numbers: Sequence[int]) -> list[str]:
    """Return a warning about pruned trials if there are other ones as well."""
    trials = [snapshot.ledger.trials[number] for number in numbers]
    pruned = [trial for trial in trials if trial.outcome == words.OUTCOME_PRUNED]
    if len(pruned) in (0, len(trials)):
        return []
    ends = ", ".join(f"trial {trial.number} after {words.amount(trial.epochs, 'epoch')}" for trial in pruned)
    return ["", f"Pruned: {ends}. What they reached can't be ranked against trials that had all epochs."]


def _make_link_lines(snapshot: Snapshot, home: Path, numbers: Sequence[int]) -> list[str]:
    tracking = snapshot.tracking
    sent = [read_sent(trial_folder(snapshot.ledger.folder, number) / RUN_FILE) for number in numbers]
    # A run that is not there yet has no id.
    run_ids = [run.run_id for run in sent if run.run_id]
    if numbers and len(run_ids) == len(numbers):
        pages = SweepPages(snapshot.name, str(tracking.get("experiment_id")), str(tracking.get("run_id")))
        tracking = tracking | {"links": {"compare": pages.compare(run_ids)}}
    return ["", *link_lines(snapshot.name, tracking, home)]

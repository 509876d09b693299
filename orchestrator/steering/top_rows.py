"""What `orchestrate top` shows of a sweep, as cells of its tables and lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from orchestrator.commands.status import collect_status
from orchestrator.overview.machine import Load
from orchestrator.overview.panels import draw_bar
from orchestrator.overview.snapshot import STOPPED, WAITING, Snapshot
from orchestrator.overview.sparkline import sparkline
from orchestrator.overview.tables import format_number, format_parameter
from orchestrator.state.paths import TRIAL_LOG, trial_folder
from orchestrator.state.requests import Controls
from orchestrator.state.trial import BROKEN, Trial
from reports import vocabulary as words

SPARK_WIDTH, LOAD_WIDTH = 12, 10
LOG_BYTES = 64_000
"""The end of a trial's log that is read; a progress bar may have written megabytes."""
LOG_LINES = 200
ORDER = {words.OUTCOME_RUNNING: 0, WAITING: 1, STOPPED: 2, **dict.fromkeys(BROKEN, 3)}
"""Trials that run come first, then those that a user may want to steer; ended ones, the newest first, are last."""
STYLES = {words.OUTCOME_RUNNING: "bold", **dict.fromkeys(BROKEN, "reverse"), words.OUTCOME_PRUNED: "dim"}
"""Brightness only: colours differ between terminals and eyes."""

Row = Sequence[str | Text]


def list_trials(snapshot: Snapshot) -> list[Trial]:
    """Return the trials of a sweep in the order in which the table has them."""

    def place(trial: Trial) -> tuple[int, int]:
        rank = ORDER.get(snapshot.state_of(trial), 4)
        return rank, -trial.number if rank == max(ORDER.values()) + 1 else trial.number

    return sorted(snapshot.ledger.trials.values(), key=place)


def make_trial_rows(snapshot: Snapshot, trials: Sequence[Trial]) -> Iterator[Row]:
    """Yield the cells of each trial: its number, arm, state, epoch, best value, values so far, and the age of the last.

    Args:
        snapshot: the sweep.
        trials: some of its trials.
    """
    curves = [trial.curve.values() for trial in trials]
    finite = [value for curve in curves for value in curve if math.isfinite(value)]
    lowest, highest = min(finite, default=0.0), max(finite, default=0.0)
    budgets: dict[str, dict[str, int]] = snapshot.started.get("arms", {})
    best = snapshot.best_trials()
    for trial, curve in zip(trials, curves, strict=True):
        state = snapshot.state_of(trial)
        style = STYLES.get(state, "")
        epochs = budgets.get(trial.arm, {}).get("epochs")
        age_s = snapshot.report_age_s(trial) if state == words.OUTCOME_RUNNING else None
        yield (
            Text(f"{trial.number}{' ★' if trial.number in best else ''}", style),
            Text(trial.arm, style),
            Text(state, style),
            Text(f"{trial.epochs}/{epochs}" if epochs else f"{trial.epochs}", style, justify="right"),
            Text(format_number(trial.best_value), style, justify="right"),
            Text(sparkline(curve, lowest, highest, SPARK_WIDTH), style),
            Text("" if age_s is None else f"{age_s:.0f} s", style, justify="right"),
        )


def make_arm_rows(status: dict[str, Any]) -> Iterator[Row]:
    """Yield the cells of each arm: its name, ended trials, best value and the trial that has it, trials by state.

    Args:
        status: the state of the sweep, as `collect_status` returns it.
    """
    for arm in status["arms"]:
        states = ", ".join(f"{count} {state}" for state, count in arm["states"].items())
        ended = sum(count for state, count in arm["states"].items() if state not in ORDER or state in BROKEN)
        best = Text(format_number(arm["best"]), justify="right")
        yield arm["arm"], f"{ended} of {arm['trials']}", best, str(arm["best_trial"] or "–"), states


def describe_sweep(snapshot: Snapshot, controls: Controls, num_requests: int) -> Text:
    """Return the lines above the tables: the sweep's state, what requests have set, and what MLflow has.

    Args:
        snapshot: the sweep.
        controls: what requests have set for it.
        num_requests: the requests that its driver has not read yet.
    """
    status = collect_status(snapshot)
    driver = status["driver"]
    where = f" on {driver['host']}, process {driver['pid']}" if driver else ""
    parts = [f"{snapshot.state}{where}", f"by {words.label_of(snapshot.objective.metric)}"]
    parts += [snapshot.reason] if snapshot.reason else []
    parts += [f"at most {words.amount(controls.at_once, 'trial')} at once"] if controls.at_once else []
    parts += [f"{words.amount(num_requests, 'request')} on the way"] if num_requests else []
    backlog = status["mlflow"]["backlog"]
    parts += [f"MLflow: {backlog} lines wait"] if backlog else []
    return Text.assemble((snapshot.name, "bold"), "  ", " · ".join(parts))


def describe_machine(loads: Sequence[Load]) -> Text:
    """Return one line with a bar for each part of the machine."""
    return Text("   ").join(
        Text.assemble(f"{load.name} ", draw_bar(load.share, LOAD_WIDTH), f" {100 * load.share:.0f} %") for load in loads
    )


def describe_trial(snapshot: Snapshot, trial: Trial) -> Text:
    """Return what is known of a trial: why it ended, its parameters, and its last epoch's metrics."""
    lines = [Text(f"trial {trial.number}  {trial.arm}", "bold"), Text(f"{snapshot.state_of(trial)}  {trial.reason}")]
    lines += [Text.assemble((f"{name}  ", "dim"), format_parameter(value)) for name, value in trial.params.items()]
    if (row := trial.curve.best_row) is not None:
        lines.append(Text(f"metrics of the best epoch, {row['epoch']}", "bold"))
        lines += [Text.assemble((f"{name}  ", "dim"), format_number(value)) for name, value in row["metrics"].items()]
    return Text("\n").join(lines)


def read_log(folder: Path, number: int) -> list[str]:
    """Return the last lines of what a trial has printed; a line that was overwritten counts as its last text.

    Args:
        folder: the sweep's folder.
        number: the trial's number.
    """
    try:
        with (trial_folder(folder, number) / TRIAL_LOG).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")][-LOG_LINES:]

"""`orchestrate status`: print the sweeps of a home, or one sweep's arms and trials, as tables or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.errors import UserError
from orchestrator.overview.snapshot import MIXED_CODE, WAITING, Snapshot, read_snapshot
from orchestrator.state.home import sweep_names
from orchestrator.state.sweep_state import FINISHED
from orchestrator.state.trial import Trial
from orchestrator.tracking import sender
from reports import vocabulary as words

MOST_TRIALS = 60
"""The most trials in the table without `--all`; a thousand rows would take a second to print."""
UNENDED = (words.OUTCOME_RUNNING, WAITING, words.OUTCOME_INTERRUPTED)
BROKEN = (words.OUTCOME_FAILED, words.OUTCOME_DIVERGED)


def show_status(home: Path, name: str | None, *, as_json: bool, console: Console, shows_all: bool = False) -> None:
    """Print the state of a sweep or, without a name, a line for each sweep of the home.

    Args:
        home: the folder of all sweeps.
        name: the sweep; None for all of them.
        as_json: print all values as JSON.
        console: prints the tables.
        shows_all: print a row for every trial, even if there are thousands.

    Raises:
        UserError: there is no such sweep.
    """
    if name is not None:
        snapshot = read_snapshot(home, name)
        if as_json:
            console.out(json.dumps(collect_status(snapshot), indent=1), highlight=False)
        else:
            _print_sweep(snapshot, console, shows_all=shows_all)
        return
    names = sweep_names(home)
    if not names:
        raise UserError(f"{home}: no sweep has been run here; run one (orchestrate sweep FILE) or name another --home")
    snapshots = []
    for sweep_name in names:
        try:
            snapshots.append(read_snapshot(home, sweep_name))
        except UserError as error:
            # The other sweeps are printed although this one can't be read.
            Console(stderr=True, highlight=False).print(Text(str(error)), soft_wrap=True)
    if as_json:
        console.out(json.dumps([collect_status(snapshot) for snapshot in snapshots], indent=1), highlight=False)
    else:
        _print_home(snapshots, console)


def collect_status(snapshot: Snapshot) -> dict[str, Any]:
    """Return the state of a sweep, its arms and trials as plain values; durations in seconds, times in ISO 8601."""
    objective, ledger = snapshot.objective, snapshot.ledger
    trials = [_collect_trial(snapshot, trial) for trial in ledger.trials.values()]
    arms = []
    for arm, wanted in _read_budgets(snapshot).items():
        own = [trial for trial in trials if trial["arm"] == arm]
        states = [trial["state"] for trial in own]
        count_by_state = {state: states.count(state) for state in dict.fromkeys(states)}
        best = ledger.tally(arm).best
        arms.append(
            {
                "arm": arm,
                "trials": wanted.get("trials", len(own)),
                "max_epochs": wanted.get("epochs"),
                "states": count_by_state,
                "epochs": sum(trial["epoch"] for trial in own),
                "best": best and best.best_value,
                "best_trial": best and best.number,
                "mixed_code": snapshot.has_mixed_code(arm),
            }
        )
    tracking = snapshot.tracking
    since_ms = tracking.get("unreachable_since")
    is_sent = snapshot.driver is None and not sender.is_behind(snapshot.ledger.folder)
    return {
        "sweep": snapshot.name,
        "state": snapshot.state,
        "reason": snapshot.reason,
        "driver": snapshot.driver and {key: snapshot.driver.get(key) for key in ("host", "pid")},
        "objective": {"metric": objective.metric, "mode": objective.mode},
        "arms": arms,
        "trials": trials,
        "mlflow": {
            "uri": tracking.get("tracking_uri"),
            "backlog": tracking.get("backlog"),
            "unreachable_since": since_ms and datetime.fromtimestamp(since_ms / 1000).isoformat("T", "seconds"),
            "error": tracking.get("error"),
            "remark": tracking.get("remark"),
            "left_out": tracking.get("left_out") or None,
            "sent": is_sent,
            "complete": is_sent and not tracking.get("left_out"),
        },
    }


def _collect_trial(snapshot: Snapshot, trial: Trial) -> dict[str, Any]:
    row = trial.curve.best_row
    return {
        "trial": trial.number,
        "arm": trial.arm,
        "stage": trial.stage,
        "state": snapshot.state_of(trial),
        "cause": trial.cause,
        "reason": trial.reason,
        "epoch": trial.epochs,
        "best": row and row["metrics"][snapshot.objective.metric],
        "best_epoch": row and row["epoch"],
        "last_report_s": snapshot.report_age_s(trial),
        "attempts": trial.attempts,
        "params": trial.params,
    }


def _read_budgets(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    """Return the budget of each arm by its name; an empty one for an arm that the last start did not have."""
    budget_by_arm: dict[str, dict[str, int]] = snapshot.started.get("arms", {})
    return {trial.arm: {} for trial in snapshot.ledger.trials.values()} | budget_by_arm


def _print_home(snapshots: Iterable[Snapshot], console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("sweep", "state", "trials ended", "best", "of arm", "last event"):
        table.add_column(heading)
    for snapshot in snapshots:
        trials = snapshot.ledger.trials.values()
        best = snapshot.best_of(trials)
        wanted = sum(arm.get("trials", 0) for arm in _read_budgets(snapshot).values())
        ended = sum(trial.outcome is not None for trial in trials)
        last = datetime.fromtimestamp(snapshot.ledger.last_ms / 1000)
        value, arm_name = (best.best_value, best.arm) if best else (None, "")
        table.add_row(
            snapshot.name,
            snapshot.state,
            f"{ended} of {wanted or len(trials)}",
            _format_number(value),
            arm_name,
            f"{last:%Y-%m-%d %H:%M}",
        )
    console.print(table)


def _choose_trials(trials: list[dict[str, Any]], arms: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose at most `MOST_TRIALS` trials: those that run or wait and the best, then broken ones, then the newest."""
    bests = {arm["best_trial"] for arm in arms}
    urgent = [trial for trial in trials if trial["state"] in UNENDED or trial["trial"] in bests]
    broken = [trial for trial in reversed(trials) if trial["state"] in BROKEN]
    numbers = [trial["trial"] for trial in (*urgent, *broken[: MOST_TRIALS // 2], *reversed(trials))]
    chosen = set(list(dict.fromkeys(numbers))[:MOST_TRIALS])
    return [trial for trial in trials if trial["trial"] in chosen]


def _print_sweep(snapshot: Snapshot, console: Console, *, shows_all: bool) -> None:
    data = collect_status(snapshot)
    _print_arms(data, snapshot, console)
    _print_trials(data, snapshot, console, shows_all=shows_all)
    console.print(Text(_format_mlflow(data["mlflow"], is_running=bool(data["driver"]))), soft_wrap=True)


def _print_arms(data: dict[str, Any], snapshot: Snapshot, console: Console) -> None:
    reason = f": {data['reason']}" if data["reason"] and data["state"] != FINISHED else ""
    driver = f" on {data['driver']['host']}, process {data['driver']['pid']}" if data["driver"] else ""
    console.print(Text(f"{snapshot.name}: {data['state']}{driver}{reason}"), soft_wrap=True)
    metric = words.label_of(snapshot.objective.metric)
    arms = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("arm", "trials", "states", "epochs", f"best {metric}", "trial"):
        arms.add_column(heading, justify="left" if heading in ("arm", "states") else "right")
    for arm in data["arms"]:
        states = ", ".join(f"{count} {state}" for state, count in arm["states"].items())
        best = _format_number(arm["best"])
        name = f"{arm['arm']} *" if arm["mixed_code"] else arm["arm"]
        arms.add_row(name, str(arm["trials"]), states, str(arm["epochs"]), best, str(arm["best_trial"] or "–"))
    console.print(arms)
    if any(arm["mixed_code"] for arm in data["arms"]):
        console.print(MIXED_CODE)


def _print_trials(data: dict[str, Any], snapshot: Snapshot, console: Console, *, shows_all: bool) -> None:
    metric = words.label_of(snapshot.objective.metric)
    shown = data["trials"] if shows_all else _choose_trials(data["trials"], data["arms"])
    trials = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("trial", "arm", "state", "epoch", f"best {metric}", "last report", "why"):
        trials.add_column(heading, justify="right" if heading in ("trial", "epoch", f"best {metric}") else "left")
    for trial in shown:
        age = trial["last_report_s"]
        last_report = _format_age(age) if age is not None and trial["state"] in UNENDED else ""
        why = trial["reason"] if trial["state"] in BROKEN else ""
        cells = (
            str(trial["trial"]),
            trial["arm"],
            trial["state"],
            str(trial["epoch"]),
            _format_number(trial["best"]),
            last_report,
        )
        trials.add_row(*cells, Text(why, overflow="ellipsis", no_wrap=True))
    console.print()
    console.print(trials)
    if num_hidden := len(data["trials"]) - len(shown):
        console.print(f"{num_hidden:,} more trials; --all shows them.")


def _format_mlflow(mlflow: dict[str, Any], *, is_running: bool) -> str:
    if mlflow["unreachable_since"]:
        return f"\nMLflow unreachable since {mlflow['unreachable_since'][11:16]}: {mlflow['backlog']} lines wait."
    remark = f" {mlflow['remark']}." if mlflow["remark"] else ""
    if mlflow["backlog"]:
        return f"\nMLflow: {mlflow['backlog']} lines wait.{remark}"
    left_out = f" but {mlflow['left_out']}" if mlflow["left_out"] else ""
    if mlflow["sent"]:
        return f"\nMLflow: has everything{left_out}.{remark}"
    if is_running:
        return f"\nMLflow: has every epoch so far{left_out}.{remark}"
    return f"\nMLflow: not everything is there; resume sends it.{remark}"


def _format_number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _format_age(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 5400 else f"{seconds / 3600:.1f} h ago"

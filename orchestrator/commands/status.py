"""`orchestrate status`: print the sweeps of a home, or one sweep's arms and trials, as tables or as JSON."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.errors import UserError
from orchestrator.overview.preferred import preferred_line
from orchestrator.overview.snapshot import Snapshot, read_snapshot
from orchestrator.overview.status_tables import MOST_TRIALS, make_home_table, make_sweep_view
from orchestrator.state.home import sweep_names
from orchestrator.state.origin import linked_line
from orchestrator.state.trial import Trial
from orchestrator.tracking import sender


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
            most = len(snapshot.ledger.trials) if shows_all else MOST_TRIALS
            console.print(make_sweep_view(snapshot.name, collect_status(snapshot), most_trials=most))
        return
    snapshots, problems = read_snapshots(home)
    for problem in problems:
        Console(stderr=True, highlight=False).print(Text(problem), soft_wrap=True)
    if as_json:
        console.out(json.dumps([collect_status(snapshot) for snapshot in snapshots], indent=1), highlight=False)
    else:
        console.print(make_home_table(snapshots, [collect_wanted(snapshot) for snapshot in snapshots]))


def read_snapshots(home: Path) -> tuple[list[Snapshot], list[str]]:
    """Return the state of every sweep of a home, and a message for each sweep that can't be read.

    Raises:
        UserError: there is no sweep.
    """
    names = sweep_names(home)
    if not names:
        raise UserError(f"{home}: no sweep has been run here; run one (orchestrate sweep FILE) or name another --home")
    snapshots, problems = [], []
    for name in names:
        try:
            snapshots.append(read_snapshot(home, name))
        except UserError as error:
            problems.append(str(error))
    return snapshots, problems


def collect_wanted(snapshot: Snapshot) -> int:
    """Return the number of trials of all arms' budgets; 0 if the last start did not record any."""
    return sum(arm.get("trials", 0) for arm in _read_budgets(snapshot).values())


def collect_status(snapshot: Snapshot) -> dict[str, Any]:
    """Return the state of a sweep, its arms and trials as plain values; durations in seconds, times in ISO 8601."""
    objective, ledger = snapshot.objective, snapshot.ledger
    trials = [_collect_trial(snapshot, trial) for trial in ledger.trials.values()]
    arms = []
    for arm, wanted in _read_budgets(snapshot).items():
        own = [trial for trial in trials if trial["arm"] == arm]
        states = [trial["state"] for trial in own]
        count_by_state = {state: states.count(state) for state in dict.fromkeys(states)}
        best, bound = ledger.tally(arm).best, ledger.final_bound(arm)
        arms.append(
            {
                "arm": arm,
                "trials": wanted.get("trials", len(own)),
                "max_epochs": wanted.get("epochs"),
                "states": count_by_state,
                "epochs": ledger.tally(arm).epochs,
                "best": best and best.best_value,
                "best_trial": best and best.number,
                "early_end": bound and bound.describe(objective.metric),
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
        "objective": {"metric": objective.metric, "mode": objective.mode, "beside": dict(objective.beside)},
        "arms": arms,
        "machines": [{"machine": event.machine, "fault": event.fault, "text": event.text} for event in ledger.suspects],
        "preferred": preferred_line(ledger),
        "linked": linked_line([trial.origin for trial in ledger.trials.values()]),
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
        "origin": trial.origin and trial.origin.name,
        "params": trial.params,
    }


def _read_budgets(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    """Return the budget of each arm by its name; an empty one for an arm that the last start did not have."""
    budget_by_arm: dict[str, dict[str, int]] = snapshot.started.get("arms", {})
    return {trial.arm: {} for trial in snapshot.ledger.trials.values()} | budget_by_arm

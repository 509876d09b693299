"""The tables of `orchestrate status`: the sweeps of a home, and the arms and trials of one sweep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.overview.snapshot import MIXED_CODE, WAITING, Snapshot
from orchestrator.state.sweep_state import FINISHED
from orchestrator.state.trial import BROKEN
from reports import vocabulary as words

MOST_TRIALS = 60
"""The most trials in the table without `--all`; a thousand rows would take a second to print."""
UNENDED = (words.OUTCOME_RUNNING, WAITING, words.OUTCOME_INTERRUPTED)


def make_home_table(snapshots: Sequence[Snapshot], wanted: Sequence[int]) -> Table:
    """Return a table with a row for each sweep.

    Args:
        snapshots: the sweeps.
        wanted: the number of trials of each sweep's budget; 0 if it is unknown.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("sweep", "state", "trials ended", "best", "of arm", "last event"):
        table.add_column(heading)
    for snapshot, num_wanted in zip(snapshots, wanted, strict=True):
        trials = snapshot.ledger.trials.values()
        best = snapshot.best_of(trials)
        ended = sum(trial.outcome is not None for trial in trials)
        last = datetime.fromtimestamp(snapshot.ledger.last_ms / 1000)
        value, arm_name = (best.best_value, best.arm) if best else (None, "")
        table.add_row(
            snapshot.name,
            snapshot.state,
            f"{ended} of {num_wanted or len(trials)}",
            _format_number(value),
            arm_name,
            f"{last:%Y-%m-%d %H:%M}",
        )
    return table


def make_sweep_view(name: str, data: dict[str, Any], *, most_trials: int) -> Group:
    """Return the tables of one sweep's arms and trials, and what MLflow has.

    Args:
        name: the sweep.
        data: its state, as `collect_status` returns it.
        most_trials: the number of trials in the table, at most.
    """
    reason = f": {data['reason']}" if data["reason"] and data["state"] != FINISHED else ""
    driver = f" on {data['driver']['host']}, process {data['driver']['pid']}" if data["driver"] else ""
    metric = words.label_of(data["objective"]["metric"])
    shown = _choose_trials(data["trials"], data["arms"], most_trials)
    parts: list[RenderableType] = [Text(f"{name}: {data['state']}{driver}{reason}"), _make_arm_table(data, metric)]
    if any(arm["mixed_code"] for arm in data["arms"]):
        parts.append(MIXED_CODE)
    parts += [f"{arm['arm']} gets no more trials: {arm['early_end']}." for arm in data["arms"] if arm["early_end"]]
    parts += [Text(machine["text"], style="yellow") for machine in data["machines"]]
    parts += ["", _make_trial_table(shown, metric)]
    parts += [data[sentence] for sentence in ("preferred", "linked") if data[sentence]]
    if num_hidden := len(data["trials"]) - len(shown):
        parts.append(f"{num_hidden:,} more trials; --all shows them.")
    parts.append(Text(_format_mlflow(data["mlflow"], is_running=bool(data["driver"]))))
    return Group(*parts)


def _choose_trials(
    trials: list[dict[str, Any]], arms: Iterable[dict[str, Any]], most_trials: int
) -> list[dict[str, Any]]:
    """Choose trials to show: those that run or wait and the best, then broken ones, then the newest."""
    bests = {arm["best_trial"] for arm in arms}
    urgent = [trial for trial in trials if trial["state"] in UNENDED or trial["trial"] in bests]
    broken = [trial for trial in reversed(trials) if trial["state"] in BROKEN]
    numbers = [trial["trial"] for trial in (*urgent, *broken[: most_trials // 2], *reversed(trials))]
    chosen = set(list(dict.fromkeys(numbers))[:most_trials])
    return [trial for trial in trials if trial["trial"] in chosen]


def _make_arm_table(data: dict[str, Any], metric: str) -> Table:
    """Return a table with a row for each arm: its trials by state, and its best value with the trial that has it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("arm", "trials", "states", "epochs", f"best {metric}", "best trial"):
        justify: JustifyMethod = "left" if heading in ("arm", "states") else "right"
        # Long arm names wrap, because they begin alike and could not be told apart if cut.
        table.add_column(heading, justify=justify, overflow="fold" if heading == "arm" else "ellipsis")
    for arm in data["arms"]:
        states = ", ".join(f"{count} {state}" for state, count in arm["states"].items())
        best = _format_number(arm["best"])
        name = f"{arm['arm']} *" if arm["mixed_code"] else arm["arm"]
        table.add_row(name, str(arm["trials"]), states, str(arm["epochs"]), best, str(arm["best_trial"] or "–"))
    return table


def _make_trial_table(shown: Iterable[dict[str, Any]], metric: str) -> Table:
    trials = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("trial", "arm", "state", "epoch", f"best {metric}", "last report", "why"):
        justify: JustifyMethod = "right" if heading in ("trial", "epoch", f"best {metric}") else "left"
        trials.add_column(heading, justify=justify, overflow="fold" if heading == "arm" else "ellipsis")
    for trial in shown:
        age = trial["last_report_s"]
        last_report = _format_age(age) if age is not None and trial["state"] in UNENDED else ""
        origin = f"from {trial['origin']}" if trial["origin"] else ""
        why = trial["reason"] if trial["state"] in BROKEN else origin
        cells = (
            str(trial["trial"]),
            trial["arm"],
            trial["state"],
            str(trial["epoch"]),
            _format_number(trial["best"]),
            last_report,
        )
        trials.add_row(*cells, Text(why, overflow="ellipsis", no_wrap=True))
    return trials


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

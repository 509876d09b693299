"""The live display of a sweep: its arms and, where the window is wide enough, what happens at the moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.overview.estimate import count_reached, seconds_left
from orchestrator.overview.machine import Machine
from orchestrator.overview.panels import (
    format_duration,
    make_best_panel,
    make_machine_panel,
    make_rung_panel,
    make_running_table,
)
from orchestrator.overview.summary import ArmSummary, list_table_metrics, summarize
from orchestrator.overview.tables import format_number, mark_arm
from orchestrator.state.requests import read_controls
from orchestrator.state.trial import Trial
from orchestrator.tracking import sender
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.ledger import Ledger

WIDE_COLUMNS = 160
"""From this width on, the display shows more than the arms."""
ROWS_BESIDE_TRIALS = 9
"""Rows of the wide display that are neither arms nor trials, and the rows of headings."""
FEWEST_TRIALS = 3
"""Running trials that are shown in a window that is not high enough."""


class Board:
    """The live display of one sweep."""

    def __init__(self, sweep: Sweep, ledger: Ledger, slots: int, folder: Path) -> None:
        """Keep the data of the table.

        Args:
            sweep: the search space of the sweep.
            ledger: its state, which is read again at each refresh.
            slots: the number of trials that run at once.
            folder: the sweep's folder.
        """
        self.sweep = sweep
        self.ledger = ledger
        self.slots = slots
        self.folder = folder
        self._machine = Machine()

    def is_complete(self) -> bool:
        """Return whether all trials of the budget have ended."""
        arms = summarize(self.sweep, self.ledger)
        return all(arm.ended >= arm.wanted for arm in arms) and not self.ledger.unfinished

    def render(self, width: int, height: int) -> RenderableType:
        """Return the table of all arms and the status line below it; in a wide window also what happens now.

        Args:
            width: the columns of the window.
            height: its rows.
        """
        arms = summarize(self.sweep, self.ledger)
        leader = self._find_leader(arms)
        table = self._make_arm_table(arms, leader)
        status = Text(self.format_status(arms), style="dim")
        if width < WIDE_COLUMNS:
            return Group(table, status)
        columns = Table.grid(padding=(0, 4))
        columns.add_column(vertical="top")
        columns.add_column(vertical="top")
        most_trials = max(FEWEST_TRIALS, height - len(arms) - ROWS_BESIDE_TRIALS)
        running = make_running_table(self.sweep, self.ledger, most_trials)
        columns.add_row(Group(table, "", running), Group(*self._make_panels(leader)))
        return Group(columns, "", status)

    def _make_panels(self, leader: ArmSummary | None) -> Iterator[RenderableType]:
        """Yield the best configuration, how many trials reached each rung, and the load of the machine."""
        if leader is not None and leader.best is not None and self.sweep.space.budget.seeds is None:
            yield from (make_best_panel(leader, list_table_metrics(self.sweep)), "")
        if self.sweep.space.pruning is not None:
            yield from (make_rung_panel(count_reached(self.sweep, self.ledger)), "")
        yield make_machine_panel(self._machine.measure())

    def _make_arm_table(self, arms: Sequence[ArmSummary], leader: ArmSummary | None) -> Table:
        """Return a row for each arm, the best one bold."""
        metrics = list_table_metrics(self.sweep)
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("arm", overflow="fold", vertical="bottom")
        for name in ("running", "pruned", "done", "of"):
            table.add_column(name, justify="right", vertical="bottom")
        for name in metrics:
            # One word a line: of 80 columns the arms' names need most.
            heading = "\n".join(words.label_of(name).split())
            table.add_column(heading, justify="right", vertical="bottom", no_wrap=True)
        for arm in arms:
            counts = [f"{arm.running}", f"{arm.pruned}", f"{arm.completed + arm.broken}", f"{arm.wanted}"]
            values = (format_number(arm.metrics.get(name)) for name in metrics)
            table.add_row(mark_arm(arm), *counts, *values, style="bold" if arm is leader else "")
        return table

    def _find_leader(self, arms: Sequence[ArmSummary]) -> ArmSummary | None:
        """Return the arm with the best objective so far; None before the first value."""
        objective = self.sweep.space.objective
        pick = max if objective.mode == "max" else min
        measured_arms = (arm for arm in arms if objective.metric in arm.metrics)
        return pick(measured_arms, key=lambda arm: arm.metrics[objective.metric], default=None)

    def format_progress(self) -> str:
        """Return the status line and the best objective so far, for output without a table."""
        arms = summarize(self.sweep, self.ledger)
        metric = self.sweep.space.objective.metric
        status = self.format_status(arms)
        leader = self._find_leader(arms)
        if leader is None:
            return status
        return f"{status} · best {words.label_of(metric)} {format_number(leader.metrics[metric])} ({leader.arm})"

    def format_status(self, arms: Sequence[ArmSummary]) -> str:
        """Return the numbers of trials, the time left or a pause, and MLflow's backlog if it can't be reached."""
        num_ended, num_wanted = sum(arm.ended for arm in arms), sum(arm.wanted for arm in arms)
        num_pruned = sum(arm.pruned for arm in arms)
        is_paused = read_controls(self.folder).paused
        running = self.ledger.live if is_paused else self.ledger.unfinished
        parts = [
            f"{self.sweep.name}: {num_ended} of {num_wanted} trials ended",
            f"{len(running)} running",
            f"{num_pruned} pruned",
        ]
        num_to_evaluate = len(self.ledger.unevaluated) if self.sweep.declaration.is_evaluated() else 0
        parts += [f"{num_to_evaluate} to evaluate"] if num_to_evaluate else []
        parts += ["paused by hand"] if is_paused else []
        # The time of evaluations is unknown: while nothing else runs, a time would be too short.
        is_known = not is_paused and (running or not num_to_evaluate)
        seconds = seconds_left(self.sweep, self.ledger, self.slots) if is_known else None
        if seconds is not None:
            parts.append(f"about {format_duration(seconds)} left")
        tracking = sender.status(self.folder)
        if tracking.get("unreachable_since"):
            parts.append(f"MLflow unreachable, {tracking.get('backlog', 0)} lines wait")
        return " · ".join(parts)

    def format_ended_trial(self, trial: Trial) -> str:
        """Return a line about a trial that has just ended."""
        metric = words.label_of(self.sweep.space.objective.metric)
        best = trial.best_value
        value = "" if best is None else f", best {metric} {format_number(best)}"
        ended = f"trial {trial.number} ({trial.arm}) {trial.outcome} after {words.amount(trial.epochs, 'epoch')}{value}"
        return ended if trial.origin is None else f"{ended}, reused from {trial.origin.name}"

"""What a person sees of a sweep: one calm display, or plain lines where there is no terminal."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from orchestrator.overview.snapshot import MIXED_CODE
from orchestrator.overview.summary import ArmSummary, read_metrics, seconds_left, summarize
from orchestrator.state.curve import Objective
from orchestrator.state.trial import Trial, unfinished_line
from orchestrator.tracking import sender
from orchestrator.tracking.links import link_lines
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.ledger import Ledger

PLAIN_EVERY_S = 30.0


class Screen:
    """Messages, progress of long work, and the live display, on one rich console."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._since: dict[str, float] = {}

    def say(self, line: str) -> None:
        """One line, or a few; never markup."""
        self.console.print(Text(line), soft_wrap=True)

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how far a piece of work is; the call with done == total ends it."""
        if not self.console.is_terminal:
            if what not in self._since:
                self._since[what] = time.monotonic()
                self.say(f"{what} …")
            if done >= total:
                self.say(f"{what}: done in {time.monotonic() - self._since.pop(what):.0f} s")
            return
        if self._bars is None:
            self._bars = Progress(
                # So wide that the bars of one piece of work after the other stand below each other.
                TextColumn("{task.description}", table_column=Column(min_width=36)),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self.console,
            )
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)
        if done >= total:
            del self._tasks[what]
        if not self._tasks:
            self.close()

    def leave(self) -> None:
        """Give the terminal back although the live display is still on: this process is about to become another."""
        self.console.show_cursor(True)

    def close(self) -> None:
        """Leave the terminal as it was, whatever was under way."""
        if self._bars is not None:
            self._bars.stop()
            self._bars, self._tasks = None, {}

    @contextlib.contextmanager
    def live(self, sweep: Sweep, ledger: Ledger, slots: int, folder: Path) -> Iterator[None]:
        """Show a sweep while the block runs it; reads the ledger, four times a second at most."""
        board = _Board(sweep, ledger, slots, folder)
        if self.console.is_terminal:
            with Live(get_renderable=board.render, console=self.console, refresh_per_second=4, transient=True):
                yield
            return
        stop = threading.Event()
        thread = threading.Thread(target=self._plain, args=(board, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _plain(self, board: _Board, stop: threading.Event) -> None:
        # Copies, since the driver goes on meanwhile.
        announced_numbers = set(board.ledger.trials) - set(board.ledger.unfinished)
        last = time.monotonic()
        over = False
        while not over:
            over = stop.wait(0.5)
            for number in sorted(set(board.ledger.trials) - set(board.ledger.unfinished) - announced_numbers):
                announced_numbers.add(number)
                self.say(board.ended_line(board.ledger.trials[number]))
            if time.monotonic() - last > PLAIN_EVERY_S:
                last = time.monotonic()
                self.say(board.plain_line())

    def results(self, sweep: Sweep, ledger: Ledger) -> None:
        """The table at the end: a line an arm, the lines to read it by, and where to look and listen."""
        arms = summarize(sweep, ledger)
        references = ledger.started.get("references", [])
        seeds = sweep.space.budget.seeds
        what = "best trial of each arm" if seeds is None else "means over the seeds of each arm"
        self.say(f"\n{sweep.name}: {what}, validation split")
        self.console.print(_results_table(sweep, arms, references))
        if any(_interval(arm, sweep.space.objective.metric) for arm in arms):
            self.say(
                "±: half of the mean's 95 % confidence interval over seeds alone (Student's t); the report has that of "
                "the test split, over seeds and recordings."
            )
        for line in filter(None, (unfinished_line(arm.arm, arm.best) for arm in arms)):
            self.say(line)
        if any(arm.mixed_code for arm in arms):
            self.say(MIXED_CODE)
        if any(arm.renderings for arm in arms):
            self.say("\nThe best checkpoints, rendered in several ways: what they make of the whole validation split")
            self.console.print(_renderings_table(arms, references))
        for trial in ledger.trials.values():
            if trial.outcome in (words.OUTCOME_FAILED, words.OUTCOME_DIVERGED):
                self.say(f"Trial {trial.number} ({trial.arm}) {trial.outcome}: {trial.reason}")
        folder = ledger.folder
        for line in link_lines(sweep.name, sender.status(folder), folder.parent):
            self.say(line)


class _Board:
    """The live display of one sweep."""

    def __init__(self, sweep: Sweep, ledger: Ledger, slots: int, folder: Path) -> None:
        self.sweep = sweep
        self.ledger = ledger
        self.slots = slots
        self.folder = folder

    def render(self) -> RenderableType:
        arms = summarize(self.sweep, self.ledger)
        metrics = read_metrics(self.sweep)
        leader = self._leader(arms)
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("arm")
        for name in ("running", "pruned", "done", "of"):
            table.add_column(name, justify="right")
        for name in metrics:
            table.add_column(words.in_words(name), justify="right")
        for arm in arms:
            counts = [f"{arm.running}", f"{arm.pruned}", f"{arm.completed + arm.broken}", f"{arm.wanted}"]
            values = (_number(arm.metrics.get(name)) for name in metrics)
            table.add_row(_marked(arm), *counts, *values, style="bold" if arm is leader else "")
        return Group(table, Text(self.status_line(arms), style="dim"))

    def _leader(self, arms: Sequence[ArmSummary]) -> ArmSummary | None:
        """The arm that is best so far."""
        objective = self.sweep.space.objective
        pick = max if objective.mode == "max" else min
        measured_arms = (arm for arm in arms if objective.metric in arm.metrics)
        return pick(measured_arms, key=lambda arm: arm.metrics[objective.metric], default=None)

    def plain_line(self) -> str:
        """The status and the best so far, where there is no table to show it."""
        arms = summarize(self.sweep, self.ledger)
        metric = self.sweep.space.objective.metric
        leader = self._leader(arms)
        best = f" · best {words.in_words(metric)} {_number(leader.metrics[metric])} ({leader.arm})" if leader else ""
        return self.status_line(arms) + best

    def status_line(self, arms: Sequence[ArmSummary]) -> str:
        parts = [
            f"{self.sweep.name}: {sum(arm.ended for arm in arms)} of {sum(arm.wanted for arm in arms)} trials ended",
            f"{len(self.ledger.unfinished)} running",
            f"{sum(arm.pruned for arm in arms)} pruned",
        ]
        seconds = seconds_left(self.sweep, self.ledger, self.slots)
        if seconds is not None:
            parts.append(f"about {_duration(seconds)} left")
        tracking = sender.status(self.folder)
        if tracking.get("unreachable_since"):
            parts.append(f"MLflow unreachable, {tracking.get('backlog', 0)} lines wait")
        return " · ".join(parts)

    def ended_line(self, trial: Trial) -> str:
        objective = Objective(self.sweep.space.objective.metric, self.sweep.space.objective.mode)
        best = trial.best_value
        value = "" if best is None else f", best {words.in_words(objective.metric)} {_number(best)}"
        return f"trial {trial.number} ({trial.arm}) {trial.outcome} after {words.counted(trial.epochs, 'epoch')}{value}"


def _interval(arm: ArmSummary, metric: str) -> str:
    """How surely a mean over seeds is known, where the report can say it, too.

    It says nothing where the test split has judged fewer than two trainings, or where seeds don't differ.
    """
    shown = f"{arm.margins.get(metric, 0):.3f}"
    return f" ±{shown}" if arm.judged > 1 and float(shown) else ""


def _marked(arm: ArmSummary) -> str:
    return f"{arm.arm} *" if arm.mixed_code else arm.arm


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _results_table(sweep: Sweep, arms: Sequence[ArmSummary], references: Sequence[Mapping[str, Any]]) -> Table:
    metrics = read_metrics(sweep)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("arm", overflow="fold", vertical="bottom")
    trials = "best trial" if sweep.space.budget.seeds is None else "seeds"
    for name in (trials, *metrics, "epochs spent", "epochs saved"):
        # A word a line: on 80 columns it is the arms' names that need the room.
        table.add_column("\n".join(words.in_words(name).split()), justify="right", no_wrap=True)
    for arm in arms:
        number = "–" if arm.best is None else f"{arm.best.number}"
        number = number if sweep.space.budget.seeds is None else f"{arm.completed} of {arm.wanted}"
        values = [_number(arm.metrics.get(metric)) for metric in metrics]
        values[0] += _interval(arm, metrics[0])
        table.add_row(_marked(arm), number, *values, f"{arm.epochs}", f"{arm.epochs_saved}")
    shown = [row for row in references if any(name in row for name in metrics)]
    if shown:
        table.add_section()
    several_sizes = len({row["size"] for row in shown if row.get("size")}) > 1
    for row in shown:
        label = f"{row['reference']}" + (f", {row['size']}" if row.get("size") and several_sizes else "")
        table.add_row(Text(label, style="dim"), "", *(_number(row.get(name)) for name in metrics), "", "")
    return table


def _renderings_table(arms: Sequence[ArmSummary], references: Sequence[Mapping[str, Any]]) -> Table:
    shown = [row for row in references if any(name.startswith(words.SOUND_PREFIX) for name in row)]
    rendering_metrics = [values for arm in arms for values in arm.renderings.values()]
    metrics = [name for name in words.SOUND_METRICS if any(name in values for values in rendering_metrics)]
    metrics = metrics or list(dict.fromkeys(name for values in rendering_metrics for name in values))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("rendering", overflow="fold", vertical="bottom")
    for name in metrics:
        heading = words.in_words(name.replace(words.SOUND_PREFIX, words.VAL_PREFIX))
        table.add_column("\n".join(heading.split()), justify="right", no_wrap=True)
    for arm in arms:
        if len(arms) > 1 and arm.renderings:
            table.add_row(_marked(arm))
        for name, values in arm.renderings.items():
            label = ("  " if len(arms) > 1 else "") + name + (" (oracle)" if values.get(words.SIDE_INFO) else "")
            table.add_row(Text(label), *(_measured(metric, values) for metric in metrics))
    if shown:
        table.add_section()
    for row in shown:
        table.add_row(Text(row["reference"], style="dim"), *(_measured(name, row) for name in metrics))
    return table


def _measured(metric: str, values: Mapping[str, Any]) -> str:
    return f"{values[metric]:.0f}" if metric == words.SIDE_INFO and metric in values else _number(values.get(metric))

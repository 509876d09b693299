"""The output of a sweep: a live table in a terminal, plain lines anywhere else."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from orchestrator.command_line import format_command
from orchestrator.overview.board import Board
from orchestrator.overview.front_table import print_front
from orchestrator.overview.preferred import preferred_line
from orchestrator.overview.snapshot import MIXED_CODE
from orchestrator.overview.steady import SteadyLive
from orchestrator.overview.summary import summarize
from orchestrator.overview.tables import (
    describe_best_parameters,
    format_interval,
    make_renderings_table,
    make_results_table,
    print_whole,
)
from orchestrator.state.budget import Budget
from orchestrator.state.home import home_option
from orchestrator.state.origin import linked_line
from orchestrator.state.trial import infeasible_line, unfinished_line
from orchestrator.tracking import sender
from orchestrator.tracking.links import link_lines
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.ledger import Ledger

PLAIN_EVERY_S = 30.0
"""Interval between progress lines where there is no terminal."""
SLOW_S = 5.0
REFRESH_HZ = 4
BAR_LABEL_WIDTH = 36
"""Width of the text before a progress bar, so that the bars of consecutive steps are aligned."""


class Screen:
    """Messages, progress bars and the live table, on one rich console."""

    def __init__(self, console: Console | None = None) -> None:
        """Open no display yet.

        Args:
            console: where everything is printed; by default standard output.
        """
        self.console = console or Console(highlight=False)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._since: dict[str, float] = {}

    def say(self, line: str) -> None:
        """Print a message of one or more lines; brackets are not read as markup."""
        self.console.print(Text(line), soft_wrap=True)

    def progress(self, what: str, done: int, total: int) -> None:
        """Show the progress of one step of the preparation; the call with `done == total` ends the step.

        Args:
            what: the name of the step.
            done: finished parts of the step.
            total: all parts of the step.
        """
        if not self.console.is_terminal:
            if what not in self._since:
                self._since[what] = time.monotonic()
                self.say(f"{what} …")
            if done >= total:
                self.say(f"{what}: done in {time.monotonic() - self._since.pop(what):.0f} s")
            return
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}", table_column=Column(min_width=BAR_LABEL_WIDTH)),
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

    @contextlib.contextmanager
    def show_step(self, what: str) -> Iterator[None]:
        """Show the current step during the block; where there is no terminal, only if it takes longer than `SLOW_S`."""
        if self.console.is_terminal:
            with self.console.status(Text(what)):
                yield
            return
        timer = threading.Timer(SLOW_S, self.say, [f"{what} …"])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def release_terminal(self) -> None:
        """Show the cursor again while the live table is still on: this process is about to exec another program."""
        self.console.show_cursor(True)

    def close(self) -> None:
        """Remove the progress bars, also those of unfinished steps."""
        if self._bars is not None:
            self._bars.stop()
            self._bars, self._tasks = None, {}

    @contextlib.contextmanager
    def show_live(self, sweep: Sweep, ledger: Ledger, slots: int, folder: Path) -> Iterator[None]:
        """Show the state of a sweep while the block runs it.

        Args:
            sweep: the search space of the sweep.
            ledger: its state, which is read again at each refresh.
            slots: the number of trials that run at once.
            folder: the sweep's folder.
        """
        board = Board(sweep, ledger, slots, folder)
        if self.console.is_terminal:
            console = self.console
            with SteadyLive(
                console, lambda: board.render(console.width, console.height), refresh_hz=REFRESH_HZ
            ) as live:
                try:
                    yield
                finally:
                    # The results follow at once, and have the same table.
                    live.transient = board.is_complete()
            return
        stop = threading.Event()
        thread = threading.Thread(target=self._print_progress, args=(board, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _print_progress(self, board: Board, stop: threading.Event) -> None:
        # The sets are copies, because the driver's thread changes the ledger meanwhile.
        announced_numbers = set(board.ledger.trials) - set(board.ledger.unfinished)
        last = time.monotonic()
        is_over = False
        while not is_over:
            is_over = stop.wait(0.5)
            ended_numbers = set(board.ledger.trials) - set(board.ledger.unfinished)
            for number in sorted(ended_numbers - announced_numbers):
                announced_numbers.add(number)
                self.say(board.format_ended_trial(board.ledger.trials[number]))
            if time.monotonic() - last > PLAIN_EVERY_S:
                last = time.monotonic()
                self.say(board.format_progress())

    def print_results(self, sweep: Sweep, ledger: Ledger) -> None:
        """Print the final tables: a row for each arm, the baselines, broken trials, and links to MLflow."""
        arms = summarize(sweep, ledger)
        references = ledger.started.get("references", [])
        seeds = sweep.space.budget.seeds
        what = "best trial of each arm" if seeds is None else "means over the seeds of each arm"
        self.say(f"\n{sweep.name}: {what}, validation split")
        print_whole(self.console, make_results_table(sweep, arms, references))
        if any(format_interval(arm, sweep.space.objective.metric) for arm in arms):
            self.say(
                "±: half of the mean's 95 % confidence interval over seeds alone (Student's t); the report has that of "
                "the test split, over seeds and recordings."
            )
        for line in filter(None, (unfinished_line(arm.arm, arm.best) for arm in arms)):
            self.say(line)
        budget = Budget(sweep, ledger)
        for name in (arm.name for arm in sweep.arms):
            if reason := budget.find_early_end(name):
                counts = f"{budget.trials(name)} of {budget.most_trials(name)} trials"
                self.say(f"{name}: ended after {counts}, since {reason} (budget.stop_when).")
        print_front(ledger, self.console)
        if preferred := preferred_line(ledger):
            self.say(preferred)
        if infeasible := infeasible_line(ledger.trials.values(), ledger.objective):
            self.say(infeasible)
        if linked := linked_line([trial.origin for trial in ledger.trials.values()]):
            self.say(linked)
        if any(arm.mixed_code for arm in arms):
            self.say(MIXED_CODE)
        home_options = home_option(ledger.folder.parent)
        command = format_command("report", sweep.name, "--best-yaml", *home_options)
        for line in describe_best_parameters((arm.best for arm in arms), command):
            self.say(line)
        if ledger.is_finished and sweep.can_be_confirmed:
            command = format_command("resume", sweep.name, "--set", "confirm={top: 3, seeds: 1}", *home_options)
            self.say(f"Train the best of each arm again, and test them:  {command}")
        if any(arm.renderings for arm in arms):
            self.say("\nRenderings of the best checkpoints, whole validation split")
            print_whole(self.console, make_renderings_table(arms, references))
        for trial in ledger.trials.values():
            if trial.outcome in (words.OUTCOME_FAILED, words.OUTCOME_DIVERGED):
                self.say(f"Trial {trial.number} ({trial.arm}) {trial.outcome}: {trial.reason}")
        folder = ledger.folder
        for line in link_lines(sweep.name, sender.status(folder), folder.parent):
            self.say(line)

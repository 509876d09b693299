"""`orchestrate top`: a sweep in the whole terminal, read again every two seconds, and keys that steer it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import DataTable, Footer, RichLog, Static
from textual.worker import get_current_worker

from orchestrator.commands.status import collect_status
from orchestrator.errors import OrchestratorError, UserError
from orchestrator.overview.machine import Machine
from orchestrator.overview.snapshot import Snapshot, read_snapshot
from orchestrator.state.requests import count_waiting, read_controls
from orchestrator.state.trial import Trial
from orchestrator.steering import requesting
from orchestrator.steering.stop import stop
from orchestrator.steering.top_rows import (
    describe_machine,
    describe_sweep,
    describe_trial,
    list_trials,
    make_arm_rows,
    make_trial_rows,
    read_log,
)
from reports import vocabulary as words

EVERY_S = 2.0
"""Time between two looks at a sweep's folder."""
MOST_OF_TIME = 0.1
"""The part of the time that reading may take; very large sweeps are read less often."""
MOST_TRIALS = 200
"""The trials in the table, at most."""
ARM_COLUMNS = ("arm", "ended", "best", "trial", "states")
TRIAL_COLUMNS = ("trial", "arm", "state", "epoch", "best", "so far", "reported")
WIDTH_FOR_DETAILS = 130
"""From this number of columns on, the chosen trial's log stands next to the table; else below it."""


class Top(App[None]):
    """The window of one sweep.

    Attributes:
        problem: why the sweep can't be read any more; empty while it can.
    """

    CSS = """
    #sweep, #machine { height: auto; padding: 0 1; }
    #arms { height: auto; max-height: 30%; }
    #trials { height: 1fr; min-height: 6; }
    #details { height: 1fr; padding: 0 1; }
    #about { height: auto; max-height: 60%; }
    #log { height: 1fr; min-height: 3; border-top: solid $foreground 30%; border-title-color: $foreground; }
    #arms, #trials, #about, #log { scrollbar-size: 1 1; scrollbar-color: $foreground 30%; }
    #body { layout: vertical; }
    #body.wide { layout: horizontal; }
    #body.wide #trials { width: 3fr; height: 100%; }
    #body.wide #details { width: 2fr; height: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause"),
        Binding("minus", "fewer", "fewer", key_display="-"),
        Binding("plus", "more", "more", key_display="+"),
        Binding("s", "stop_trial", "stop"),
        Binding("c", "continue_trial", "continue"),
        Binding("r", "retry", "retry"),
        Binding("b", "boost", "boost"),
        Binding("x", "stop_sweep", "end"),
        Binding("q", "quit", "quit"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, home: Path, snapshot: Snapshot) -> None:
        """Show a sweep.

        Args:
            home: the folder of all sweeps.
            snapshot: the sweep as it is now.
        """
        super().__init__()
        self._home = home
        self._sweep = snapshot.name
        self._folder = snapshot.ledger.folder
        self._machine = Machine()
        self._snapshot: Snapshot | None = None
        self._trials: list[Trial] = []
        self._chosen: int | None = None
        self._log_lines: list[str] = []
        self._is_asked_to_stop = False
        self.problem = ""

    def compose(self) -> ComposeResult:
        """Lay the window out."""
        yield Static(id="sweep")
        yield Static(id="machine")
        yield DataTable(id="arms", cursor_type="none")
        with Container(id="body"):
            yield DataTable(id="trials", cursor_type="row")
            with Vertical(id="details"):
                with VerticalScroll(id="about"):
                    yield Static(id="trial")
                yield RichLog(id="log", wrap=True, max_lines=400)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read the sweep."""
        for table_id, columns in (("#arms", ARM_COLUMNS), ("#trials", TRIAL_COLUMNS)):
            self.query_one(table_id, DataTable).add_columns(*columns)
        self.query_one("#trials").focus()
        self.on_resize()
        self.run_worker(self._follow, thread=True)

    def on_resize(self) -> None:
        """Put the log next to the trials where there is room, else below them."""
        self.query_one("#body").set_class(self.size.width >= WIDTH_FOR_DETAILS, "wide")

    def _follow(self) -> None:
        """Read the sweep's folder again and again, in a thread, until the window is closed."""
        worker = get_current_worker()
        while not worker.is_cancelled:
            begun_s = time.monotonic()
            try:
                snapshot = read_snapshot(self._home, self._sweep)
            except UserError as error:
                # Its folder may have been deleted while it was shown.
                self.problem = str(error)
                self.call_from_thread(self.exit)
                return
            self.call_from_thread(self.show, snapshot)
            until_s = begun_s + max(EVERY_S, (time.monotonic() - begun_s) / MOST_OF_TIME)
            while time.monotonic() < until_s and not worker.is_cancelled:
                time.sleep(0.1)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the state of the sweep."""
        self._snapshot = snapshot
        controls, num_requests = read_controls(self._folder), count_waiting(self._folder)
        self.query_one("#sweep", Static).update(describe_sweep(snapshot, controls, num_requests))
        is_here = snapshot.driver is not None
        self.query_one("#machine", Static).update(describe_machine(self._machine.measure()) if is_here else "")
        arms = self.query_one("#arms", DataTable)
        arms.clear()
        for row in make_arm_rows(collect_status(snapshot)):
            arms.add_row(*row)
        self._trials = list_trials(snapshot)[:MOST_TRIALS]
        self._draw_trials(snapshot)
        self._draw_chosen()

    def _draw_trials(self, snapshot: Snapshot) -> None:
        """Draw the table of trials; the cursor stays on its trial."""
        table = self.query_one("#trials", DataTable)
        top, chosen = table.scroll_offset.y, self._chosen
        with self.prevent(DataTable.RowHighlighted):
            table.clear()
            for trial, row in zip(self._trials, make_trial_rows(snapshot, self._trials), strict=True):
                table.add_row(*row, key=str(trial.number))
            numbers = [trial.number for trial in self._trials]
            if chosen in numbers:
                table.move_cursor(row=numbers.index(chosen), animate=False)
        table.scroll_to(y=top, animate=False)
        if chosen not in numbers:
            self._chosen = numbers[0] if numbers else None

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show another trial's log and parameters."""
        # While the table is drawn again, its cursor passes rows that the user has not chosen.
        is_there = event.data_table.id == "trials" and event.cursor_row == event.data_table.cursor_row
        if is_there and event.row_key.value is not None:
            self._chosen = int(event.row_key.value)
            self._draw_chosen()

    def _draw_chosen(self) -> None:
        """Show the facts of the chosen trial, and the end of its log."""
        if self._snapshot is None or self._chosen not in self._snapshot.ledger.trials:
            return
        trial = self._snapshot.ledger.trials[self._chosen]
        self.query_one("#trial", Static).update(describe_trial(self._snapshot, trial))
        lines = read_log(self._folder, trial.number)
        log = self.query_one("#log", RichLog)
        log.border_title = f"log of trial {trial.number}"
        if lines != self._log_lines:
            # Written again, it would lose the place to which the user has scrolled.
            self._log_lines = lines
            log.clear()
            for line in lines:
                log.write(line)

    def _request(self, action: Callable[[], None]) -> None:
        """Do what a command does; its message, or what is wrong, is shown for a moment."""
        try:
            action()
        except OrchestratorError as error:
            self.notify(str(error), severity="warning", markup=False)

    def _say(self, line: str) -> None:
        self.notify(line, markup=False)

    def _request_for_trial(self, command: Callable[[Path, str, Callable[[str], None]], None]) -> None:
        if self._chosen is not None:
            self._request(lambda: command(self._home, f"{self._sweep}/{self._chosen}", self._say))

    def action_pause(self) -> None:
        """Pause the sweep, or continue it."""
        command = requesting.go_on if read_controls(self._folder).paused else requesting.pause
        self._request(lambda: command(self._home, self._sweep, self._say))

    def action_fewer(self) -> None:
        """Let one trial fewer run at once."""
        self._limit(-1)

    def action_more(self) -> None:
        """Let one trial more run at once."""
        self._limit(+1)

    def _limit(self, change: int) -> None:
        if self._snapshot is None:
            return
        at_once = read_controls(self._folder).at_once
        running = sum(self._snapshot.state_of(trial) == words.OUTCOME_RUNNING for trial in self._trials)
        wanted = max(1, (at_once or running) + change)
        # Without a limit, as many trials run as the resources allow, so no more can be added.
        target = requesting.ALL if at_once is None and change > 0 else str(wanted)
        self._request(lambda: requesting.limit(self._home, self._sweep, target, self._say))

    def action_stop_trial(self) -> None:
        """Stop the chosen trial at the end of its epoch."""
        self._request_for_trial(requesting.stop_trial)

    def action_continue_trial(self) -> None:
        """Continue the chosen trial."""
        self._request_for_trial(requesting.go_on)

    def action_retry(self) -> None:
        """Try the chosen trial again."""
        self._request_for_trial(requesting.retry)

    def action_boost(self) -> None:
        """Give the chosen trial the next free place."""
        self._request_for_trial(requesting.boost)

    def action_stop_sweep(self) -> None:
        """Stop the sweep, when the key is pressed twice."""
        if not self._is_asked_to_stop:
            self._is_asked_to_stop = True
            self.set_timer(5, self._forget_stop)
            self.notify(f"Press x again to stop {self._sweep}; it can be resumed.")
            return
        # It waits until the driver has ended.
        self.run_worker(lambda: self._request(lambda: stop(self._home, self._sweep, self._say)), thread=True)

    def _forget_stop(self) -> None:
        self._is_asked_to_stop = False


def show_top(home: Path, name: str | None) -> None:
    """Show a sweep in the whole terminal until the user quits.

    Args:
        home: the folder of all sweeps.
        name: the sweep; None for the one whose log changed last.

    Raises:
        UserError: there is no such sweep, no terminal, or the sweep can't be read any more.
    """
    if not sys.stdout.isatty():
        raise UserError("top: needs a terminal to draw in; orchestrate status prints the state once")
    app = Top(home, read_snapshot(home, name))
    app.run()
    if app.problem:
        raise UserError(app.problem)

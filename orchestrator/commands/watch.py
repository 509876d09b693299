"""`orchestrate status --watch`: the state of sweeps, drawn again and again until they have ended, or until Ctrl-C."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from rich.console import Console, RenderableType

from orchestrator.commands.status import collect_status, collect_wanted, read_snapshots
from orchestrator.errors import UserError
from orchestrator.overview.snapshot import read_snapshot
from orchestrator.overview.status_tables import MOST_TRIALS, make_home_table, make_sweep_view
from orchestrator.overview.steady import SteadyLive

EVERY_S = 2.0
"""Time between two looks at a sweep's folder."""
MOST_OF_TIME = 0.1
"""The part of the time that reading may take; very large sweeps are read less often."""
STEP_S = 0.25
"""How soon a window of another size is drawn again."""
OTHER_ROWS = 9
"""Rows of the display that are neither arms nor trials."""


class Watch:
    """The state of one sweep, or of all sweeps of a home, as a frame of a live display.

    Attributes:
        is_over: whether no driver ran when the folder was read last.
        pause_s: the time until it should be read again.
    """

    def __init__(self, home: Path, name: str | None, console: Console) -> None:
        """Read nothing yet.

        Args:
            home: the folder of all sweeps.
            name: the sweep; None for all of them.
            console: the terminal, whose height limits the number of trials.
        """
        self._home = home
        self._name = name
        self._console = console
        self.is_over = False
        self.pause_s = EVERY_S

    def draw(self) -> RenderableType:
        """Read the state, and return as much of it as the window has rows for."""
        begun_s = time.monotonic()
        frame = self._draw_home() if self._name is None else self._draw_sweep(self._name)
        self.pause_s = max(EVERY_S, (time.monotonic() - begun_s) / MOST_OF_TIME)
        return frame

    def _draw_home(self) -> RenderableType:
        snapshots, _ = read_snapshots(self._home)
        self.is_over = all(snapshot.driver is None for snapshot in snapshots)
        return make_home_table(snapshots, [collect_wanted(snapshot) for snapshot in snapshots])

    def _draw_sweep(self, name: str) -> RenderableType:
        snapshot = read_snapshot(self._home, name)
        self.is_over = snapshot.driver is None
        data = collect_status(snapshot)
        free_rows = self._console.height - len(data["arms"]) - OTHER_ROWS
        # The last frame stays, and need not fit into the window.
        most = MOST_TRIALS if self.is_over else max(1, min(MOST_TRIALS, free_rows))
        return make_sweep_view(snapshot.name, data, most_trials=most)


def watch(home: Path, name: str | None, console: Console) -> None:
    """Draw the state of a sweep, or of all sweeps, until no driver runs or the user presses Ctrl-C.

    Args:
        home: the folder of all sweeps.
        name: the sweep; None for all of them.
        console: the terminal.

    Raises:
        UserError: there is no such sweep, or no terminal.
    """
    if not console.is_terminal:
        raise UserError("--watch: needs a terminal to draw in; leave it out to print the state once, or use --json")
    view = Watch(home, name, console)
    # The last frame stays after Ctrl-C, which is the usual end.
    with contextlib.suppress(KeyboardInterrupt):
        frame = view.draw()
        with SteadyLive(console, lambda: frame, refresh_hz=0) as live:
            live.refresh()
            while not view.is_over:
                _wait(view.pause_s, console)
                frame = view.draw()
                live.refresh()


def _wait(seconds: float, console: Console) -> None:
    """Wait, but not longer than until the window has another size."""
    deadline, size = time.monotonic() + seconds, console.size
    while time.monotonic() < deadline and console.size == size:
        time.sleep(STEP_S)

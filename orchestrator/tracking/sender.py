"""The process that sends a sweep to MLflow, as the driver sees it: started, watched, and waited for."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.state.paths import SWEEP_LOG
from orchestrator.tracking.database import sqlite_path

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")
WAIT_S = 120.0
"""How long the end of a sweep waits for MLflow while it makes progress or is reachable."""
HURRIED_WAIT_S = 4.0
"""How long, after a signal."""
MAX_DEATHS = 10
"""Of the sending process in a row, after which it is not started again before the end."""
WELL_S = 60.0
"""A process that ran so long ran well: its death is the first of a row."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 60.0
"""Before it is started again; twice as long after each death."""
OLD_REFUSAL = "MLflow refused what was sent"
STATUS_FILE = "tracking.json"
"""In a sweep's folder: what the sending process last said of itself."""


def tracking_uri(home: Path) -> str:
    """Where runs are recorded: `MLFLOW_TRACKING_URI`, else the home's own sqlite file."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"


def check_tracking_uri(home: Path) -> None:
    """Refuse what can't be an address before anything is run.

    Raises:
        UserError: its scheme is unknown.
    """
    scheme, colon, _ = tracking_uri(home).partition(":")
    if not colon or scheme.split("+")[0] not in SCHEMES:
        raise UserError(
            f"MLFLOW_TRACKING_URI: {tracking_uri(home)!r} is no address of MLflow; it begins with one of "
            f"{', '.join(SCHEMES)}, such as http://127.0.0.1:5000; unset, runs are recorded in {home / 'mlflow.db'}"
        )


def destination(home: Path) -> dict[str, str | None]:
    """Where runs and their artifacts go, as the sweep log has it; servers decide themselves about artifacts."""
    uri = tracking_uri(home)
    artifacts = None if uri.startswith(("http:", "https:", "databricks")) else str(home / "artifacts")
    return {"tracking_uri": uri, "artifact_root": artifacts}


def status(folder: Path) -> dict[str, Any]:
    """What the process last said of itself (`tracking.json`)."""
    try:
        content = json.loads((folder / STATUS_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_behind(folder: Path) -> bool:
    """Whether MLflow still has to get something of a sweep that nobody drives."""
    last = status(folder)
    database = sqlite_path(str(last.get("tracking_uri")))
    if database is not None and not database.exists():
        return True
    # Versions that left out a whole trial for one name that MLflow refuses took that for complete.
    is_old = "left_out" not in last and OLD_REFUSAL in str(last.get("remark"))
    # Nothing is sent of a sweep that never got over its corpus, nor is anything missing.
    return is_old or (last.get("complete_bytes") or 0) != (folder / SWEEP_LOG).stat().st_size


class Deaths:
    """When the sending process is started again: after a longer and longer pause, unless it has run well since."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def pause_s(self, ran_s: float) -> float | None:
        """Return how long to wait after a process that ran so many seconds; None when it is no use any more."""
        self._in_a_row = 1 if ran_s >= WELL_S else self._in_a_row + 1
        if self._in_a_row >= MAX_DEATHS:
            return None
        pause_s: float = min(FIRST_PAUSE_S * 2.0 ** (self._in_a_row - 1), MAX_PAUSE_S)
        return pause_s


@contextlib.contextmanager
def following(
    folder: Path, say: Callable[[str], None], is_hurried: Callable[[], bool] = lambda: False
) -> Iterator[Callable[[], None]]:
    """Send the sweep to MLflow while the block runs and what is left at its end.

    Args:
        folder: of the sweep.
        say: tells somebody a line.
        is_hurried: whether somebody wants the end soon: what is left is then sent in the background.

    Yields:
        A function that says before the end of the block that no more will be written.
    """
    sender = _Sender(folder, say)
    try:
        yield sender.close
    finally:
        sender.close()
        sender.wait(say, is_hurried)


class _Sender:
    """The process that sends, started again if it dies.

    It reads files only, so it is told nothing but the end: its standard input closes, whether the driver closes it or
    dies.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._process = self._start()
        threading.Thread(target=self._keep, daemon=True, name="watch over tracking").start()

    def _start(self) -> subprocess.Popen[bytes]:
        with open(self._folder / "driver.log", "a") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "orchestrator.tracking", str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the driver; this process still has to send what the driver wrote last.
                start_new_session=True,
            )

    def _keep(self) -> None:
        deaths = Deaths()
        while not self._closed.is_set():
            began = time.monotonic()
            self._process.wait()
            pause_s = deaths.pause_s(time.monotonic() - began)
            if pause_s is None:
                self._give_up()
                return
            self._closed.wait(pause_s)
            with self._lock:
                if not self._closed.is_set():
                    self._process = self._start()

    def _give_up(self) -> None:
        if not self._closed.is_set():
            self._say(
                f"MLflow: the process that sends died {MAX_DEATHS} times in a row (exit code "
                f"{self._process.returncode}, see {self._folder / 'driver.log'}); the sweep goes on, and what is left "
                "is sent at its end."
            )

    def close(self) -> None:
        """Nothing more will be written."""
        with self._lock:
            if not self._closed.is_set() and self._process.poll() is not None:
                # It died a moment ago, or too often; the last lines are worth another one.
                self._process = self._start()
            self._closed.set()
            assert self._process.stdin is not None
            self._process.stdin.close()

    def wait(self, say: Callable[[str], None], is_hurried: Callable[[], bool]) -> None:
        """Wait until everything is sent, or it seems that it can't be, and say what is left."""
        began = time.monotonic()
        deadline = began + WAIT_S
        backlog = None
        while self._process.poll() is None:
            now = status(self._folder)
            if now.get("backlog") != backlog:
                backlog, deadline = now.get("backlog"), time.monotonic() + WAIT_S
            if is_hurried() and time.monotonic() > began + HURRIED_WAIT_S:
                say("MLflow: the last lines are sent in the background.")
                return
            if time.monotonic() > deadline:
                self._process.terminate()
                self._process.wait()
                break
            time.sleep(0.1)
        left = status(self._folder)
        if left.get("remark"):
            say(f"MLflow: {left['remark']}")
        if left.get("left_out"):
            say(f"MLflow did not take {left['left_out']}.")
        if is_behind(self._folder):
            why = left.get("error") or (
                f"its process ended with exit code {code}, see {self._folder / 'driver.log'}"
                if (code := self._process.returncode)
                else "out of time"
            )
            say(
                f"MLflow does not have everything ({why}); it is safe in the sweep's folder and is sent the next time "
                "the sweep is run."
            )

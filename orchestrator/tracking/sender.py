"""The driver's side of the process that sends a sweep to MLflow: it starts it, restarts it, and waits for its end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import UserError
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import SWEEP_LOG
from orchestrator.tracking.database import SQLITE, sqlite_path

VARIABLE = "MLFLOW_TRACKING_URI"
SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
WAIT_S = 120.0
"""How long to wait at the end of a sweep until the backlog of lines becomes smaller."""
HURRIED_WAIT_S = 4.0
"""How long to wait at the end of a sweep after a signal."""
MAX_DEATHS = 10
"""The number of deaths of the process in a row after which it is not started again before the end."""
WELL_S = 60.0
"""After a process has run this long, its death counts as the first of a row."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 60.0
"""The pauses before the process is started again; they double with each death."""
OLD_REFUSAL = "MLflow refused what was sent"
STATUS_FILE = "tracking.json"
"""In a sweep's folder: the state of the sending process, which it writes itself."""


def tracking_uri(home: Path, name: str | None = None) -> str:
    """Return MLflow's tracking URI: `MLFLOW_TRACKING_URI`, else that of a sweep's log, else the home's SQLite file.

    Args:
        home: the folder of all sweeps.
        name: the sweep; None for the MLflow of new sweeps.
    """
    recorded = _read_recorded_uri(home / name) if name else None
    return os.environ.get(VARIABLE) or recorded or _own_uri(home)


def _own_uri(home: Path) -> str:
    return f"{SQLITE}{home / 'mlflow.db'}"


def _read_recorded_uri(folder: Path) -> str | None:
    """Return the last URI in a sweep's log; None if there is none, or if it is that of its home's own file.

    That file moves with the home.
    """
    last = _read_last_destination(folder)
    uri, root = last.get("tracking_uri"), last.get("artifact_root")
    is_own = root is not None and uri == _own_uri(Path(root).parent)
    return None if uri is None or is_own else str(uri)


def _read_last_destination(folder: Path) -> dict[str, Any]:
    return next(reversed(list(read_destinations(folder))), {})


def read_destinations(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield each line of a sweep's log that names an MLflow, with its `tracking_uri` and `artifact_root`.

    Other lines are not parsed, because the log may be large.
    """
    with contextlib.suppress(FileNotFoundError), (folder / SWEEP_LOG).open("rb") as file:
        for line in file:
            if b'"artifact_root"' in line and line.endswith(b"\n"):
                with contextlib.suppress(ValueError):
                    yield json.loads(line)


def shared_uri() -> str | None:
    """Return `MLFLOW_TRACKING_URI` if other machines can use it, too; None for a file or a server of this machine."""
    uri = os.environ.get(VARIABLE, "")
    is_local = uri.startswith("sqlite") or urlsplit(uri).hostname in LOOPBACK
    return None if is_local else uri or None


def hide_password(uri: str) -> str:
    """Return a URI without the name and the password in it."""
    return re.sub(r"//[^/@]+@", "//", uri)


def check_tracking_uri(home: Path) -> None:
    """Check that the tracking URI can be an address of MLflow.

    Raises:
        UserError: its scheme is unknown.
    """
    scheme, colon, _ = tracking_uri(home).partition(":")
    if not colon or scheme.split("+")[0] not in SCHEMES:
        raise UserError(
            f"{VARIABLE}: {tracking_uri(home)!r} is not an address of MLflow; it begins with one of "
            f"{', '.join(SCHEMES)}, such as http://127.0.0.1:5000; unset, runs are recorded in {home / 'mlflow.db'}"
        )


def choose_destination(home: Path, name: str, say: Callable[[str], None]) -> dict[str, str | None]:
    """Return the `tracking_uri` and the `artifact_root` of a sweep for its log.

    A server has its own root, so None there.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        say: prints a line if `MLFLOW_TRACKING_URI` names another MLflow than the sweep was sent to.
    """
    uri, before = tracking_uri(home, name), _read_last_destination(home / name).get("tracking_uri")
    if os.environ.get(VARIABLE) and before not in (None, uri):
        say(f"MLflow: all of {name} is sent to {hide_password(uri)} ({VARIABLE}), no longer to {hide_password(before)}")
    artifacts = None if uri.startswith(("http:", "https:", "databricks")) else str(home / "artifacts")
    return {"tracking_uri": uri, "artifact_root": artifacts}


def redirect(ledger: Ledger, say: Callable[[str], None]) -> None:
    """Write to a sweep's log if it is sent to another MLflow than before, such as that of another home.

    Args:
        ledger: the state of the sweep.
        say: prints a line if a variable is the reason.
    """
    destination = choose_destination(ledger.folder.parent, ledger.folder.name, say)
    if ledger.started and ledger.destination["tracking_uri"] != destination["tracking_uri"]:
        ledger.redirect(destination)


def status(folder: Path) -> dict[str, Any]:
    """Read a sweep's `tracking.json`; return {} if it is missing or damaged."""
    try:
        content = json.loads((folder / STATUS_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_behind(folder: Path) -> bool:
    """Return whether MLflow does not have everything of a sweep that no driver runs."""
    last = status(folder)
    if (named := os.environ.get(VARIABLE)) and last.get("tracking_uri") not in (None, named):
        return True
    database = sqlite_path(str(last.get("tracking_uri")))
    if database is not None and not database.exists():
        return True
    # Older versions left out a whole trial if MLflow refused one name of it, and counted the sweep as complete.
    is_old = "left_out" not in last and OLD_REFUSAL in str(last.get("remark"))
    # A sweep whose corpus could not be prepared has an empty log, and nothing to be sent.
    return is_old or (last.get("complete_bytes") or 0) != (folder / SWEEP_LOG).stat().st_size


class Deaths:
    """The pauses before the sending process is started again, which grow with each of several early deaths."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def pause_s(self, ran_s: float) -> float | None:
        """Return the pause after the death of a process that ran `ran_s`; None if it has died too often."""
        self._in_a_row = 1 if ran_s >= WELL_S else self._in_a_row + 1
        if self._in_a_row >= MAX_DEATHS:
            return None
        pause_s: float = min(FIRST_PAUSE_S * 2.0 ** (self._in_a_row - 1), MAX_PAUSE_S)
        return pause_s


@contextlib.contextmanager
def run_sender(
    folder: Path, say: Callable[[str], None], is_hurried: Callable[[], bool] = lambda: False
) -> Iterator[Callable[[], None]]:
    """Send a sweep to MLflow in another process while the block runs, and wait at its end until everything is sent.

    Args:
        folder: the sweep's folder.
        say: prints a line for the user.
        is_hurried: returns whether the user wants to stop soon; the rest is then sent in the background.

    Yields:
        A function to call when nothing more will be written, before the end of the block.
    """
    sender = _Sender(folder, say)
    try:
        yield sender.close
    finally:
        sender.close()
        sender.wait(say, is_hurried)


class _Sender:
    """The sending process of the sweep in `folder`, which is started again if it dies; `say` prints for the user.

    It reads everything from files. Its standard input ends when the driver closes it or dies.
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
        """Start the process again after each death, in a thread of its own."""
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
                f"{self._process.returncode}, see {self._folder / 'driver.log'}); the sweep continues, and what is "
                "left is sent at its end."
            )

    def close(self) -> None:
        """Close the process's standard input: nothing more will be written."""
        with self._lock:
            if not self._closed.is_set() and self._process.poll() is not None:
                # The process has died, but the last lines still have to be sent.
                self._process = self._start()
            self._closed.set()
            assert self._process.stdin is not None
            self._process.stdin.close()

    def wait(self, say: Callable[[str], None], is_hurried: Callable[[], bool]) -> None:
        """Wait until everything is sent or there is no progress, and print what MLflow did not get."""
        began = time.monotonic()
        deadline = began + WAIT_S
        last_left = None
        while self._process.poll() is None:
            now = status(self._folder)
            # At its end a sweep sends notes of all its trials, which have no lines in the backlog.
            if (left := (now.get("backlog"), now.get("waiting"))) != last_left:
                last_left, deadline = left, time.monotonic() + WAIT_S
            if is_hurried() and time.monotonic() > began + HURRIED_WAIT_S:
                say("MLflow: the last lines are sent in the background.")
                return
            if time.monotonic() > deadline:
                self._process.terminate()
                self._process.wait()
                break
            time.sleep(0.1)
        end = status(self._folder)
        if end.get("remark"):
            say(f"MLflow: {end['remark']}")
        if end.get("left_out"):
            say(f"MLflow did not take {end['left_out']}.")
        if is_behind(self._folder):
            why = end.get("error")
            if not why and (code := self._process.returncode):
                why = f"its process ended with exit code {code}, see {self._folder / 'driver.log'}"
            why = why or "out of time"
            say(
                f"MLflow does not have everything ({why}); it is safe in the sweep's folder and is sent the next time "
                "the sweep is run."
            )

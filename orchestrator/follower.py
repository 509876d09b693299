"""The process that sends a sweep to MLflow, as the driver sees it: started, watched, and waited for."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")
WAIT_S = 120.0
"""How long the end of a sweep waits for MLflow while it makes progress or is reachable."""


def tracking_uri(home: Path) -> str:
    """Where runs are recorded: `MLFLOW_TRACKING_URI`, else the home's own sqlite file."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"


def check_tracking_uri(home: Path) -> None:
    """Refuse what can't be an address before anything is run.

    Raises:
        UserError: its scheme is unknown.
    """
    scheme, found, _ = tracking_uri(home).partition(":")
    if not found or scheme.split("+")[0] not in SCHEMES:
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
        found: dict[str, Any] = json.loads((folder / "tracking.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


@contextlib.contextmanager
def following(folder: Path, say: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Send the sweep to MLflow while the block runs and what is left at its end.

    The process reads files only, so it is told nothing but the end: its standard input closes, whether the driver
    closes it or dies.

    Yields:
        A function that says before the end of the block that no more will be written.
    """
    with open(folder / "driver.log", "a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.tracking", str(folder)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            # Ctrl-C is for the driver; this process still has to send what the driver wrote last.
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        yield process.stdin.close
    finally:
        process.stdin.close()
        _wait(process, folder, say)


def _wait(process: subprocess.Popen[bytes], folder: Path, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + WAIT_S
    backlog = None
    while process.poll() is None:
        now = status(folder)
        if now.get("backlog") != backlog:
            backlog, deadline = now.get("backlog"), time.monotonic() + WAIT_S
        if time.monotonic() > deadline:
            process.terminate()
            process.wait()
            break
        time.sleep(0.1)
    left = status(folder)
    if left.get("error") or left.get("backlog"):
        say(
            f"MLflow: {left.get('backlog', 0)} lines are still to be sent ({left.get('error') or 'out of time'}); "
            "they are safe in the sweep's folder and are sent the next time the sweep is run."
        )
    elif process.returncode:
        say(f"MLflow: the sending process ended with exit code {process.returncode}; see {folder / 'driver.log'}")

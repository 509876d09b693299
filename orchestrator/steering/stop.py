"""`orchestrate stop NAME[/7]`: stop a sweep or one of its trials so that it can be resumed."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.command_line import format_command
from orchestrator.errors import OrchestratorError, UserError
from orchestrator.overview.snapshot import Snapshot, read_snapshot
from orchestrator.state.home import driver_note, home_option
from orchestrator.steering.requesting import require_driver, stop_trial

PATIENCE_S = 180.0
"""The time for a driver to stop: sending the rest to MLflow may be slow."""
POLL_S = 0.1


def stop(home: Path, target: str, say: Callable[[str], None]) -> None:
    """Stop a sweep, or one trial of it.

    Args:
        home: the folder of all sweeps.
        target: the sweep, or a trial such as `vae/7`.
        say: prints a line.

    Raises:
        OrchestratorError: the driver has not stopped within `PATIENCE_S`.
        UserError: there is no such sweep or trial, it does not run, or its driver is on another machine.
    """
    if "/" in target:
        stop_trial(home, target, say)
    else:
        _stop_sweep(home, read_snapshot(home, target), say)


def _stop_sweep(home: Path, snapshot: Snapshot, say: Callable[[str], None]) -> None:
    driver = require_driver(snapshot)
    if not {"host", "pid"} <= driver.keys():
        raise UserError(f"{snapshot.name}: its driver has not written yet where it runs; try again")
    if driver["host"] != socket.gethostname():
        raise UserError(f"{snapshot.name} runs on {driver['host']}, process {driver['pid']}; stop it from there")
    try:
        os.kill(driver["pid"], signal.SIGTERM)
    except PermissionError:
        raise UserError(f"{snapshot.name} belongs to another user, process {driver['pid']}; ask its owner") from None
    except ProcessLookupError:
        # The driver has just ended; the loop below sees that.
        pass
    say(f"{snapshot.name}: asked process {driver['pid']} to stop …")
    deadline = time.monotonic() + PATIENCE_S
    while driver_note(snapshot.ledger.folder) is not None:
        if time.monotonic() > deadline:
            raise OrchestratorError(f"{snapshot.name}: process {driver['pid']} still runs; stop again, or kill it")
        time.sleep(POLL_S)
    say(f"{snapshot.name} has stopped. Continue with: {format_command('resume', snapshot.name, *home_option(home))}")

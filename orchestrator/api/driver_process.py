"""Run a command of `orchestrate` in a process of its own, and print its output here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import OrchestratorError, SweepStopped, UserError

ROOT = Path(__file__).parents[2]
"""The folder with this project's packages."""


def run_driver(arguments: Sequence[str]) -> None:
    """Run `orchestrate` with some arguments to its end, and print what it prints.

    The driver can't run in this process: if Ray dies, a driver replaces its whole process with a fresh one.

    Args:
        arguments: the arguments of the command.

    Raises:
        UserError: the command was refused, with its message.
        SweepStopped: the sweep stopped before its end, with its message.
        KeyboardInterrupt: an interrupt has stopped the command, which has ended cleanly.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            # An interrupt reaches this process first, which passes it on once; a second one would kill the driver.
            start_new_session=True,
        )
        was_interrupted = False
        try:
            _print_output(process)
        except KeyboardInterrupt:
            was_interrupted = True
            process.send_signal(signal.SIGINT)
            _print_output(process)
        errors.seek(0)
        message = errors.read().strip()
    if was_interrupted:
        raise KeyboardInterrupt(message)
    if process.returncode == 0:
        return
    if process.returncode == UserError.exit_code:
        raise UserError(message)
    if process.returncode in (SweepStopped.exit_code, 128 + signal.SIGINT):
        raise SweepStopped(message)
    raise OrchestratorError(message or f"orchestrate ended with exit code {process.returncode}")


def _print_output(process: subprocess.Popen[str]) -> None:
    """Print the lines of a process until it ends."""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
    process.wait()

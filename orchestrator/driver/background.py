"""`--detach`: run the driver in the background of this machine, where a closed connection does not end it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.command_line import format_command
from orchestrator.errors import OrchestratorError
from orchestrator.state.home import driver_note, home_option

OUTPUT = "output.txt"
"""In a sweep's folder: what a driver in the background prints."""
PATIENCE_S = 60.0
"""The longest time to wait for the driver to lock its sweep."""
SETTLED_S = 3.0
"""A driver that has held its sweep's lock for this time has accepted its arguments."""
POLL_S = 0.1


def detach(arguments: Sequence[str], folder: Path, say: Callable[[str], None]) -> None:
    """Start `orchestrate` in a session of its own, and wait until it has locked its sweep, at most `PATIENCE_S`.

    Args:
        arguments: the arguments of the command, without `--detach`.
        folder: the folder of the sweep, or of the first of several.
        say: prints a line.

    Raises:
        OrchestratorError: the command ended at once; the message is what it printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / OUTPUT
    previous_bytes = path.stat().st_size if path.exists() else 0
    with path.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + PATIENCE_S
    locked_since: float | None = None
    while time.monotonic() < deadline and (locked_since is None or time.monotonic() - locked_since < SETTLED_S):
        if process.poll() is not None:
            output_text = path.read_bytes()[previous_bytes:].decode(errors="replace").strip()
            if process.returncode == 0:
                say(output_text)
                return
            error = OrchestratorError(output_text)
            error.exit_code = process.returncode
            raise error
        if locked_since is None and (driver_note(folder) or {}).get("pid") == process.pid:
            locked_since = time.monotonic()
        time.sleep(POLL_S)
    home_options = home_option(folder.parent)
    if locked_since is None:
        say(
            f"{folder.name}: process {process.pid} has started, but not begun with the sweep after {PATIENCE_S:g} s;"
            f" look into {path}"
        )
    else:
        say(f"{folder.name} runs in the background, process {process.pid}; its output is in {path}")
    say(f"Show its state:    {format_command('status', folder.name, *home_options)}")
    say(f"Stop it cleanly:   {format_command('stop', folder.name, *home_options)}")

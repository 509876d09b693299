"""`--detach`: the driver in the background of this machine, where a closed connection does not end it."""

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
PATIENCE_S = 60.0
SETTLED_S = 3.0
"""A driver that has held its sweep's lock for so long has found nothing to refuse."""


def detach(arguments: Sequence[str], folder: Path, say: Callable[[str], None]) -> None:
    """Start `orchestrate` with these arguments in a session of its own, and wait until it has its sweep.

    Args:
        arguments: of the command, without `--detach`.
        folder: of the sweep, or of the first of several.
        say: tells somebody a line.

    Raises:
        OrchestratorError: it ended at once; the message is what it said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / OUTPUT
    begins = path.stat().st_size if path.exists() else 0
    with path.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + PATIENCE_S
    has_it_since: float | None = None
    while time.monotonic() < deadline and (has_it_since is None or time.monotonic() - has_it_since < SETTLED_S):
        if process.poll() is not None:
            said = path.read_bytes()[begins:].decode(errors="replace").strip()
            if process.returncode == 0:
                say(said)
                return
            error = OrchestratorError(said)
            error.exit_code = process.returncode
            raise error
        if has_it_since is None and (driver_note(folder) or {}).get("pid") == process.pid:
            has_it_since = time.monotonic()
        time.sleep(0.1)
    elsewhere = home_option(folder.parent)
    say(f"{folder.name} runs in the background, process {process.pid}; what it says is in {path}")
    say(f"See how it stands: {format_command('status', folder.name, *elsewhere)}")
    say(f"End it cleanly:    {format_command('stop', folder.name, *elsewhere)}")

"""Why a command ended without another epoch."""

from __future__ import annotations

from pathlib import Path

from trainables.command.description import Command
from trainables.command.output import last_lines
from trainables.errors import EndedFromOutside, InputError, MemoryShort
from trainables.trainable import TrainingOver

SHOWN_LINES = 20
"""The lines of the output that go to the trial's log when the command fails."""
NO_MEMORY = ("out of memory", "MemoryError", "can't allocate memory", "Cannot allocate memory")
SIGKILL_CODE = 128 + 9
SIGTERM_CODES = (128 + 15, -15)
"""The exit codes of the keeper if the command, or the keeper itself at its start, was ended by SIGTERM."""


def explain_end(command: Command, code: int, log: Path, num_epochs: int, num_lines: int) -> Exception:
    """Return the exception for a command that ended without a new epoch, and print its last lines if it failed.

    Args:
        command: the command.
        code: its exit code, or 128 + the number of the signal that ended it.
        log: the file with its output, which may be missing.
        num_epochs: the epochs that it has printed.
        num_lines: the lines in which metrics were looked for.

    Returns:
        `TrainingOver` after an orderly end, `EndedFromOutside` after SIGTERM, `MemoryShort` if memory was short, and
        else `InputError`.
    """
    lines = last_lines(log, SHOWN_LINES)
    last = f"; its last line: {lines[-1][:200]}" if lines else "; it printed nothing"
    title = command.title
    if code == 0 and num_epochs:
        return TrainingOver(f"{title} ended by itself after {num_epochs} epochs")
    if code in SIGTERM_CODES:
        return EndedFromOutside(f"{title} was told to end (SIGTERM)")
    for line in lines:
        print(f"  {line}")
    if code == 0:
        wanted = "is a JSON object with" if command.metrics is None else "matches the pattern of"
        return InputError(f"{title} ended, and none of its {num_lines} lines {wanted} {command.objective}{last}")
    if code == SIGKILL_CODE or any(phrase in line for phrase in NO_MEMORY for line in lines):
        return MemoryShort(f"{title} ended with exit code {code}{last}")
    return InputError(f"{title} ended with exit code {code}{last}")

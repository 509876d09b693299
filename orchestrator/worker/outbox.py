"""A trial's outbox as its one writer has it: locked, of the right trial, with the epochs that count."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.state.curve import counted
from orchestrator.state.foreign import identity_in, identity_line
from orchestrator.state.paths import OUTBOX
from orchestrator.storage import durable, json_lines
from orchestrator.worker.failure import InUse, NotItsFolder

LOCK = "outbox.lock"
"""Held by the worker that trains; one that waits for its next trial still holds that of its last."""
EVALUATION_LOCK = "evaluation.lock"
"""Held by the worker that evaluates."""
LOCK_PATIENCE_S = 30
"""A worker outlives its driver by a few seconds, and its node's Ray by up to 15; so long may it hold its outbox."""


@contextlib.contextmanager
def locked(folder: Path, number: int, name: str = LOCK) -> Iterator[None]:
    """Be the only process that trains a trial, or that evaluates it.

    Raises:
        InUse: another process is.
    """
    durable.make_folder(folder)
    with open(folder / name, "w") as file:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while not _lock(file.fileno()):
            if time.monotonic() > deadline:
                verb = "trains" if name == LOCK else "evaluates"
                raise InUse(f"another process still {verb} trial {number} in {folder}")
            time.sleep(0.2)
        yield


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Outbox:
    """The lines of one trial, for the process that holds its lock.

    Attributes:
        rows: the epochs that count, each once.
    """

    def __init__(self, folder: Path, number: int, trial_id: str, since: int) -> None:
        """Args:
        folder: of the trial.
        number: of the trial.
        trial_id: tells it from any other trial that had its number.
        since: the first attempt that counts.

        Raises:
            NotItsFolder: the outbox is another trial's.
        """
        self._log = json_lines.Log(folder / OUTBOX)
        lines = self._log.take_lines()
        identity = identity_in(lines)
        if identity is None and trial_id:
            self._log.append(identity_line(trial_id, number))
        elif identity is not None and identity != trial_id:
            self._log.close()
            raise NotItsFolder(f"{folder / OUTBOX} is of another trial {number} than the one in the sweep log")
        self.rows = [row for row in counted(lines, since) if "diverged" not in row]

    @property
    def epochs(self) -> int:
        """The newest epoch; 0 before the first."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    def append(self, row: json_lines.Line) -> None:
        """Write an epoch, or the divergence that ended it; it is on the disk when this returns."""
        self._log.append(row)
        if "diverged" not in row:
            self.rows.append(row)

    def close(self) -> None:
        self._log.close()

"""The outbox of a trial for its only writer: a lock, a check of the trial's identity, and its valid epochs."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.state.curve import select_valid
from orchestrator.state.orphaned_folders import identity_in, identity_line
from orchestrator.state.paths import OUTBOX
from orchestrator.storage import durable, json_lines
from orchestrator.worker.failure import InUse, NotItsFolder

LOCK = "outbox.lock"
"""The lock file of the worker that trains. A worker that waits for its next trial still holds the lock of its last."""
EVALUATION_LOCK = "evaluation.lock"
"""The lock file of the worker that evaluates."""
LOCK_PATIENCE_S = 30
"""How long to wait for a lock: a worker may outlive its driver by a few seconds, and its machine's Ray by up to 15."""


@contextlib.contextmanager
def lock_trial(folder: Path, number: int, name: str = LOCK) -> Iterator[None]:
    """Hold the lock of a trial, so that only this process trains it, or evaluates it.

    Args:
        folder: the trial's folder; it is made if it is missing.
        number: the trial's number, for the message.
        name: `LOCK` or `EVALUATION_LOCK`.

    Raises:
        InUse: another process holds the lock.
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
    """The outbox of one trial, for the process that holds its lock.

    Attributes:
        rows: the valid epochs, each once, without divergences.
    """

    def __init__(self, folder: Path, number: int, trial_id: str, since: int) -> None:
        """Open or make the outbox of a trial.

        Args:
            folder: the trial's folder.
            number: the trial's number.
            trial_id: distinguishes the trial from any other that had its number.
            since: the first attempt that counts.

        Raises:
            NotItsFolder: the outbox belongs to another trial.
        """
        self._log = json_lines.Log(folder / OUTBOX)
        lines = self._log.take_lines()
        identity = identity_in(lines)
        if identity is None and trial_id:
            self._log.append(identity_line(trial_id, number))
        elif identity is not None and identity != trial_id:
            self._log.close()
            raise NotItsFolder(f"{folder / OUTBOX} is of another trial {number} than the one in the sweep log")
        self.rows = [row for row in select_valid(lines, since) if "diverged" not in row]

    @property
    def epochs(self) -> int:
        """The newest epoch; 0 before the first."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    def append(self, row: json_lines.Line) -> None:
        """Write the row of an epoch, or of a divergence; it is on the disk when this returns."""
        self._log.append(row)
        if "diverged" not in row:
            self.rows.append(row)

    def close(self) -> None:
        """Close the file."""
        self._log.close()

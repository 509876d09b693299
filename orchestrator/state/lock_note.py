"""What a driver keeps in its lock file, and how it hands the lock on to the driver that it becomes."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

HANDED_ON = "ORCHESTRATE_LOCK"
"""In the environment of a driver that took another one's place: the lock file, and its open descriptor."""


class LockNote(dict[str, Any]):
    """A dict that is written to the lock file at every change."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        super().__init__()
        self._file = file

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(*args, **kwargs)
        self._write()

    def clear(self) -> None:
        super().clear()
        self._write()

    def hand_on(self) -> None:
        """Let the lock survive `exec`: at no instant may another driver take it."""
        os.set_inheritable(self._file.fileno(), True)
        os.environ[HANDED_ON] = f"{self._file.name}:{self._file.fileno()}"

    def _write(self) -> None:
        # Over what is there, for which even a full disk has room, and then cut.
        self._file.seek(0)
        json.dump(self, self._file)
        self._file.flush()
        self._file.truncate()


def take_over(path: Path) -> io.TextIOWrapper | None:
    """Return the lock file that the driver before `exec` has handed on, still locked; None if there is none."""
    name, _, descriptor = os.environ.pop(HANDED_ON, "").rpartition(":")
    if name != str(path):
        return None
    os.set_inheritable(int(descriptor), False)
    return open(int(descriptor), "r+")

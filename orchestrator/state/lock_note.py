"""The contents of a driver's lock file, and the transfer of the lock to the driver that replaces it by `exec`."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

HANDED_ON = "ORCHESTRATE_LOCK"
"""The environment variable with the lock file and its open descriptor, for the driver after `exec`."""


class LockNote(dict[str, Any]):
    """A dict that is written to the lock file by `update` and `clear`."""

    def __init__(self, path: Path, file: io.TextIOWrapper) -> None:
        """Begin empty, without writing.

        Args:
            path: the path of the lock file; `file.name` is a number where it was opened by its descriptor.
            file: the lock file, open for reading and writing, and locked.
        """
        super().__init__()
        self._path = path
        self._file = file

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Update the dict and write it."""
        super().update(*args, **kwargs)
        self._write()

    def clear(self) -> None:
        """Empty the dict and write it."""
        super().clear()
        self._write()

    def hand_on(self) -> None:
        """Keep the lock across `exec`, so that no other driver can take it in between."""
        os.set_inheritable(self._file.fileno(), True)
        os.environ[HANDED_ON] = f"{self._path}:{self._file.fileno()}"

    def _write(self) -> None:
        # It overwrites the old text before it truncates the file, because that also works on a full disk.
        self._file.seek(0)
        json.dump(self, self._file)
        self._file.flush()
        self._file.truncate()


def take_over(path: Path) -> io.TextIOWrapper | None:
    """Return the lock file that the driver before `exec` kept locked with `hand_on`; None if there is none.

    A command with several sweeps asks for the locks of those before it first: theirs are not it.
    """
    name, _, descriptor = os.environ.get(HANDED_ON, "").rpartition(":")
    if not name:
        return None
    # Ray's processes must not inherit it, whichever sweep starts them.
    os.set_inheritable(int(descriptor), False)
    if name != str(path):
        return None
    del os.environ[HANDED_ON]
    return open(int(descriptor), "r+")

"""Ray's temporary folders, and the removal of one that a killed driver has left behind."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PREFIX = "orchestrate-"
NAME = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")
"""The names that `tempfile.mkdtemp` makes from the prefix."""
SHORT = "/tmp"
"""The parent of Ray's folder if the path of the system's temporary folder is too long for Ray's sockets."""


def make_scratch() -> Path:
    """Make a temporary folder for Ray, and return it."""
    # Ray makes its sockets in here, and the path of a socket may have at most 107 characters.
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=None if len(tempfile.gettempdir()) < 24 else SHORT))


def delete_scratch(note: Mapping[str, Any]) -> None:
    """Delete the folder that a driver's note names, if a dead driver of this user on this machine made it.

    The checks are needed because a sweep's folder may come from another user, with a note that names any path.

    Args:
        note: the note in the lock file, with `scratch`, `host` and `pid`.
    """
    path = Path(str(note.get("scratch", "")))
    if note.get("host") == socket.gethostname() and _is_ours(path) and not _is_alive(note.get("pid")):
        shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    """Return whether `make_scratch` may have made this folder for this user."""
    if str(path.parent) not in (tempfile.gettempdir(), SHORT) or not NAME.fullmatch(path.name):
        return False
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _is_alive(pid: Any) -> bool:
    """Return whether the driver with this process id may still run, as it may where a sweep's folder was copied."""
    # Imported here because it takes time, and is needed only after a driver was killed.
    import psutil

    try:
        return pid != os.getpid() and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, TypeError, ValueError):
        return False

"""Ray's temporary folder of a driver that was killed: the next driver deletes it."""

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
"""What `tempfile.mkdtemp` makes of the prefix."""
SHORT = "/tmp"
"""Where it lies if the path of the system's temporary folder is too long for Ray's sockets."""


def make_scratch() -> Path:
    """Make a temporary folder for Ray."""
    # Ray's sockets live in here, and a socket's path may have 107 characters at most.
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=None if len(tempfile.gettempdir()) < 24 else SHORT))


def delete_scratch(note: Mapping[str, Any]) -> None:
    """Delete the folder that a driver's note names, if a driver of this user on this machine left it.

    Whoever gets a sweep's folder from somebody gets a note that may name any path.
    """
    path = Path(str(note.get("scratch", "")))
    if note.get("host") == socket.gethostname() and _is_ours(path) and not _is_alive(note.get("pid")):
        shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    """Whether `make_scratch` can have made this folder for this user."""
    if str(path.parent) not in (tempfile.gettempdir(), SHORT) or not NAME.fullmatch(path.name):
        return False
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _is_alive(pid: Any) -> bool:
    """Whether another process has a driver's number: in a copied folder the note is of one that may still run."""
    import psutil  # some time, which is only spent where a driver was killed

    try:
        return pid != os.getpid() and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, TypeError, ValueError):
        return False

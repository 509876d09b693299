"""A check that this machine sees the sweep's folder; otherwise it would train into a folder of its own.

The driver writes a random token into the folder. Every machine has to read it before the first trial, and every worker
before each epoch, since machines may join later.
"""

from __future__ import annotations

import socket
import uuid
from pathlib import Path

from orchestrator.storage import durable
from orchestrator.worker.failure import UnfitMachine

TOKEN = "home.token"
"""In a sweep's folder: the file with the token."""


def write_token(folder: Path) -> str:
    """Write a new token into a sweep's folder, and return it."""
    token = uuid.uuid4().hex
    durable.write_whole(folder / TOKEN, token)
    return token


def read_token(path: str) -> str:
    """Return the token that this machine reads; "" if it does not see the file."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def check_token(sweep_folder: Path, token: str) -> None:
    """Check that this machine reads the driver's token in the sweep's folder.

    Raises:
        UnfitMachine: it reads no token, or another one.
    """
    if token and read_token(str(sweep_folder / TOKEN)) != token:
        raise UnfitMachine(
            f"{sweep_folder.parent}: the home is not shared with {socket.gethostname()}, which has joined the cluster; "
            "mount it there under the same path, or take that machine out of the cluster"
        )

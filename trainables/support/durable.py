"""Syncs of files and folders, so that they survive a power cut.

A file survives once its bytes and the folder that has its name are synced; a rename alone guarantees neither.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""The errors of network file systems that can't sync a folder; they sync names by themselves."""


def sync_file(path: Path) -> None:
    """Sync a file's bytes; its name needs `sync_folder`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder; its own name needs the same of the folder that it is in."""
    try:
        sync_file(folder)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, and sync their names."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)

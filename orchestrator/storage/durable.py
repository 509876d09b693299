"""Writes that survive a power cut: they are on the disk when the function returns.

A file survives once its bytes and the folder that has its name are synced; a rename alone guarantees neither.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""The errors of network file systems that can't sync a folder; they sync names by themselves."""


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder, so that they survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, and sync their names."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    """Sync a file's bytes, so that they survive a power cut; its name needs `sync_folder`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, text: str) -> None:
    """Replace a file's text by one rename, so that at any time the file has the old text or the new one."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text)
    sync_file(temporary)
    temporary.replace(path)
    sync_folder(path.parent)

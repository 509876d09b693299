"""Copies of files and folders that survive a power cut."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from orchestrator.storage import durable

NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)
"""The errors of file systems that can't make a hard link, or none here."""


def link_file(source: Path, target: Path) -> None:
    """Give a file that never changes a second name, which takes no space; copy it where there are no hard links."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        shutil.copy2(source, target)


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all of its contents; the times of changes stay as they are."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def sync_tree(folder: Path) -> None:
    """Sync all files and names below a folder, so that they survive a power cut; its own name needs `sync_folder`."""
    for path, _, names in os.walk(folder, topdown=False):
        for file in (Path(path, name) for name in names):
            if not file.is_symlink():
                durable.sync_file(file)
        durable.sync_folder(Path(path))

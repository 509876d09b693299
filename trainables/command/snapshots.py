"""Copies of a command's checkpoint, made while the command is paused."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from trainables.support import durable

NUM_KEPT = 2
"""The copies that are kept: that of the newest epoch, and the one before in case that the newest is damaged."""


class Snapshots:
    """Copies of a checkpoint, a file or a folder, by the number of epochs after which the command wrote it."""

    def __init__(self, checkpoint: Path, folder: Path) -> None:
        """Use a folder for the copies of a checkpoint; neither has to exist."""
        self._checkpoint = checkpoint
        self._folder = folder
        self._signature: object = None

    @property
    def written_ns(self) -> int:
        """When the checkpoint was written or moved to its place, in ns as the file system counts; 0 without one."""
        return max((max(state.st_mtime_ns, state.st_ctime_ns) for _, state in self._states()), default=0)

    def take(self, epoch: int, *, is_sure: bool) -> bool:
        """Copy the checkpoint if it has changed since the last call.

        Args:
            epoch: the number of epochs that the command has printed.
            is_sure: whether the checkpoint is known to be whole and of this epoch. One of which that is not sure is
                never copied, also not later, when its epoch would be taken for a later one.

        Returns:
            Whether it was copied.
        """
        signature = self._sign()
        if signature is None or signature == self._signature:
            return False
        self._signature = signature
        if not is_sure:
            return False
        temporary = self._folder / "copying.tmp"
        _delete(temporary)
        durable.make_folder(self._folder)
        _copy(self._checkpoint, temporary)
        _sync(temporary)
        _delete(self._folder / str(epoch))
        temporary.rename(self._folder / str(epoch))
        # Before the older copies are deleted: a power cut could otherwise take the new name, and leave no copy.
        durable.sync_folder(self._folder)
        for old in sorted(self._epochs())[:-NUM_KEPT]:
            _delete(self._folder / str(old))
        return True

    def restore(self, epoch: int) -> bool:
        """Replace the checkpoint by a copy; return False, without a checkpoint, if there is no such copy."""
        _delete(self._checkpoint)
        copy = self._folder / str(epoch)
        if not copy.exists():
            self._signature = None
            return False
        _copy(copy, self._checkpoint)
        self._signature = self._sign()
        return True

    def clear(self) -> None:
        """Delete the checkpoint and all copies."""
        _delete(self._checkpoint)
        _delete(self._folder)
        self._signature = None

    def _epochs(self) -> list[int]:
        return [int(path.name) for path in self._folder.iterdir() if path.name.isdecimal()]

    def _sign(self) -> object:
        """Return what changes whenever the checkpoint is written; None if there is no checkpoint."""
        states = self._states()
        return [(str(path), state.st_mtime_ns, state.st_size, state.st_ino) for path, state in states] or None

    def _states(self) -> list[tuple[Path, os.stat_result]]:
        """Return the files of the checkpoint with their states; a file that is just being replaced is left out."""
        states = []
        for path in [self._checkpoint, *sorted(self._checkpoint.rglob("*"))]:
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    states.append((path, path.stat()))
        return states


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def _sync(path: Path) -> None:
    """Write a copy to the disk, because the trial's own checkpoint, which is synced after it, relies on it."""
    for file in [path, *path.rglob("*")]:
        if file.is_symlink():
            continue
        if file.is_dir():
            durable.sync_folder(file)
        else:
            durable.sync_file(file)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

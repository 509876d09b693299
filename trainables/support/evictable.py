"""Cached files that may be evicted: whoever reads one holds a shared lock, and whoever evicts one needs it alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from trainables.support.cache import write_once

_held: dict[Path, int] = {}
"""The descriptors of the files that this process holds. The kernel closes them with the process, however it ends."""


def hold_once(path: Path, make: Callable[[Path], None]) -> Path:
    """Return a file that no process evicts before this one ends; `make` writes it if it is missing.

    Args:
        path: the file. Its time says from now on when it was used last.
        make: see `write_once`.

    Raises:
        InputError: the folder can't be written, or its disk is full.
    """
    while not _is_held(path):
        write_once(path, make)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        # Waits while another process evicts the file, which is then written again. A file system without locks refuses
        # the exclusive one, too, so that nothing is evicted from it.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        _release(path)
        _held[path] = descriptor
    with contextlib.suppress(OSError):
        os.utime(path)
    return path


def evict(paths: Iterable[Path], max_bytes: int) -> tuple[list[Path], int]:
    """Delete the files that were used least recently and that no process holds, until the others fit.

    Args:
        paths: the files.
        max_bytes: the largest sum of their sizes.

    Returns:
        The files that were deleted, and the sum of the others' sizes.
    """
    stats = []
    for path in paths:
        # Another process may evict files at the same time.
        with contextlib.suppress(FileNotFoundError):
            stats.append((path, path.stat()))
    total = sum(stat.st_size for _, stat in stats)
    evicted = []
    for path, stat in sorted(stats, key=lambda item: item[1].st_mtime_ns):
        if total <= max_bytes:
            break
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            total -= stat.st_size
            evicted.append(path)
    return evicted, total


def is_held(path: Path) -> bool:
    """Return whether this process has asked for a file with `hold_once`."""
    return path in _held


def _is_held(path: Path) -> bool:
    """Return whether this process holds the file that is at the path now."""
    descriptor = _held.get(path)
    try:
        return descriptor is not None and os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _release(path: Path) -> None:
    if path in _held:
        os.close(_held.pop(path))

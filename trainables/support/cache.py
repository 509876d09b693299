"""Files that appear whole or not at all; cached ones are computed by one process, while the others wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from trainables.errors import InputError


def write_once(path: Path, make: Callable[[Path], None], *, replaces: bool = False) -> Path:
    """Write a file with `make` unless it exists, and return its path.

    `make` writes to a temporary name, so that a reader finds the whole file or none. A lock lets one process write;
    others wait for it.

    Args:
        path: the file.
        make: writes the content to the path that it is called with.
        replaces: whether a file that exists is replaced; until then, readers find the old one.

    Raises:
        InputError: the folder can't be written, or its disk is full.
    """
    if path.exists() and not replaces:
        return path
    with explain_write_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if replaces or not path.exists():
                temporary = path.with_name(f".{path.name}.part")
                make(temporary)
                _rename(temporary, path)
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file by renaming a complete one, so that a reader finds the whole file or none."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    _rename(temporary, path)


def _rename(temporary: Path, path: Path) -> None:
    """Give a complete file its name once it is on the disk.

    A power cut could otherwise leave the name with an empty file, which would be read as the whole one ever after.
    """
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def explain_write_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError within the block into a one-line message about a folder of the cache.

    Raises:
        InputError: the folder can't be written, or its disk is full.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{folder}: can't write the cache ({reason}); free the disk, or choose another home"
        ) from error

"""Files that are computed once, by one process, and then only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from trainables.errors import InputError


def write_once(path: Path, make: Callable[[Path], None]) -> Path:
    """The path, after `make` has written the file if it wasn't there.

    `make` writes to a temporary name: a reader finds the whole file or none. Other processes wait for the one that
    makes it.

    Raises:
        InputError: the folder can't be written, or its disk is full.
    """
    if path.exists():
        return path
    with explain_write_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not path.exists():
                temporary = path.with_name(f".{path.name}.part")
                make(temporary)
                temporary.replace(path)
    return path


@contextmanager
def explain_write_errors(folder: Path) -> Iterator[None]:
    """Turn the failure to write a file of the home into one message.

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

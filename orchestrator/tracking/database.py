"""The sqlite file that runs are recorded in, unless a server has them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from orchestrator.storage.file_system import is_shared

SQLITE = "sqlite:///"


def sqlite_path(uri: str) -> Path | None:
    """Return the file that a tracking URI names; None if it names a server."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


@contextlib.contextmanager
def prepared(uri: str) -> Iterator[None]:
    """Put a sqlite file into write-ahead mode: readers don't wait for writers, and a commit costs fewer flushes.

    On a disk that other machines may have too, SQLite excludes that mode. The mode stays in the file. Only one process
    at a time may make the tables of a new file.
    """
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    # Most verbs only ask for the path.
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        mode = "DELETE" if is_shared(path) else "WAL"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
            if connection.execute("PRAGMA journal_mode").fetchone()[0].upper() != mode:
                # Whoever else has it open keeps the mode that it has.
                with contextlib.suppress(sqlite3.OperationalError):
                    connection.execute(f"PRAGMA journal_mode={mode}")
        yield

"""The SQLite file in which MLflow records runs, unless there is a server."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from orchestrator.storage.file_system import is_shared

SQLITE = "sqlite:///"


def sqlite_path(uri: str) -> Path | None:
    """Return the SQLite file that a tracking URI names; None if it names a server."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


@contextlib.contextmanager
def prepare_database(uri: str) -> Iterator[None]:
    """Set the journal mode of MLflow's SQLite file, and lock the file until the `with` block ends.

    MLflow creates missing tables when it connects. The caller connects in the block, so that two processes don't create
    them at once. In write-ahead mode readers don't wait for writers, and a commit needs fewer flushes. SQLite does not
    allow it on a disk that other machines may mount too. The mode is stored in the file.

    Args:
        uri: the tracking URI; nothing is done if it names a server.
    """
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    # Imported here because most commands only call `sqlite_path`.
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        mode = "DELETE" if is_shared(path) else "WAL"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
            if connection.execute("PRAGMA journal_mode").fetchone()[0].upper() != mode:
                # This fails if another process has the file open; then the mode stays as it is.
                with contextlib.suppress(sqlite3.OperationalError):
                    connection.execute(f"PRAGMA journal_mode={mode}")
        yield

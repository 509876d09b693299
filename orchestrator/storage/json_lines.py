"""An append-only file of JSON lines: the sweep log and every trial's outbox are one each."""

from __future__ import annotations

import contextlib
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.storage import durable

Line = dict[str, Any]


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's garbage collector while very many lines are read.

    They become hundreds of thousands of objects without a cycle, over which it would go again and again: half of the
    time that a sweep of ten thousand trials takes to be read.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def read(path: Path, offset: int = 0) -> tuple[list[Line], int]:
    """The whole lines of a log from a byte offset on, and the offset behind the last of them.

    A last line without its newline is being written, or was torn by a kill: it is not read. A log that has become
    shorter than the offset is read from its beginning.

    Raises:
        UserError: a line before it is broken, which no kill can do.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < offset:
                # A power cut took lines that had not been synced when they were read.
                offset = 0
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    lines = data[:end].split(b"\n")[:-1]
    return [_parse(line, path, number) for number, line in enumerate(lines, 1)], offset + end


def read_first(path: Path) -> list[Line]:
    """The first line of a log, if it has a whole one."""
    try:
        with path.open("rb") as file:
            line = file.readline()
    except FileNotFoundError:
        return []
    return [_parse(line, path, 1)] if line.endswith(b"\n") else []


def _parse(line: bytes, path: Path, number: int) -> Line:
    try:
        event = json.loads(line)
        if not isinstance(event, dict):
            raise ValueError
    except ValueError:
        raise UserError(
            f"{path}:{number}: not a line that was written here: {line[:40].decode(errors='replace')!r}; "
            "put the file back from a backup, or delete this line if nothing else is left of it"
        ) from None
    return event


class Log:
    """The one writer of a log. Opening it cuts off a torn last line.

    Each event is one `write` to a file opened for appending, so that a kill tears at most the last line, and is synced,
    so that it survives a power cut too.
    """

    def __init__(self, path: Path) -> None:
        durable.make_folder(path.parent)
        self.path = path
        self._events, end = read(path)
        is_new = not path.exists()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if os.fstat(self._file).st_size > end:
            os.ftruncate(self._file, end)
        if is_new:
            durable.sync_folder(path.parent)

    def take_lines(self) -> list[Line]:
        """Return what the log held when it was opened; the log keeps none of it."""
        events, self._events = self._events, []
        return events

    def append(self, event: Line, *, sync: bool = True) -> None:
        """Write an event; it survives the death of this process from here on.

        Args:
            event: the line.
            sync: whether it also survives a power cut from here on; else it does from the next synced event on.
        """
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        start = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(28, "No space left on device", str(self.path))
            if sync:
                os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, start)
            raise

    def close(self) -> None:
        os.close(self._file)

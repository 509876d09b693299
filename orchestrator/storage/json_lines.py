"""Append-only files of JSON lines: the sweep log, and the outbox of each trial."""

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
"""One line of a log."""


@contextlib.contextmanager
def pause_collector() -> Iterator[None]:
    """Pause Python's garbage collector while very many lines are read.

    The lines become hundreds of thousands of objects without reference cycles. The collector would visit them again and
    again, which takes half of the time in which a sweep of ten thousand trials is read.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def read(path: Path, offset: int = 0) -> tuple[list[Line], int]:
    """Read the complete lines of a log from a byte offset on.

    A last line without a newline is still being written, or a kill cut it short: it is not read. A log that has become
    shorter than the offset is read from its beginning.

    Args:
        path: the log; a missing one counts as empty.
        offset: the end of the lines that were read before.

    Returns:
        The lines, and the offset of the end of the last one.

    Raises:
        UserError: a complete line is not JSON. A kill can't cause that.
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
    return [_parse(line, path, offset, number) for number, line in enumerate(lines, 1)], offset + end


def read_first(path: Path) -> list[Line]:
    """Return the first line of a log as a list of one, without reading the others.

    The list is empty if the log is missing or has no complete line.

    Raises:
        UserError: the line is not JSON.
    """
    try:
        with path.open("rb") as file:
            line = file.readline()
    except FileNotFoundError:
        return []
    return [_parse(line, path, 0, 1)] if line.endswith(b"\n") else []


def _count_lines(path: Path, end: int) -> int:
    """Return the number of lines in the first bytes of a log."""
    with path.open("rb") as file:
        return file.read(end).count(b"\n")


def _parse(line: bytes, path: Path, offset: int, number: int) -> Line:
    """Return a line of a log as a dict.

    Args:
        line: the line's bytes.
        path: the log, for the error message.
        offset: where in the log reading began, for the error message.
        number: the line's number from there on, for the error message.

    Raises:
        UserError: the line is not a JSON object.
    """
    try:
        parsed = json.loads(line)
        if not isinstance(parsed, dict):
            raise ValueError
    except ValueError:
        place = f"{path}:{_count_lines(path, offset) + number}"
        raise UserError(
            f"{place}: not a line that was written here: {line[:40].decode(errors='replace')!r}; "
            "put the file back from a backup, or delete this line if nothing else is left of it"
        ) from None
    return parsed


class Log:
    """The only writer of a log.

    Each line is one `write` to a file that was opened for appending, so that a kill cuts at most the last line short.
    The line is synced, so that it survives a power cut too.
    """

    def __init__(self, path: Path) -> None:
        """Open or make a log, read it, and cut off an incomplete last line.

        Args:
            path: the log.
        """
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
        """Return the lines that the log had when it was opened, once: they are not kept in memory."""
        events, self._events = self._events, []
        return events

    def append(self, event: Line, *, sync: bool = True) -> None:
        """Write a line. It survives the death of this process when this returns.

        Args:
            event: the line.
            sync: whether the line also survives a power cut when this returns; if not, it does so once a later line is
                synced.

        Raises:
            OSError: the line could not be written, as on a full disk; the log is as it was before.
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
        """Close the file."""
        os.close(self._file)

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

    A last line without a newline is still being written, or a kill cut it short: it is not read. A log in which no line
    ends at the offset any more is read from its beginning.

    Args:
        path: the log; a missing one counts as empty.
        offset: the end of the lines that were read before.

    Returns:
        The lines, and the offset of the end of the last one.

    Raises:
        UserError: a complete line is not JSON. A kill can't cause that.
    """
    data, begin = _read_bytes(path, offset, b"\n")
    return parse_lines(data, path, begin), begin + len(data)


def _read_bytes(path: Path, offset: int, before: bytes) -> tuple[bytes, int]:
    """Return the complete lines of a log from a byte offset on, and that offset.

    The offset is 0 if these bytes do not stand before it any more: the log has lost a line that had been read before it
    was synced, by a power cut or because it could not be synced.
    """
    try:
        with path.open("rb") as file:
            if offset:
                file.seek(max(0, offset - len(before)))
                if file.read(len(before)) != before:
                    offset = 0
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return b"", offset
    return data[: data.rfind(b"\n") + 1], offset


class Reader:
    """Reads a log that another process writes: each time what is new.

    Attributes:
        offset: the bytes that were read.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet.

        Args:
            path: the log.
        """
        self.offset = 0
        self._path = path
        self._last_line = b""

    def read_new(self) -> tuple[list[Line], bool]:
        """Read the complete lines that were added since the last call.

        Returns:
            The lines, and whether the log has lost lines that were read before: then these are all that it has.

        Raises:
            UserError: a complete line is not JSON.
        """
        data, begin = _read_bytes(self._path, self.offset, self._last_line)
        has_lost_lines = begin < self.offset
        lines = parse_lines(data, self._path, begin)
        self.offset = begin + len(data)
        if data or has_lost_lines:
            self._last_line = data[data.rfind(b"\n", 0, -1) + 1 :]
        return lines, has_lost_lines


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
    return parse_lines(line, path)


def parse_lines(data: bytes, place: Path | str, offset: int = 0) -> list[Line]:
    """Return the lines of a part of a log as dicts; an incomplete last one is left out.

    Args:
        data: the part.
        place: the file, or what else names the log in an error message.
        offset: where in the file the part begins.

    Raises:
        UserError: a line is not a JSON object.
    """
    lines = data.split(b"\n")[:-1]
    return [_parse(line, place, offset, number) for number, line in enumerate(lines, 1)]


def _parse(line: bytes, place: Path | str, offset: int, number: int) -> Line:
    """Return a line of a log as a dict; `number` is its number from the offset on."""
    try:
        parsed = json.loads(line)
        if not isinstance(parsed, dict):
            raise ValueError
    except ValueError:
        lines_before = _count_lines(Path(place), offset) if offset else 0
        raise UserError(
            f"{place}:{lines_before + number}: not a line that was written here: "
            f"{line[:40].decode(errors='replace')!r}; "
            "put the file back from a backup, or delete this line if nothing else is left of it"
        ) from None
    return parsed


def _count_lines(path: Path, end: int) -> int:
    """Return the number of lines in the first bytes of a log."""
    with path.open("rb") as file:
        return file.read(end).count(b"\n")


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

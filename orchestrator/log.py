"""An append-only file of JSON lines: the sweep log and every trial's outbox are one each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError

Event = dict[str, Any]


def read(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """The whole lines of a log from a byte offset on, and the offset behind the last of them.

    A last line without its newline is being written, or was torn by a kill: it is not read.

    Raises:
        UserError: a line before it is broken, which no kill can do.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    lines = data[:end].split(b"\n")[:-1]
    return [_parse(line, path, number) for number, line in enumerate(lines, 1)], offset + end


def _parse(line: bytes, path: Path, number: int) -> Event:
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

    Each event is one `write` to a file opened for appending, so that a kill tears at most the last line.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.events, end = read(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if os.fstat(self._file).st_size > end:
            os.ftruncate(self._file, end)

    def append(self, event: Event) -> None:
        """Write an event; it survives the death of this process from here on."""
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        start = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(28, "No space left on device", str(self.path))
        except OSError:
            os.ftruncate(self._file, start)
            raise
        self.events.append(event)

    def close(self) -> None:
        os.close(self._file)

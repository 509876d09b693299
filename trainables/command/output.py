"""The metrics in the output of a command, read while the command writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

MAX_LINE_BYTES = 65_536
"""Only the end of a longer line is looked at, so that output without a newline takes no memory."""
CHUNK_BYTES = 1_048_576
TAIL_BYTES = 256
LINE_END = re.compile(rb"[\r\n]+")
"""Progress bars end their lines with a carriage return."""
EPOCH = "epoch"
"""The value by which a command may number its epochs; it is no metric."""

Row = dict[str, float]


class Parser:
    """Collects the metrics of lines into rows; a line with the objective ends a row.

    Attributes:
        num_lines: the number of lines that were read.
    """

    def __init__(self, objective: str, patterns: Mapping[str, str] | None) -> None:
        """Collect nothing yet.

        Args:
            objective: the metric that ends a row.
            patterns: a regular expression for each metric, whose group is the value; None if metrics are JSON objects,
                one in a line.
        """
        self._objective = objective
        self._patterns = None if patterns is None else {name: re.compile(text) for name, text in patterns.items()}
        self._row: Row = {}
        self.num_lines = 0

    def feed(self, line: str) -> Row | None:
        """Take a line, and return the row that it ends, if it ends one."""
        self.num_lines += 1
        values = self._read_json(line) if self._patterns is None else self._search(line, self._patterns)
        self._row |= values
        if self._objective not in values:
            return None
        row, self._row = self._row, {}
        return row

    @staticmethod
    def _read_json(line: str) -> Row:
        """Return the numbers in a JSON object; none of a line that is no JSON object."""
        if not line.lstrip().startswith("{"):
            return {}
        try:
            values = json.loads(line)
        except ValueError:
            return {}
        is_number = {name: isinstance(value, int | float) for name, value in values.items()}
        return {name: float(value) for name, value in values.items() if is_number[name]}

    @staticmethod
    def _search(line: str, patterns: Mapping[str, re.Pattern[str]]) -> Row:
        """Return the values that patterns match; a text that is no number becomes NaN, which ends the trial."""
        row = {}
        for name, pattern in patterns.items():
            if match := pattern.search(line):
                try:
                    row[name] = float(match[1].rstrip(",;"))
                except ValueError:
                    row[name] = float("nan")
        return row


class Output:
    """The output of a command: a file that grows while it is read."""

    def __init__(self, path: Path, parser: Parser) -> None:
        """Begin at the present end of a file, which need not exist yet."""
        self._path = path
        self._parser = parser
        self._position = path.stat().st_size if path.exists() else 0
        self._tail = self._read_tail()
        """The last bytes before the position: they are others once the command has written the file anew."""
        self._part = b""
        self._ends_with_row = False

    @property
    def printed_ns(self) -> int | None:
        """When the last row was printed, in ns as the file system counts; None if something was printed after it."""
        return self._path.stat().st_mtime_ns if self._ends_with_row and not self._part else None

    def rows(self, *, ended: bool = False) -> Iterator[Row]:
        """Yield the rows that are new.

        Args:
            ended: whether nothing more will be written, so that the last line needs no newline.
        """
        for line in self._lines(ended=ended):
            row = self._parser.feed(line.decode(errors="replace"))
            self._ends_with_row = row is not None
            if row is not None:
                yield row

    def _lines(self, *, ended: bool) -> Iterator[bytes]:
        """Yield the lines that are new. After each one the position is behind it, so that a caller may stop there."""
        while chunk := self._read():
            *lines, rest = LINE_END.split(self._part + chunk)
            self._position += len(chunk)
            self._tail = (self._tail + chunk)[-TAIL_BYTES:]
            self._part = rest[-MAX_LINE_BYTES:]
            yield from (line[-MAX_LINE_BYTES:] for line in lines if line)
        if ended and self._part:
            part, self._part = self._part, b""
            yield part

    def _read(self) -> bytes:
        """Return the next part of the file; empty if there is none now."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position - len(self._tail))
                if file.read(len(self._tail)) != self._tail:
                    # A command that was started again often begins its file anew, instead of adding to it.
                    self._position, self._tail, self._part = 0, b"", b""
                file.seek(self._position)
                return file.read(CHUNK_BYTES)
        except FileNotFoundError:
            return b""

    def _read_tail(self) -> bytes:
        """Return the last bytes of the file before the position."""
        if not self._position:
            return b""
        with self._path.open("rb") as file:
            file.seek(max(0, self._position - TAIL_BYTES))
            return file.read(min(TAIL_BYTES, self._position))


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a file that are not empty."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - MAX_LINE_BYTES))
        lines = LINE_END.split(file.read())
    texts = (line.decode(errors="replace").rstrip()[-500:] for line in lines)
    return [text for text in texts if text][-count:]

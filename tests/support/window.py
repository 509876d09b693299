"""A terminal window as its user sees it: it wraps long lines, and wraps them anew when its width changes."""

from __future__ import annotations

import io
import re

TOKENS = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class Window(io.StringIO):
    """A file for a rich console; `rows` is what stands in the window."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.rows = [""]
        self._continued = [False]
        """For each row, whether its line goes on in the next one."""
        self._row, self._column = 0, 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for number, code, carriage_return, newline, plain in TOKENS.findall(text):
            if carriage_return:
                self._column = 0
            elif newline:
                self._go_down()
            elif code == "A":
                self._row = max(0, self._row - int(number or 1))
            elif code == "K":
                self.rows[self._row], self._continued[self._row] = "", False
            for character in plain:
                if self._column == self.width:
                    self._continued[self._row] = True
                    self._go_down()
                row = self.rows[self._row].ljust(self._column)
                self.rows[self._row] = row[: self._column] + character + row[self._column + 1 :]
                self._column += 1
        return len(text)

    def _go_down(self) -> None:
        self._row, self._column = self._row + 1, 0
        if self._row == len(self.rows):
            self.rows.append("")
            self._continued.append(False)

    def resize(self, width: int) -> None:
        """Wrap every line anew; the cursor stays at the end of the last row."""
        lines, line = [], ""
        for row, is_continued in zip(self.rows, self._continued, strict=True):
            line += row
            if not is_continued:
                lines.append(line)
                line = ""
        self.width, self.rows, self._continued = width, [], []
        for line in lines:
            parts = [line[start : start + width] for start in range(0, len(line), width)] or [""]
            self.rows += parts
            self._continued += [True] * (len(parts) - 1) + [False]
        self._row, self._column = len(self.rows) - 1, len(self.rows[-1])

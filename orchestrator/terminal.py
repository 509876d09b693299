"""Standard output and standard error: control characters in names, and readers that end."""

from __future__ import annotations

import io
import os
import re
import sys

CONTROL = "\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
"""Characters that a terminal obeys instead of showing them; the last ones turn the direction of text around."""
CONTROLS = re.compile(f"[{CONTROL}]")
STYLE = r"\x1b\[[0-9;]*m"
"""A color, as `rich` writes it also into files on request."""
DRAWING = r"\r?\x1b\[\??[0-9;]*[A-Za-z]|\r(?=\x1b)|\x1b\]8;[^\x00-\x1f]*\x1b\\"
"""What `rich` also writes to a terminal: movements of the cursor, and links."""
IN_FILE = re.compile(f"(?P<kept>{STYLE}|[\n\t])|[{CONTROL}]")
IN_TERMINAL = re.compile(f"(?P<kept>{STYLE}|{DRAWING}|[\n\t])|[{CONTROL}]")


def escape_controls(text: str) -> str:
    r"""Return a name with its control characters as Python writes them, such as `\x1b` and `\n`."""
    return CONTROLS.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match.groupdict().get("kept") or match[0].encode("unicode_escape").decode()


class Output(io.TextIOWrapper):
    """A standard stream that shows control characters instead of obeying them, and may outlive its reader."""

    def __init__(self, stream: io.TextIOWrapper, errors: str) -> None:
        """Write to the buffer of a standard stream, which is used no more.

        Args:
            stream: the stream.
            errors: what happens to characters that its encoding does not have.
        """
        super().__init__(
            stream.buffer,
            stream.encoding,
            errors,
            # As it was: a terminal shows each line at once, and `python -u` each part of one.
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        # Otherwise the end of the stream would close the buffer.
        self._replaced = stream
        self._mode = IN_TERMINAL if stream.isatty() else IN_FILE
        self._farewell: str | None = None

    def outlive_reader(self, farewell: str) -> None:
        """Continue when the reader closes the pipe: what is written then is lost.

        Args:
            farewell: is printed to standard error once, when that happens.
        """
        self._farewell = farewell

    def write(self, text: str) -> int:
        """Write text without what a terminal would obey."""
        try:
            super().write(self._mode.sub(_escape, text))
        except BrokenPipeError as error:
            self._lose_reader(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            super().flush()
        except BrokenPipeError as error:
            self._lose_reader(error)

    def close(self) -> None:
        """Write what is buffered; the buffer itself belongs to the stream that was replaced."""
        if not self.closed:
            self.flush()

    def _lose_reader(self, error: BrokenPipeError) -> None:
        """Let the rest go nowhere, and say so; unless the command ends with its reader, as most do."""
        if self._farewell is None:
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        super().flush()
        if self is not sys.stderr:
            print(self._farewell, file=sys.stderr, flush=True)


def outlive_readers(farewell: str) -> None:
    """Let this command continue when the reader of its output ends, such as a pager or `head`.

    Args:
        farewell: is printed to standard error then.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Output):
            stream.outlive_reader(farewell)


def replace_streams() -> None:
    """Replace standard output and standard error by an `Output`, where they are streams of bytes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, Output):
            # In UTF-8 only names of files that are not valid UTF-8 can't be printed; their bytes are.
            errors = "backslashreplace" if stream.encoding.lower() == "utf-8" else "replace"
            setattr(sys, name, Output(stream, errors))

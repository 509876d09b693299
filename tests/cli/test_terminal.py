"""What names may not do to a terminal, and what happens to a command whose reader ends."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from orchestrator.search_space.reader import read_search_space
from orchestrator.terminal import Output, escape_controls
from tests.support.spaces import write_space

HOSTILE = "dog\x1b[2J\x07\x9b1A\u202egod\rok"
SHOWN = "dog\\x1b[2J\\x07\\x9b1A\\u202egod\\rok"
PRINTING = """
import sys
from orchestrator.cli import _outlive_readers
from orchestrator.command_line import use_utf8
from pathlib import Path
use_utf8()
if "sweep" in sys.argv:
    _outlive_readers(Path("runs").resolve())
print("first", flush=True)
sys.stdin.readline()
for line in range(3):
    print("more", flush=True)
Path("done").touch()
"""


def file_of(shown: io.BytesIO) -> Output:
    return Output(io.TextIOWrapper(shown, "utf-8"), "strict")


def test_names_are_shown_and_not_obeyed() -> None:
    shown = io.BytesIO()
    with file_of(shown) as output:
        print(HOSTILE, "\tdone", file=output)
        Console(file=output, highlight=False).print(Text(HOSTILE), soft_wrap=True)
    # `rich` itself leaves out some control characters.
    first, second = shown.getvalue().decode().splitlines()
    assert first == f"{SHOWN} \tdone"
    assert "\x1b" not in second and "\\x1b[2J" in second


@pytest.mark.parametrize("is_unbuffered", [False, True])
def test_what_is_printed_arrives_as_soon_as_before(is_unbuffered: bool) -> None:
    shown = io.BytesIO()
    output = Output(io.TextIOWrapper(shown, "utf-8", write_through=is_unbuffered), "strict")
    output.write("part")
    assert shown.getvalue() == (b"part" if is_unbuffered else b"")


def test_colors_are_kept_in_a_file() -> None:
    shown = io.BytesIO()
    with file_of(shown) as output:
        Console(file=output, force_terminal=True, color_system="standard").print(Text("red", "red"))
    assert shown.getvalue() == b"\x1b[31mred\x1b[0m\n"


def draw(stream: io.TextIOWrapper) -> None:
    console = Console(file=stream, width=60, color_system="standard", force_terminal=True)
    with Progress(console=console, auto_refresh=False) as bars:
        task = bars.add_task("reading", total=2)
        bars.update(task, advance=1, refresh=True)
        console.print(Text("a link", "link https://example.org"))
    stream.flush()


def through_terminal(wrap: Callable[[io.TextIOWrapper], io.TextIOWrapper]) -> bytes:
    """Return what a terminal gets of a drawing."""
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        draw(wrap(stream))
    drawn = b""
    # Behind the last byte of a terminal that is closed there is an error.
    with os.fdopen(leader, "rb", buffering=0) as screen, contextlib.suppress(OSError):
        while part := screen.read(1000):
            drawn += part
    # A link has a random number.
    return re.sub(rb"id=\d+", b"", drawn)


def test_what_is_drawn_in_a_terminal_arrives_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(time, "monotonic", lambda: 5.0)
    plain = through_terminal(lambda stream: stream)
    assert b"\x1b[?25l" in plain and b"\x1b]8;" in plain
    assert through_terminal(lambda stream: Output(stream, "strict")) == plain


@pytest.mark.parametrize("command", ["sweep", "status"])
def test_a_sweep_outlives_its_reader_and_says_so_and_others_end(command: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTING, command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "first\n"
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    said = process.stderr.read()
    process.stderr.close()
    goes_on = command == "sweep"
    assert (process.wait(60) == 0) == goes_on == (tmp_path / "done").exists()
    if goes_on:
        assert said == "The reader of this output has ended; the sweep continues: orchestrate status\n"


def test_an_arm_has_a_name_without_control_characters(tmp_path: Path) -> None:
    space = write_space(tmp_path / "tiny.yaml", compare={"arm": ["a", "b\nc\x1b[2J"]})
    assert [arm.name for arm in read_search_space(space).arms] == ["arm=a", "arm=b\\nc\\x1b[2J"]
    assert escape_controls("plain – ü") == "plain – ü"

"""A live display whose window changes its width."""

from __future__ import annotations

import pytest
from rich.console import Console, Group
from rich.table import Table

from orchestrator.overview.steady import SteadyLive
from tests.support.window import Window


def make_frame(count: int) -> Group:
    table = Table(box=None)
    for heading in ("an arm with a long name", "running", "value"):
        table.add_column(heading)
    for row in range(3):
        table.add_row(f"arm {row} " + "x" * 30, "1", f"{count}")
    return Group(table, f"frame {count}: " + "y" * 50)


@pytest.mark.parametrize("width", [40, 70, 120])
def test_no_row_of_an_old_frame_stays_behind(width: int) -> None:
    window, count = Window(100), [1]
    console = Console(file=window, force_terminal=True, width=100, height=40, legacy_windows=False)
    console.print("a message before")
    with SteadyLive(console, lambda: make_frame(count[-1]), refresh_hz=0) as live:
        live.refresh()
        window.resize(width)
        console.width = width
        for number in (2, 3):
            count.append(number)
            live.refresh()
        console.print("a message above")
    alone = Window(width)
    console = Console(file=alone, force_terminal=True, width=width, height=40, legacy_windows=False)
    console.print("a message before", "a message above", sep="\n")
    console.print(make_frame(3))
    assert [row.rstrip() for row in window.rows if row.strip()] == [row.rstrip() for row in alone.rows if row.strip()]

"""The window of `orchestrate top`, driven by its keys."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from orchestrator.errors import UserError
from orchestrator.overview.snapshot import read_snapshot
from orchestrator.state.requests import Controls, taken, write_controls
from orchestrator.steering import top
from orchestrator.steering.top import Top, show_top
from orchestrator.steering.top_rows import describe_sweep
from tests.support.sweep_folder import SweepFolder

Act = Callable[[Pilot[None], Top], Awaitable[None]]


@pytest.fixture
def folder(sweep: SweepFolder) -> SweepFolder:
    sweep.start(arms={"loss=l1": {"trials": 4, "epochs": 3}, "loss=vae": {"trials": 4, "epochs": 3}})
    sweep.whole_trial(1, "l1", epochs=3)
    sweep.ask(2, "vae")
    sweep.report(2, 1)
    sweep.end(2, "failed", cause="error", reason="ValueError: no", epochs=1)
    for number, loss in ((3, "l1"), (4, "vae")):
        sweep.ask(number, loss)
        sweep.report(number, 1)
    (sweep.trial(4) / "log.txt").write_text("0 %\r50 %\r100 %\nlast words\n")
    return sweep


def look(folder: SweepFolder, act: Act, *, size: tuple[int, int] = (160, 45)) -> Top:
    """Open the window, wait for its first drawing, and act."""
    app = Top(folder.home, read_snapshot(folder.home, folder.name))

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await until(lambda: app.query_one("#trials", DataTable).row_count > 0, pilot)
            await act(pilot, app)

    with folder.driven():
        asyncio.run(run())
    return app


async def until(is_so: Callable[[], bool], pilot: Pilot[None]) -> None:
    # Under load the sweep is read less often.
    for _ in range(1200):
        if is_so():
            return
        await pilot.pause(0.05)
    raise AssertionError("it did not come about")


def text_of(app: Top, widget: str) -> str:
    return str(app.query_one(widget, Static).render())


def cells_of(table: DataTable[object], column: int) -> list[str]:
    return [str(table.get_row_at(index)[column]) for index in range(table.row_count)]


def test_trials_that_run_come_first_and_the_best_of_each_arm_is_marked(folder: SweepFolder) -> None:
    async def act(pilot: Pilot[None], app: Top) -> None:
        trials, arms = app.query_one("#trials", DataTable), app.query_one("#arms", DataTable)
        assert cells_of(trials, 0) == ["3", "4 ★", "2", "1 ★"]
        assert cells_of(trials, 2) == ["running", "running", "failed", "completed"]
        assert cells_of(trials, 3) == ["1/3", "1/3", "1/3", "3/3"]
        assert cells_of(arms, 1) == ["1 of 4", "1 of 4"]
        assert "running" in text_of(app, "#sweep") and "by judge probability" in text_of(app, "#sweep")
        assert "CPU" in text_of(app, "#machine")

    look(folder, act)


def test_the_chosen_trials_parameters_and_log_are_shown(folder: SweepFolder) -> None:
    async def act(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("down")
        await until(lambda: "trial 4" in text_of(app, "#trial"), pilot)
        assert "lr  0.0003" in text_of(app, "#trial") and "val/fvu" in text_of(app, "#trial")
        assert app._log_lines == ["100 %", "last words", ""], "a progress bar is its last state"
        # The logs of the next two are empty.
        await pilot.press("down", "down")
        await until(lambda: "trial 1" in text_of(app, "#trial"), pilot)
        assert app.query_one("#log").border_title == "log of trial 1"

    look(folder, act)


def test_each_key_does_what_its_command_does(folder: SweepFolder) -> None:
    async def act(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("minus", "p", "s", "b", "down", "down", "r")
        write_controls(folder.path, Controls(paused=True, at_once=1))
        await pilot.press("p", "plus")

    look(folder, act)
    with taken(folder.path) as requests:
        assert [(request.action, request.trial, request.at_once) for request in requests] == [
            ("limit", None, 1),
            ("pause", None, None),
            ("stop", 3, None),
            ("boost", 3, None),
            ("retry", 2, None),
            ("continue", None, None),
            ("limit", None, 2),
        ]


def test_what_a_key_can_not_do_is_said_and_asks_for_nothing(folder: SweepFolder) -> None:
    async def act(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("c", "r")
        messages = [notification.message for notification in app._notifications]
        assert any("only a stopped trial can be continued" in message for message in messages)
        assert any("only a failed or diverged trial can be retried" in message for message in messages)

    look(folder, act)
    with taken(folder.path) as requests:
        assert not requests


def test_what_was_set_and_what_is_on_the_way_is_said(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "EVERY_S", 0.1)

    async def act(pilot: Pilot[None], app: Top) -> None:
        write_controls(folder.path, Controls(at_once=1))
        await pilot.press("b")
        await until(lambda: "at most 1 trial at once · 1 request on the way" in text_of(app, "#sweep"), pilot)

    look(folder, act)


def test_a_paused_sweep_is_said_to_be_paused_by_hand(folder: SweepFolder) -> None:
    reason = "It was paused by hand; continue it with orchestrate continue vae"
    snapshot = replace(read_snapshot(folder.home, "vae"), driver={"host": "here", "pid": 1, "paused": reason})
    text = describe_sweep(snapshot, Controls(paused=True), 0).plain
    assert text.startswith("vae  paused on here, process 1") and reason in text and "left" not in text


def test_the_cursor_stays_on_its_trial_while_others_end(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "EVERY_S", 0.1)

    async def act(pilot: Pilot[None], app: Top) -> None:
        table = app.query_one("#trials", DataTable)
        await pilot.press("down")
        await until(lambda: "trial 4" in text_of(app, "#trial"), pilot)
        folder.end(3, epochs=1)
        await until(lambda: cells_of(table, 0)[:1] == ["4 ★"] and table.cursor_row == 0, pilot)
        assert "trial 4" in text_of(app, "#trial")

    look(folder, act)


def test_one_press_of_x_stops_nothing(folder: SweepFolder) -> None:
    async def act(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("x")
        assert ["again to stop vae" in notification.message for notification in app._notifications] == [True]

    look(folder, act)


@pytest.mark.parametrize(("size", "is_wide"), [((80, 24), False), ((160, 45), True)])
def test_the_log_stands_where_there_is_room(folder: SweepFolder, size: tuple[int, int], is_wide: bool) -> None:
    async def act(pilot: Pilot[None], app: Top) -> None:
        trials, details = app.query_one("#trials").region, app.query_one("#details").region
        assert (details.x > trials.x) is is_wide and (details.y > trials.y) is not is_wide
        assert trials.height >= 5 and app.query_one("#log").region.height >= 3
        for table in ("#arms", "#trials"):
            # Every column can be seen.
            assert app.query_one(table, DataTable).virtual_size.width <= app.query_one(table).region.width

    look(folder, act, size=size)


def test_a_folder_that_vanishes_closes_the_window_with_a_message(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top, "EVERY_S", 0.1)

    async def act(pilot: Pilot[None], app: Top) -> None:
        shutil.rmtree(folder.path)
        await until(lambda: bool(app.problem), pilot)

    assert "no sweep" in look(folder, act).problem


def test_without_a_terminal_the_command_that_needs_none_is_named(folder: SweepFolder) -> None:
    with pytest.raises(UserError, match="orchestrate status"):
        show_top(Path(folder.home), None)

"""What a terminal of 80 columns shows of a sweep."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from orchestrator.command_line import format_command
from orchestrator.overview.board import Board
from orchestrator.overview.screen import Screen
from orchestrator.overview.summary import summarize
from orchestrator.overview.tables import format_parameter
from orchestrator.search_space.reader import Sweep
from orchestrator.state.events.drivers import Closed
from orchestrator.state.ledger import Ledger
from orchestrator.state.requests import Controls, write_controls
from tests.support.driving import drive
from tests.support.spaces import noop_sweep
from tests.support.window import Window


def test_a_step_is_shown_without_a_terminal_once_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.overview.screen.SLOW_S", 0.2)
    output = io.StringIO()
    screen = Screen(Console(file=output, width=80))
    with screen.show_step("a quick step"):
        pass
    with screen.show_step("a slow step [1]"):
        deadline = time.monotonic() + 20
        while not output.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert output.getvalue() == "a slow step [1] …\n"


def test_the_last_table_fits_80_columns_with_every_number(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path)
    ledger = drive(sweep, tmp_path / "home" / "tiny")
    output = io.StringIO()
    Screen(Console(file=output, width=80)).print_results(sweep, ledger)
    lines = output.getvalue().splitlines()
    # Only a command is longer, since it has to stay on one line.
    assert max(len(line) for line in lines if "orchestrate" not in line) <= 80
    for arm in sweep.arms:
        trials = ledger.of_arm(arm.name, "search")
        best = max(trials, key=lambda trial: max(row["metrics"]["val/score"] for row in ledger.read_rows(trial)))
        score = max(row["metrics"]["val/score"] for row in ledger.read_rows(best))
        spent = sum(trial.epochs for trial in trials)
        saved = sum(4 - trial.epochs for trial in trials if trial.outcome == "pruned")
        (line,) = (line for line in lines if line.split()[:1] == [arm.name])
        assert line.split() == [arm.name, f"{best.number}", f"{score:.3f}", f"{spent}", f"{saved}"]
    assert lines[-1].startswith("Compare them:  orchestrate ui tiny --home")


def test_the_live_display_says_what_runs_and_what_is_best(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path)
    ledger = drive(sweep, tmp_path / "home" / "tiny", steps=9)
    output = io.StringIO()
    console = Console(file=output, width=80, force_terminal=True, color_system=None)
    with Screen(console).show_live(sweep, ledger, 2, tmp_path / "home" / "tiny"):
        pass
    shown = output.getvalue()
    ended = sum(trial.outcome is not None for trial in ledger.trials.values())
    assert f"tiny: {ended} of 12 trials ended · 1 running" in shown
    assert "left" in shown and "MLflow" not in shown


def test_a_paused_sweep_says_so_and_has_no_time_left(tmp_path: Path) -> None:
    sweep, folder = noop_sweep(tmp_path), tmp_path / "home" / "tiny"
    board = Board(sweep, drive(sweep, folder, steps=9), 2, folder)
    assert "left" in board.format_progress()
    write_controls(folder, Controls(paused=True))
    assert "1 running · 0 pruned · paused by hand · best" in board.format_progress()
    output = io.StringIO()
    Console(file=output, width=80).print(board.render(80, 24))
    assert "paused by hand" in output.getvalue() and "left" not in output.getvalue()


def test_a_search_that_has_ended_says_how_its_best_are_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, folder = noop_sweep(tmp_path), tmp_path / "home" / "tiny"
    ledger = drive(sweep, folder)

    def say(sweep: Sweep) -> str:
        output = io.StringIO()
        Screen(Console(file=output, width=80)).print_results(sweep, ledger)
        return output.getvalue()

    said = "orchestrate resume tiny --set 'confirm={top: 3, seeds: 1}' --home"
    monkeypatch.setattr(sweep.declaration, "can_evaluate", lambda: True)
    assert said not in say(sweep), "it has not ended"
    ledger.write(Closed(outcome="finished", reason=""))
    assert said in say(sweep)
    assert said not in say(noop_sweep(tmp_path, confirm={"top": 1, "seeds": 3}))
    monkeypatch.setattr(sweep.declaration, "can_evaluate", lambda: False)
    assert said not in say(sweep), "nothing can be tested"


def test_trials_that_wait_for_their_evaluation_are_counted_and_nobody_guesses_how_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, folder = noop_sweep(tmp_path), tmp_path / "home" / "tiny"
    ledger = drive(sweep, folder, steps=9)
    monkeypatch.setattr(sweep.declaration, "can_evaluate", lambda: True)
    board = Board(sweep, ledger, 2, folder)
    waiting = len(ledger.unevaluated)
    assert waiting and f"1 running · 0 pruned · {waiting} to evaluate · about " in board.format_progress()
    for number in list(ledger.unfinished):
        ledger.end(ledger.trials[number], "completed")
    assert f"0 running · 0 pruned · {waiting + 1} to evaluate · best" in board.format_progress()


def draw(ledger: Ledger, sweep: Sweep, width: int, **environment: str) -> str:
    output = io.StringIO()
    console = Console(
        file=output, width=width, height=40, force_terminal=True, _environ={"TERM": "xterm", **environment}
    )
    with Screen(console).show_live(sweep, ledger, 2, ledger.folder):
        pass
    return output.getvalue()


def test_a_wide_window_shows_what_runs_the_best_parameters_the_rungs_and_the_machine(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path)
    ledger = drive(sweep, tmp_path / "tiny", steps=11)
    (number,) = ledger.unfinished
    best = max((arm.best for arm in summarize(sweep, ledger) if arm.best), key=lambda trial: trial.best_value or 0)
    wide = Text.from_ansi(draw(ledger, sweep, 160)).plain
    assert f"best so far: trial {best.number}, epoch {best.epochs}" in wide
    assert re.search(rf"\bx +{format_parameter(best.searched['x'])}", wide)
    reached = sum(trial.epochs >= 2 for trial in ledger.trials.values())
    assert re.search(rf"epoch 2 +[━─]+ {reached}\b", wide) and re.search(
        r"memory +[━─]+ +\d+ % [\d.]+ of [\d.]+ GiB", wide
    )
    trial = ledger.trials[number]
    assert re.search(rf"\b{number}  {trial.arm} +{trial.epochs} of 4 +[\d.]+ +[▁▂▃▄▅▆▇█]{{{trial.epochs}}}", wide)
    assert max(len(line) for line in wide.splitlines()) <= 160
    narrow = Text.from_ansi(draw(ledger, sweep, 80)).plain
    assert "best so far" not in narrow and "this machine" not in narrow


def test_the_display_has_no_colour_of_its_own(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path)
    ledger = drive(sweep, tmp_path / "tiny", steps=11)
    for environment in ({}, {"NO_COLOR": "1"}):
        codes = set(re.findall(r"\x1b\[([\d;]*)m", draw(ledger, sweep, 160, **environment)))
        assert codes <= {"0", "1", "2", "1;2"}, "bold and dim only"


def test_the_last_table_stays_where_a_sweep_was_stopped_and_makes_way_for_the_results(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path)
    for steps, stays in ((9, True), (10**6, False)):
        ledger = drive(sweep, tmp_path / f"tiny_{steps}", steps=steps)
        window = Window(80)
        with Screen(Console(file=window, width=80, height=40)).show_live(sweep, ledger, 2, ledger.folder):
            pass
        assert any("of 12 trials ended" in row for row in window.rows) == stays


def test_nothing_is_best_before_the_first_of_the_seeds_has_ended(tmp_path: Path) -> None:
    changes = {"budget": {"seeds": 2, "max_epochs": 4}, "params": {"x": 0.4}, "pruning": None}
    sweep = noop_sweep(tmp_path, **changes)
    ledger = drive(sweep, tmp_path / "tiny", steps=2)
    output = io.StringIO()
    console = Console(file=output, width=80, force_terminal=True, color_system=None)
    with Screen(console).show_live(sweep, ledger, 2, tmp_path / "tiny"):
        pass
    assert "tiny: 0 of 4 trials ended · 1 running" in output.getvalue()


@pytest.mark.parametrize(("num_judged", "spread"), [(0, 0.01), (2, 0.01), (2, 0.0)])
def test_a_mean_over_seeds_has_an_interval_only_where_the_report_gives_one(
    tmp_path: Path, num_judged: int, spread: float
) -> None:
    changes = {"budget": {"seeds": 3, "max_epochs": 4}, "params": {"x": 0.4}, "pruning": None, "compare": None}
    sweep = noop_sweep(tmp_path, **changes)
    ledger = drive(sweep, tmp_path / "home" / "tiny", lambda trial, epoch: epoch / 10 + trial.number * spread)
    for number in range(1, num_judged + 1):
        ledger.evaluate(ledger.trials[number], {"test/score": 0.5})
    output = io.StringIO()
    Screen(Console(file=output, width=80)).print_results(sweep, ledger)
    (line,) = (line for line in output.getvalue().splitlines() if line.split()[:1] == ["all"])
    assert f"{0.4 + 2 * spread:.3f}" in line
    assert ("±" in line) == ("95 % confidence interval" in output.getvalue()) == bool(num_judged * spread)


def test_commands_are_said_as_they_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / ".venv" / "bin" / "orchestrate"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(program), "sweep"])
    monkeypatch.setenv("PATH", "/usr/bin")
    assert format_command("ui", "my sweep") == ".venv/bin/orchestrate ui 'my sweep'"
    # A path that climbs would be hard to read.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert format_command("ui") == f"{program} ui"
    monkeypatch.setenv("PATH", str(program.parent))
    assert format_command("ui") == "orchestrate ui"

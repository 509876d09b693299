"""`warm_start`: studies begin with trials of other sweeps, and what does not fit is refused or left out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.planning.plan import make_plan
from orchestrator.driver.provenance import make_record
from orchestrator.errors import SearchSpaceError, UserError
from orchestrator.plugins.loader import Prepared
from orchestrator.policy.forecast import forecast_points
from orchestrator.policy.warm_start import WarmStart
from orchestrator.search_space.reader import Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.events.drivers import Started
from orchestrator.state.home import keep_search_space
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, told
from tests.support.spaces import noop_sweep


def sweep_of(folder: Path, name: str, **changes: Any) -> Sweep:
    space: dict[str, Any] = {
        "name": name,
        "params": {"x": {"uniform": [0.0, 1.0]}, "epoch_s": {"uniform": [0.0, 1.0]}},
        "budget": {"trials_per_arm": 6, "max_epochs": 4},
    }
    return noop_sweep(folder, **space | changes)


def near_nine(trial: Trial, epoch: int) -> float:
    return epoch / 100 - abs(float(trial.params["x"]) - 0.9)


def start(sweep: Sweep, home: Path, judge: str | None = None) -> None:
    """Write what a driver writes into the log at its first start."""
    (home / sweep.name).mkdir(parents=True, exist_ok=True)
    keep_search_space(home / sweep.name, sweep)
    ledger = ledger_of(sweep, home / sweep.name)
    warm_start = WarmStart(sweep, home, ledger, "code")
    warm_start.check_comparable(sweep, judge, None)
    record = make_record(sweep, Budget(sweep, ledger), Prepared([], judge), None, sweep.path, [])
    ledger.write(Started(record=record))
    warm_start.write(ledger, lambda line: None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the sweep `first`, whose trials are best near x = 0.9; some are pruned."""
    home = tmp_path / "runs"
    first = sweep_of(tmp_path, "first")
    start(first, home)
    drive(first, home / "first", near_nine)
    return home


def refusal(home: Path, folder: Path, **changes: Any) -> str:
    sweep = sweep_of(folder, "second", warm_start=["first"], **changes)
    with pytest.raises(UserError) as caught:
        WarmStart(sweep, home, Ledger(home / "second", read_only=True), "code")
    return str(caught.value)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_the_sampler_begins_with_what_the_other_sweep_has_learned(home: Path, tmp_path: Path, sampler: str) -> None:
    second = sweep_of(tmp_path, "second", warm_start=["first"], search={"startup_trials": 3, "sampler": sampler})
    start(second, home)
    ledger = drive(second, home / "second", near_nine, steps=6)
    assert {len(trials) for trials in ledger.warm_trials.values()} == {6}
    # Six trials of the other sweep are more than three startup trials.
    assert {trial.source for trial in ledger.trials.values()} == {sampler}
    assert all(trial.number > 0 for trial in ledger.trials.values())
    assert ledger.tally("arm=a").best in ledger.trials.values()


def test_startup_trials_that_are_left_are_not_those_of_the_other_sweep(home: Path, tmp_path: Path) -> None:
    second = sweep_of(tmp_path, "second", warm_start=["first"], search={"startup_trials": 8})
    start(second, home)
    ledger = drive(second, home / "second", near_nine)
    points = {trial.params["x"] for trial in ledger.trials.values() if trial.source == "startup"}
    assert len(points) == 2
    assert points.isdisjoint(trial.searched["x"] for trials in ledger.warm_trials.values() for trial in trials)


def test_a_kill_and_the_end_of_the_other_sweep_change_no_suggestion(home: Path, tmp_path: Path) -> None:
    second = sweep_of(tmp_path, "second", warm_start=["first"])
    start(second, home)
    shutil.copytree(home / "second", home / "whole")
    whole = drive(second, home / "whole", near_nine)
    shutil.rmtree(home / "first")
    for steps in (1, 4, 2):
        drive(second, home / "second", near_nine, steps=steps)
    assert told(drive(second, home / "second", near_nine)) == told(whole)
    # A sweep that has trials does not look for the other one.
    assert WarmStart(second, home, ledger_of(second, home / "second"), "code").lines == []


def test_what_does_not_fit_is_left_out_and_counted(home: Path, tmp_path: Path) -> None:
    second = sweep_of(
        tmp_path,
        "second",
        warm_start=["first"],
        compare={"arm": ["a", "c"]},
        params={"x": {"uniform": [0.4, 1.0]}, "epoch_s": {"uniform": [0.0, 1.0]}},
    )
    first = Ledger(home / "first", read_only=True)
    trials = [trial for trial in first.of_arm("arm=a", "search") if float(trial.params["x"]) >= 0.4]
    (line,) = WarmStart(second, home, ledger_of(second, home / "second"), "code").lines
    count = len(trials)
    assert 0 < count < 6
    assert line == (
        f"warm_start: {count} of 12 trials of first fit (arm=a {count}; arm=c 0); "
        f"left out: {12 - count} of other settings or ranges"
    )
    assert f"note: {line}" in str(make_plan(second, home))


def test_a_setting_that_a_file_does_not_name_counts(home: Path, tmp_path: Path) -> None:
    # `arm` is `a` by default, so that the trials of arm=a fit a sweep that does not compare it.
    second = sweep_of(tmp_path, "second", warm_start=["first"], compare=None)
    (line,) = WarmStart(second, home, ledger_of(second, home / "second"), "code").lines
    assert "6 of 12 trials of first fit (all 6)" in line


def test_a_sweep_that_can_not_be_compared_is_refused(home: Path, tmp_path: Path) -> None:
    assert refusal(home, tmp_path, objective={"metric": "val/error", "mode": "min"}).endswith(
        "warm_start: first has another objective (max val/score and not min val/error); leave it out"
    )
    assert "none of its 12 trials fits (12 of another max_epochs); leave it out" in refusal(
        home, tmp_path, budget={"trials_per_arm": 6, "max_epochs": 8}
    )
    assert "none of its 12 trials fits (12 of other settings or ranges)" in refusal(
        home, tmp_path, params={"x": 0.5, "epoch_s": {"uniform": [0.0, 1.0]}}
    )
    command = {"trainable": {"command": "true {x} {epoch_s} {arm}"}, "params": {"x": 1, "epoch_s": {"int": [1, 2]}}}
    assert "and not" in refusal(home, tmp_path, **command)
    second = sweep_of(tmp_path, "second", warm_start=["first"])
    with pytest.raises(UserError, match=r"first had another judge \(no judge, here it is ear\)"):
        WarmStart(second, home, ledger_of(second, home / "second"), "code").check_comparable(second, "ear", None)
    with pytest.raises(UserError, match=r"first had another corpus \(no corpus, here it is ab12\)"):
        WarmStart(second, home, ledger_of(second, home / "second"), "code").check_comparable(second, None, "ab12")
    with pytest.raises(UserError, match=r"12 of other code"):
        WarmStart(second, home, ledger_of(second, home / "second"), "newer")
    with pytest.raises(UserError, match=r"warm_start: .*no sweep 'frist'. Did you mean 'first'"):
        start(sweep_of(tmp_path, "second", warm_start=["frist"]), home)
    with pytest.raises(UserError, match="is this sweep itself"):
        start(sweep_of(tmp_path, "second", warm_start=["second"]), home)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": {"sampler": "sobol"}}, "teaches a sampler, and sobol learns from no trial; use tpe or gp"),
        ({"warm_start": ["first", "first"]}, "warm_start"),
        ({"warm_start": "first"}, "warm_start"),
    ],
)
def test_a_warm_start_that_teaches_nobody_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SearchSpaceError, match=message):
        sweep_of(tmp_path, "second", **{"warm_start": ["first"]} | changes)


def test_the_values_of_further_objectives_come_with_the_trials(tmp_path: Path) -> None:
    def score(trial: Trial, epoch: int) -> tuple[float, float]:
        return near_nine(trial, epoch), float(trial.params["x"]) ** 2

    home = tmp_path / "runs"
    objective = {"metric": "val/score", "mode": "max", "beside": {"val/error": "min"}}
    first = sweep_of(tmp_path, "first", objective=objective)
    start(first, home)
    drive(first, home / "first", score)
    assert "another objective (other constraints, renderings or further objectives)" in refusal(home, tmp_path)
    second = sweep_of(tmp_path, "second", objective=objective, warm_start=["first"])
    start(second, home)
    ledger = drive(second, home / "second", score, steps=1)
    for trials in ledger.warm_trials.values():
        points = forecast_points(trials, ledger.objective)
        assert {number: point[1] for number, point in points.items()} == {
            trial.number: pytest.approx(float(trial.searched["x"]) ** 2) for trial in trials
        }
    assert not ledger.front_places()

"""Configurations of one's own: `trials:`, `orchestrate try-next`, and the early end of a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.commands.planning.plan import make_plan
from orchestrator.commands.resume import ResumeOptions, grant
from orchestrator.errors import SearchSpaceError, UserError
from orchestrator.overview.screen import Screen
from orchestrator.policy.user_trials import WantedTrials, try_next
from orchestrator.search_space.reader import Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.events.drivers import Started
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, told
from tests.support.spaces import noop_sweep

NUMBERS = {"x": {"uniform": [0.0, 1.0]}, "epoch_s": {"loguniform": [1e-6, 1e-4]}}
ONE_EPOCH = {"budget": {"trials_per_arm": 6, "max_epochs": 1}, "pruning": "none", "params": NUMBERS}


def wanted_sweep(folder: Path, **changes: Any) -> Sweep:
    return noop_sweep(folder, **ONE_EPOCH | changes)


def sources(ledger: Ledger, arm: str) -> list[str]:
    return [trial.source for trial in ledger.of_arm(arm, "search")]


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Sweep, Path]:
    """A sweep that was killed in its fourth trial, with its search space in its folder, and the home."""
    sweep, folder = wanted_sweep(tmp_path), tmp_path / "tiny"
    ledger = drive(sweep, folder, steps=0)
    ledger.write(Started(record={"arms": {}}))
    (folder / "search_space.yaml").write_text(sweep.text)
    drive(sweep, folder, steps=3)
    return sweep, tmp_path


def test_trials_of_the_search_space_come_first_in_the_arms_that_can_have_them(tmp_path: Path) -> None:
    trials = [{"x": 0.25, "epoch_s": 1e-5}, {"arm": "b", "x": 1}]
    ledger = drive(wanted_sweep(tmp_path, trials=trials), tmp_path / "sweep")
    first, second = ledger.of_arm("arm=a", "search"), ledger.of_arm("arm=b", "search")
    assert first[0].searched == second[0].searched == {"x": 0.25, "epoch_s": 1e-5}
    assert second[1].searched["x"] == 1.0 and isinstance(second[1].searched["x"], float)
    assert sources(ledger, "arm=a") == ["own", "startup", "startup", "tpe", "tpe", "tpe"]
    assert sources(ledger, "arm=b") == ["own", "own", "startup", "tpe", "tpe", "tpe"]
    without = drive(wanted_sweep(tmp_path), tmp_path / "without")
    # What is left out is what would have been proposed, and the startup trials are those of before.
    assert second[1].searched["epoch_s"] == without.of_arm("arm=b", "search")[1].searched["epoch_s"]
    assert first[1].searched == without.of_arm("arm=a", "search")[1].searched


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_kill_changes_nothing_where_trials_were_wanted(tmp_path: Path, sampler: str) -> None:
    search = {"sampler": sampler, "startup_trials": 2}
    sweep = wanted_sweep(tmp_path, trials=[{"x": 0.25}], search=search)
    whole = told(drive(sweep, tmp_path / "whole"))
    drive(sweep, tmp_path / "killed", steps=5)
    assert told(drive(sweep, tmp_path / "killed")) == whole


def test_the_next_trial_is_the_one_that_was_asked_for(
    stopped: tuple[Sweep, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, home = stopped
    for setting in ("x=0.125", "x=0.5"):
        monkeypatch.setattr("sys.argv", ["orchestrate", "try-next", "tiny", setting, "arm=a", "--home", str(home)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
    assert "arm=a: its next trial has x=0.125." in capsys.readouterr().out
    ledger = drive(sweep, home / "tiny", steps=4)
    ledger = drive(sweep, home / "tiny")
    assert [trial.searched["x"] for trial in ledger.trials.values() if trial.source == "requested"] == [0.125, 0.5]
    assert sources(ledger, "arm=a").count("requested") == 2 and "requested" not in sources(ledger, "arm=b")
    assert len(ledger.trials) == 12


def test_a_request_that_was_taken_back_counts_for_nothing(stopped: tuple[Sweep, Path]) -> None:
    sweep, home = stopped
    try_next(home, "tiny", ["x=0.125", "arm=a"], print)
    wanted = WantedTrials(sweep, ledger_of(sweep, home / "tiny"))
    arm = sweep.arms[0]
    assert wanted.next_for(arm, 1)[0]["x"] == 0.125
    # It could not be synced, and the user has asked for something else.
    (home / "tiny" / "try_next.jsonl").unlink()
    try_next(home, "tiny", ["x=0.5", "arm=a"], print)
    assert wanted.next_for(arm, 1)[0]["x"] == 0.5


def test_a_sweep_that_has_all_its_trials_says_how_it_gets_another_one(stopped: tuple[Sweep, Path]) -> None:
    sweep, home = stopped
    drive(sweep, home / "tiny")
    said: list[str] = []
    try_next(home, "tiny", ["x=0.125"], said.append)
    assert "All trials of arm=a; arm=b have been asked for." in said[-1] and "--trials +1" in said[-1]
    ledger = ledger_of(sweep, home / "tiny")
    ledger.grant("arm=a", trials=7)
    assert list(drive(sweep, home / "tiny").trials.values())[-1].searched["x"] == 0.125


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["x"], "x: give the name of a parameter and its value"),
        (["x=2"], "x is searched in uniform [0, 1], got 2"),
        (["y=0.5"], "no parameter 'y'"),
        (["x=0.5", "arm=c"], "arm is 'a' in arm arm=a, got 'c'"),
        (["arm=a"], "names no searched parameter of arm arm=a: epoch_s, x"),
        (["x=[1, 2]"], "needs text, a number, true or false"),
    ],
)
def test_a_request_that_no_arm_can_have_is_one_message(
    stopped: tuple[Sweep, Path], settings: list[str], message: str
) -> None:
    with pytest.raises(UserError) as raised:
        try_next(stopped[1], "tiny", settings, print)
    assert message in str(raised.value)
    assert not (stopped[1] / "tiny" / "try_next.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": [{"x": 3.0}]}, "trials.0: x is searched in uniform [0, 1], got 3.0"),
        ({"trials": [{"x": 0.5}] * 7}, "has 7 for arm arm=a, more than budget.trials_per_arm (6)"),
        (
            {"trials": [{"x": 0.5}], "budget": {"seeds": 2, "max_epochs": 1}, "params": {"x": 0.1}},
            "trials: is for a search, and budget.seeds searches nothing",
        ),
        (
            {"budget": {"seeds": 2, "max_epochs": 1, "stop_when": {"no_better_for": 2}}, "params": {"x": 0.1}},
            "budget.stop_when: is for a search",
        ),
        (
            {
                "budget": {"trials_per_arm": 6, "max_epochs": 4, "stop_when": {"no_better_for": 2}},
                "pruning": {"promote": True},
            },
            "budget.stop_when: ends an arm by its best trial, which pruning.promote may still change; set "
            "pruning.promote: false or budget.stop_when: none",
        ),
    ],
)
def test_wrong_trials_of_a_search_space_are_one_message(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        wanted_sweep(tmp_path, **changes)
    assert [message in line for line in raised.value.lines] == [True]


def best_second(trial: Trial, epoch: int) -> float:
    return 1.0 if trial.index == 1 else 0.5 + trial.index / 100


def test_an_arm_ends_when_its_last_trials_were_no_better(tmp_path: Path) -> None:
    budget = {"trials_per_arm": 9, "max_epochs": 1, "stop_when": {"no_better_for": 3}}
    sweep = wanted_sweep(tmp_path, budget=budget, confirm={"top": 1, "seeds": 1})
    ledger = drive(sweep, tmp_path / "whole", best_second)
    assert [len(ledger.of_arm(arm.name, "search")) for arm in sweep.arms] == [5, 5]
    assert [len(ledger.of_arm(arm.name, "confirm")) for arm in sweep.arms] == [1, 1]
    limit = Budget(sweep, ledger)
    assert limit.has_ended_early("arm=a") and limit.trials("arm=a") == 5 and limit.most_trials("arm=a") == 9
    drive(sweep, tmp_path / "killed", best_second, steps=7)
    assert told(drive(sweep, tmp_path / "killed", best_second)) == told(ledger)
    assert "an arm gets no more trials after 3 trials in a row without a better one (budget.stop_when)" in (
        make_plan(sweep).notes
    )


def test_an_arm_that_ended_early_has_the_trials_that_it_is_granted(tmp_path: Path) -> None:
    budget = {"trials_per_arm": 9, "max_epochs": 1, "stop_when": {"no_better_for": 3}}
    sweep = wanted_sweep(tmp_path, budget=budget)
    ledger = drive(sweep, tmp_path / "sweep", best_second)
    grant(sweep, ledger, Screen(), ResumeOptions(trials=2), ["arm=a"])
    ledger = drive(sweep, tmp_path / "sweep", best_second)
    assert [len(ledger.of_arm(arm.name, "search")) for arm in sweep.arms] == [7, 5]
    assert Budget(sweep, ledger).has_ended_early("arm=a"), "two more were no better either"


def test_an_arm_that_gets_better_has_all_of_its_trials(tmp_path: Path) -> None:
    budget = {"trials_per_arm": 9, "max_epochs": 1, "stop_when": {"no_better_for": 3}}
    sweep = wanted_sweep(tmp_path, budget=budget, compare=None)
    ledger = drive(sweep, tmp_path / "sweep", lambda trial, epoch: trial.index / 10)
    assert len(ledger.trials) == 9 and not Budget(sweep, ledger).has_ended_early("all")

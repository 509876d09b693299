"""The simulation that `plan` expects epochs with decides as the real agenda with the real rungs."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.planning.expectation import make_load
from orchestrator.commands.planning.load import ArmLoad, Durations, Load
from orchestrator.commands.planning.simulation import simulate
from orchestrator.search_space.objective import Pruning
from orchestrator.state.trial import Trial
from tests.support.driving import drive
from tests.support.spaces import noop_sweep


def quality(arm: str, index: int) -> float:
    return random.Random(f"{arm} {index}").random()


@pytest.mark.parametrize(
    "changes",
    [
        {"pruning": {"grace_epochs": 1, "reduction_factor": 2}},
        {"pruning": {"grace_epochs": 2, "reduction_factor": 3, "across_arms": True}},
        {"pruning": {"grace_epochs": 1, "reduction_factor": 3, "promote": True}},
        {"pruning": {"grace_epochs": 1, "reduction_factor": 3, "promote": True, "across_arms": True}},
        {"pruning": {"grace_epochs": 1, "reduction_factor": 20, "promote": True}},
        {"pruning": None},
        {"pruning": {"grace_epochs": 1, "reduction_factor": 3}, "confirm": {"top": 2, "seeds": 2}},
    ],
)
def test_the_epochs_are_those_of_the_real_engine(tmp_path: Path, changes: dict[str, Any]) -> None:
    sweep = noop_sweep(tmp_path, **{"budget": {"trials_per_arm": 14, "max_epochs": 9}, **changes})

    def score(trial: Trial, epoch: int) -> float:
        return quality(trial.arm, trial.index) + epoch

    ledger = drive(sweep, tmp_path / "sweep", score)
    course = simulate(make_load(sweep, slots=1), 0, lambda arm, index, rung: quality(arm, index) + rung)
    assert course.epochs == sum(trial.epochs for trial in ledger.trials.values())
    searched = [trial for trial in ledger.trials.values() if trial.stage == "search"]
    rungs = make_load(sweep, slots=1).rungs
    assert course.reached == Counter({rung: sum(trial.epochs >= rung for trial in searched) for rung in rungs})


def load(slots: int = 4, **changes: Any) -> Load:
    durations = Durations(start=1, epoch=2, rendering=3, pruned=5, completed=7, confirm=11)
    arm = ArmLoad("all", trials=8, confirm=2, share=1 / slots, gpus=0.25, durations=(durations,))
    return Load(**{"arms": (arm,), "rungs": (10,), "pruning": None, "media_epochs": (1, 5, 20)} | changes)


def test_time_is_that_of_the_tasks_one_after_the_other_in_each_slot() -> None:
    course = simulate(load(), 0)
    search_s, confirm_s = 1 + 10 * 2 + 2 * 3, 1 + 10 * 2 + 2 * 3
    # Eight trials and their evaluations in four slots, then two more.
    assert course.seconds == 2 * (search_s + 7) + confirm_s + 11
    assert course.gpu_seconds == 0.25 * (8 * (search_s + 7) + 2 * (confirm_s + 11))
    assert course.epochs == 10 * 10
    assert simulate(load(slots=1), 0).seconds == 8 * (search_s + 7) + 2 * (confirm_s + 11)


def test_trials_that_need_more_of_the_machine_run_in_fewer_slots() -> None:
    arm = ArmLoad("all", trials=6, confirm=0, share=1 / 3)
    assert simulate(load(arms=(arm,)), 0).seconds == 20
    wide = ArmLoad("wide", trials=6, confirm=0, share=1.0)
    assert simulate(load(arms=(arm, wide)), 0).seconds >= 80


def test_what_is_expected_hardly_depends_on_how_far_rungs_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pruning = Pruning(grace_epochs=2, reduction_factor=3)
    arms = tuple(ArmLoad(str(number), trials=6, confirm=0, share=0.5) for number in range(4))
    epochs = []
    for agreement in (0.5, 0.95):
        monkeypatch.setattr("orchestrator.commands.planning.simulation.AGREEMENT", agreement)
        courses = [simulate(load(arms=arms, rungs=(2, 6, 12), pruning=pruning), seed) for seed in range(300)]
        epochs.append(sum(course.epochs for course in courses) / len(courses))
    assert math.isclose(*epochs, rel_tol=0.08)
    # Of 24 trials, 24 reach the first rung in any case, and 8 in the synchronous form of the rule the second one.
    assert 4 * (6 * 2 + 2 * 4 + 1 * 6) < epochs[0] < 24 * 12

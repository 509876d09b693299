"""`pruning.promote`: trials pause at rungs, and go on when they come to be among the best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from orchestrator.driver.sweep import run_sweep
from orchestrator.overview.screen import Screen
from orchestrator.policy.agenda import Agenda
from orchestrator.search_space.reader import Sweep
from orchestrator.state.events.reopenings import Promoted
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, told
from tests.support.spaces import noop_sweep

PROMOTE = {"grace_epochs": 1, "reduction_factor": 3, "promote": True}


def promoting_sweep(folder: Path, **changes: Any) -> Sweep:
    budget = {"trials_per_arm": 9, "max_epochs": 9}
    return noop_sweep(folder, **{"compare": None, "budget": budget, "pruning": PROMOTE} | changes)


def by_index(trial: Trial, epoch: int) -> float:
    """A later trial is better, from its first epoch on."""
    return trial.index + epoch / 100


def worse_with_index(trial: Trial, epoch: int) -> float:
    return -trial.index + epoch / 100


def promoted(ledger: Ledger) -> list[tuple[int, int]]:
    return [(event.trial, event.epochs) for event in ledger.read_events() if isinstance(event, Promoted)]


def test_each_rung_lets_one_in_three_go_on(tmp_path: Path) -> None:
    ledger = drive(promoting_sweep(tmp_path), tmp_path / "sweep", worse_with_index)
    epochs = [trial.epochs for trial in ledger.trials.values()]
    # As in successive halving: nine trials of one epoch, three of three, one of nine.
    assert sorted(epochs, reverse=True) == [9, 3, 3, 1, 1, 1, 1, 1, 1]
    assert ledger.trials[1].outcome == "completed" and ledger.trials[1].epochs == 9
    assert {trial.outcome for trial in list(ledger.trials.values())[1:]} == {"pruned"}
    # The first trial pauses, since nothing is there to compare it with, and is the first one to be promoted.
    assert promoted(ledger)[0] == (1, 1)
    stopping = drive(promoting_sweep(tmp_path, pruning=PROMOTE | {"promote": False}), tmp_path / "stopping", by_index)
    assert sum(trial.epochs for trial in stopping.trials.values()) > sum(epochs)


def test_a_trial_that_is_among_the_best_goes_on_at_once(tmp_path: Path) -> None:
    ledger = drive(promoting_sweep(tmp_path), tmp_path / "sweep", by_index)
    third = ledger.trials[3]
    assert third.attempts == 1 and third.epochs >= 3
    assert promoted(ledger) == []


@pytest.mark.parametrize("score", [by_index, worse_with_index, lambda trial, epoch: trial.index * 0.37 % 1])
@pytest.mark.parametrize("kills", [[3], [1, 1, 1, 1, 1, 1, 1, 1], [5, 4, 6]])
def test_kills_leave_the_rungs_equal(tmp_path: Path, score: Any, kills: list[int]) -> None:
    sweep = promoting_sweep(tmp_path, compare={"arm": ["a", "b"]})
    whole = drive(sweep, tmp_path / "whole", score)
    for steps in kills:
        drive(sweep, tmp_path / "killed", score, steps=steps)
    killed = drive(sweep, tmp_path / "killed", score)
    assert told(killed) == told(whole)
    assert promoted(killed) == promoted(whole)
    assert all(trial.outcome in ("completed", "pruned") for trial in whole.trials.values())


def test_an_arm_of_two_trials_has_one_that_trains_to_the_end(tmp_path: Path) -> None:
    sweep = promoting_sweep(tmp_path, budget={"trials_per_arm": 2, "max_epochs": 9})
    ledger = drive(sweep, tmp_path / "sweep", by_index)
    assert [(trial.outcome, trial.epochs) for trial in ledger.trials.values()] == [("pruned", 1), ("completed", 9)]
    assert Agenda(sweep, ledger_of(sweep, tmp_path / "sweep"), evaluates=False).is_done()


def test_paused_trials_are_evaluated_when_no_promotion_can_come(tmp_path: Path) -> None:
    sweep = promoting_sweep(tmp_path)
    ledger = drive(sweep, tmp_path / "sweep", worse_with_index, steps=4)
    paused = [trial for trial in ledger.trials.values() if trial.outcome == "pruned"]
    task = Agenda(sweep, ledger, evaluates=True).next_task(set())
    assert paused and task is not None and task.kind == "train"
    done = drive(sweep, tmp_path / "sweep", worse_with_index)
    agenda = Agenda(sweep, done, evaluates=True)
    live: set[int] = set()
    while (task := agenda.next_task(live)) is not None:
        assert task.kind == "evaluate"
        live.add(task.trial.number)
    assert live == set(done.trials)


class CountedRungs(dict[tuple[str, int], list[tuple[float, int]]]):
    """Rungs that note which of them are looked into."""

    def __init__(self, rungs: dict[tuple[str, int], list[tuple[float, int]]]) -> None:
        super().__init__(rungs)
        self.looked_into: list[tuple[str, int]] = []

    def __getitem__(self, rung: tuple[str, int]) -> list[tuple[float, int]]:
        self.looked_into.append(rung)
        return super().__getitem__(rung)


@pytest.mark.parametrize("across_arms", [False, True])
@pytest.mark.parametrize("score", [by_index, worse_with_index])
def test_open_arms_are_those_with_more_to_come(tmp_path: Path, across_arms: bool, score: Any) -> None:
    pruning = PROMOTE | {"across_arms": across_arms}
    sweep = promoting_sweep(tmp_path, compare={"arm": ["a", "b", "c", "d"]}, pruning=pruning)
    counts = set()
    while 0 not in counts:
        ledger = drive(sweep, tmp_path / "sweep", score, steps=7)
        promotion = Agenda(sweep, ledger, evaluates=True).promotion
        is_open_by_name = {}
        for arm in sweep.arms:
            trials = ledger.of_arm(arm.name, "search")
            is_searched = len(trials) == 9 and all(trial.outcome for trial in trials)
            is_open_by_name[arm.name] = not is_searched or promotion.next_trial([arm]) is not None
        assert promotion.find_open_arms(sweep.arms) == {name for name, is_open in is_open_by_name.items() if is_open}
        counts.add(sum(is_open_by_name.values()))
    assert counts > {0, 4}, "some of the arms were searched before the others"


@pytest.mark.parametrize("across_arms", [False, True])
def test_each_rung_is_looked_into_once_for_all_arms(tmp_path: Path, across_arms: bool) -> None:
    pruning = PROMOTE | {"across_arms": across_arms}
    sweep = promoting_sweep(tmp_path, compare={"arm": ["a", "b", "c", "d"]}, pruning=pruning)
    ledger = drive(sweep, tmp_path / "sweep", worse_with_index)
    agenda = Agenda(sweep, ledger, evaluates=True)
    rungs = CountedRungs(agenda.promotion._rungs)
    agenda.promotion._rungs = rungs
    task = agenda.next_task(set())
    assert task is not None and task.kind == "evaluate"
    assert sorted(rungs.looked_into) == sorted(rungs)
    # Trials of one arm are not in the rungs of another one.
    rungs.looked_into.clear()
    assert agenda.promotion.next_trial(sweep.arms[:1]) is None
    assert {key for key, _ in rungs.looked_into} == {"" if across_arms else sweep.arms[0].name}


def test_tpe_learns_from_paused_trials_and_from_what_becomes_of_them(tmp_path: Path) -> None:
    sweep = promoting_sweep(tmp_path, budget={"trials_per_arm": 18, "max_epochs": 9})
    ledger = drive(sweep, tmp_path / "sweep", lambda trial, epoch: -abs(float(trial.params["x"]) - 0.9) + epoch / 100)
    late = [float(trial.params["x"]) for trial in ledger.trials.values()][10:]
    assert {trial.source for trial in ledger.trials.values()} == {"startup", "tpe"}
    assert sum(late) / len(late) > 0.6


def test_a_real_sweep_promotes_and_goes_on_from_the_checkpoint(empty_database: Path, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    budget = {"trials_per_arm": 2, "max_epochs": 3}
    sweep = promoting_sweep(tmp_path, budget=budget, compare={"arm": ["a", "b"]})
    ledger = run_sweep(sweep, tmp_path, Screen())
    # Of two trials none is among the best third, so that both pause, and the better one goes on.
    assert len(promoted(ledger)) == 2
    for trial in ledger.trials.values():
        rows = ledger.read_rows(trial)
        assert [row["epoch"] for row in rows] == ([1, 2, 3] if trial.outcome == "completed" else [1])
        # `Noop` knows its epoch from its checkpoint alone.
        distance = abs(float(trial.params["x"]) - 0.3)
        assert [row["metrics"]["val/score"] for row in rows] == [1 - distance - 0.5 ** row["epoch"] for row in rows]
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id], "tags.`orchestrate.role` = 'trial'")
    assert sorted(run.data.tags["orchestrate.outcome"] for run in runs) == ["completed"] * 2 + ["pruned"] * 2
    for run in runs:
        points = client.get_metric_history(run.info.run_id, "val/score")
        assert len(points) == (3 if run.data.tags["orchestrate.outcome"] == "completed" else 1)
        assert run.info.status == "FINISHED"

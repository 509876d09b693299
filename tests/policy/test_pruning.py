import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import ASHAScheduler

from orchestrator.policy.agenda import Agenda
from orchestrator.policy.pruning import Rungs
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, put_row, told
from tests.support.spaces import noop_sweep


def outcomes(ledger: Ledger, arm: str) -> list[str | None]:
    return [trial.outcome for trial in ledger.of_arm(arm, "search")]


def test_decisions_are_those_of_rays_asha_on_the_best_value_so_far(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, compare=None, budget={"trials_per_arm": 12, "max_epochs": 8})

    def jumpy(trial: Trial, epoch: int) -> float:
        return trial.index * 0.37 % 1 + (0.3 if epoch % 2 else 0.0)

    ledger = drive(sweep, tmp_path / "sweep", jumpy)
    asha = ASHAScheduler(time_attr="epoch", metric="best", mode="max", max_t=8, grace_period=1, reduction_factor=2)
    for trial in ledger.trials.values():
        stub = SimpleNamespace(trial_id=trial.number)
        asha.on_trial_add(None, stub)
        best = itertools.accumulate((jumpy(trial, epoch) for epoch in range(1, 9)), max)
        stopped = next(
            epoch
            for epoch, value in enumerate(best, 1)
            if asha.on_trial_result(None, stub, {"epoch": epoch, "best": value}) == "STOP"
        )
        assert trial.epochs == stopped
        assert trial.outcome == ("completed" if stopped == 8 else "pruned")
    assert set(outcomes(ledger, "all")) == {"completed", "pruned"}


def test_an_arm_that_scores_lower_is_not_pruned_by_another(tmp_path: Path) -> None:
    def worse_in_b(trial: Trial, epoch: int) -> float:
        return trial.index + epoch - (100 if trial.arm == "arm=b" else 0)

    ledger = drive(noop_sweep(tmp_path), tmp_path / "apart", worse_in_b)
    assert outcomes(ledger, "arm=a") == outcomes(ledger, "arm=b") == ["completed"] * 6

    together = {"grace_epochs": 1, "reduction_factor": 2, "across_arms": True}
    ledger = drive(noop_sweep(tmp_path, pruning=together), tmp_path / "together", worse_in_b)
    assert "pruned" in outcomes(ledger, "arm=b")


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_a_trial_is_judged_by_its_best_value_not_its_last(tmp_path: Path, mode: str, sign: int) -> None:
    values = {0: [5, 5, 5, 5], 1: [9, 1, 1, 1], 2: [1, 9, 9, 9]}
    objective = {"metric": "val/score" if mode == "max" else "val/error", "mode": mode}
    sweep = noop_sweep(tmp_path, compare=None, objective=objective, budget={"trials_per_arm": 3, "max_epochs": 4})
    ledger = drive(sweep, tmp_path / "sweep", lambda trial, epoch: sign * values[trial.index][epoch - 1])
    assert outcomes(ledger, "all") == ["completed", "completed", "pruned"]
    assert ledger.trials[3].epochs == 1


def test_a_report_that_nobody_judged_is_judged_at_the_next_start(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, compare=None, budget={"trials_per_arm": 4, "max_epochs": 4})
    folder = tmp_path / "sweep"
    good = drive(sweep, folder, lambda trial, epoch: 10.0 + epoch, steps=8)
    agenda = Agenda(sweep, good, evaluates=False)
    task = agenda.next_task(set())
    assert task is not None and task.trial.epochs == 0
    # The worker reports a value that ASHA stops at, and the driver dies before it is read.
    put_row(folder, task.trial, -1.0)

    ledger = ledger_of(sweep, folder)
    assert ledger.trials[task.trial.number].outcome is None
    Rungs(sweep, ledger)
    assert ledger.trials[task.trial.number].outcome == "pruned"
    assert ledger_of(sweep, folder).trials[task.trial.number].outcome == "pruned"


def test_a_last_epoch_or_a_divergence_that_nobody_judged_ends_the_trial_at_the_next_start(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, compare=None, budget={"trials_per_arm": 2, "max_epochs": 1}, pruning="none")
    folder = tmp_path / "sweep"
    ledger = drive(sweep, folder, steps=0)
    agenda = Agenda(sweep, ledger, evaluates=False)
    first = agenda.next_task(set())
    assert first is not None
    second = agenda.next_task({first.trial.number})
    assert second is not None
    put_row(folder, first.trial, 0.5)
    put_row(folder, second.trial, float("nan"))
    ledger = ledger_of(sweep, folder)
    Rungs(sweep, ledger)
    assert [trial.outcome for trial in ledger.trials.values()] == ["completed", "diverged"]


def test_a_divergence_is_no_report_to_asha_after_a_replay_either(tmp_path: Path) -> None:
    values = {0: [9.0, float("nan")], 1: [8.0, 8.0, 8.0, 8.0]}
    pruning = {"grace_epochs": 2, "reduction_factor": 2}
    sweep = noop_sweep(tmp_path, compare=None, budget={"trials_per_arm": 2, "max_epochs": 4}, pruning=pruning)

    def score(trial: Trial, epoch: int) -> float:
        return values[trial.index][epoch - 1]

    whole = drive(sweep, tmp_path / "whole", score)
    drive(sweep, tmp_path / "killed", score, steps=3)
    resumed = drive(sweep, tmp_path / "killed", score)
    assert outcomes(whole, "all") == outcomes(resumed, "all") == ["diverged", "completed"]


def test_pruning_none_completes_every_trial(tmp_path: Path) -> None:
    ledger = drive(noop_sweep(tmp_path, pruning="none"), tmp_path / "sweep")
    assert {row[-2] for row in told(ledger)} == {"completed"}

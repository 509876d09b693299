"""`objective.constraints`: what does not meet them is never best, is stopped, and is learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.api.results import load
from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import SearchSpaceError
from orchestrator.overview.screen import Screen
from orchestrator.policy.forecast import forecast_values
from orchestrator.policy.frozen_trials import describe_result
from orchestrator.search_space.reader import Sweep
from orchestrator.state.curve import Objective, describe_constraints
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial, infeasible_line
from tests.support.driving import drive, ledger_of, told
from tests.support.spaces import noop_sweep

# In driven sweeps, `val/error` is equal to `val/score`: only values up to 0.7 are feasible.
CONSTRAINED = {"metric": "val/score", "mode": "max", "constraints": {"val/error": {"max": 0.7}}}


def constrained_sweep(folder: Path, **changes: Any) -> Sweep:
    return noop_sweep(folder, **{"objective": CONSTRAINED, "compare": None, "pruning": "none"} | changes)


def rising(trial: Trial, epoch: int) -> float:
    """The first trial is always feasible, the second at first, the others never."""
    return [0.1, 0.5, 0.8, 0.9, 1.0, 1.1][trial.index] + 0.1 * (epoch - 1)


def test_the_best_epoch_and_the_best_trial_are_feasible(tmp_path: Path) -> None:
    sweep = constrained_sweep(tmp_path, budget={"trials_per_arm": 4, "max_epochs": 4})
    ledger = drive(sweep, tmp_path / "sweep", rising)
    assert [trial.best_value for trial in ledger.trials.values()] == pytest.approx([0.4, 0.7, None, None], abs=1e-9)
    assert ledger.tally("all").best is ledger.trials[2]
    assert infeasible_line(ledger.trials.values(), ledger.objective) == (
        "2 trials met val/error ≤ 0.7 in no epoch, and can't be the best: 3, 4."
    )
    assert ledger.unevaluated == {1, 2}


def test_a_trial_that_is_never_feasible_stops_at_a_rung(tmp_path: Path) -> None:
    pruning = {"grace_epochs": 2, "reduction_factor": 2}
    sweep = constrained_sweep(tmp_path, budget={"trials_per_arm": 3, "max_epochs": 4}, pruning=pruning)
    whole = drive(sweep, tmp_path / "whole", rising)
    assert [(trial.outcome, trial.epochs) for trial in whole.trials.values()] == [
        ("completed", 4),
        ("completed", 4),
        ("pruned", 2),
    ]
    assert whole.trials[3].reason == "no epoch up to 2 has met val/error ≤ 0.7"
    for steps in (9, 10):
        folder = tmp_path / f"killed after {steps}"
        drive(sweep, folder, rising, steps=steps)
        assert told(drive(sweep, folder, rising)) == told(whole)


def test_promotion_never_takes_a_trial_that_is_not_feasible(tmp_path: Path) -> None:
    pruning = {"grace_epochs": 1, "reduction_factor": 2, "promote": True}
    sweep = constrained_sweep(tmp_path, budget={"trials_per_arm": 4, "max_epochs": 2}, pruning=pruning)
    ledger = drive(sweep, tmp_path / "sweep", rising)
    assert [trial.outcome for trial in ledger.trials.values()] == ["pruned", "completed", "pruned", "pruned"]


def test_samplers_learn_that_such_trials_are_the_worst(tmp_path: Path) -> None:
    sweep = constrained_sweep(tmp_path, budget={"trials_per_arm": 4, "max_epochs": 1})
    ledger = drive(sweep, tmp_path / "sweep", rising)
    states = [describe_result(trial, ledger.objective, None)[0].name for trial in ledger.trials.values()]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert forecast_values(list(ledger.trials.values()), ledger.objective) == {1: 0.1, 2: 0.5, 3: 0.1, 4: 0.1}
    tpe = drive(
        constrained_sweep(tmp_path, budget={"trials_per_arm": 24, "max_epochs": 1}),
        tmp_path / "tpe",
        lambda trial, epoch: float(trial.params["x"]),
    )
    late = [float(trial.params["x"]) for trial in tpe.trials.values()][12:]
    best = tpe.tally("all").best
    assert best is not None and best.best_value is not None and best.best_value <= 0.7
    assert sum(x > 0.7 for x in late) <= 6


def test_the_log_keeps_the_constraints(tmp_path: Path) -> None:
    sweep = constrained_sweep(tmp_path)
    objective = Objective.of(sweep.space)
    assert Objective(**objective.to_record()) == objective
    assert describe_constraints(objective) == "val/error ≤ 0.7"
    assert Objective("val/score", "max").to_record() == {"metric": "val/score", "mode": "max"}


def test_a_real_sweep_has_its_best_checkpoint_where_the_constraint_was_met(
    empty_database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    # The score rises with the epoch; at x = 0.3 it is 0.5, 0.75, 0.875, and at x = 0.9 always below 0.4.
    objective = CONSTRAINED | {"constraints": {"val/error": {"min": -0.8, "max": -0.45}}}
    sweep = constrained_sweep(
        tmp_path, objective=objective, params={"x": 0.3}, compare=None, budget={"seeds": 1, "max_epochs": 3}
    )
    ledger = run_sweep(sweep, tmp_path, Screen())
    Screen().print_results(sweep, ledger)
    best = ledger.trials[1].curve.best_row
    assert best is not None and best["epoch"] == 2
    assert load("tiny", tmp_path).trials.loc[1, "best_epoch"] == 2
    checkpoints = tmp_path / "tiny" / "trials" / "0001" / "checkpoint"
    import torch

    (path,) = checkpoints.glob("best*")
    assert torch.load(path, weights_only=True)["row"]["epoch"] == 2
    assert Ledger(tmp_path / "tiny", read_only=True).objective == ledger_of(sweep, tmp_path / "tiny").objective


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ({"val/eror": {"max": 1.0}}, "unknown metric 'val/eror' (did you mean 'val/error'?)"),
        ({"val/score": {"max": 1.0}}, "val/score is the objective; constraints bound other metrics"),
        ({"val/error": {}}, "needs min or max"),
        ({"val/error": {"min": 2.0, "max": 1.0}}, "has a min (2) above its max (1)"),
    ],
)
def test_a_constraint_that_nothing_can_meet_is_one_message(
    tmp_path: Path, constraints: dict[str, Any], message: str
) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        constrained_sweep(tmp_path, objective=CONSTRAINED | {"constraints": constraints})
    assert [message in line for line in raised.value.lines] == [True]

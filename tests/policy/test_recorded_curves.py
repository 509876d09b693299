"""The benchmark of recorded learning curves: what is written is read, and pruning is replayed on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.state.curve import Objective
from orchestrator.state.events.drivers import Started
from orchestrator.state.trial import Trial
from tests.benchmarks.curves import read, replay, write
from tests.support.driving import drive, ledger_of
from tests.support.spaces import noop_sweep


@pytest.mark.parametrize("mode", ["max", "min"])
def test_curves_are_recorded_and_replayed(tmp_path: Path, mode: str) -> None:
    sign = 1 if mode == "max" else -1

    def score(trial: Trial, epoch: int) -> float:
        return sign * (trial.index * 0.37 % 1) * (1 - 0.5**epoch)

    objective = {"metric": "val/score" if mode == "max" else "val/error", "mode": mode}
    sweep = noop_sweep(tmp_path, pruning="none", objective=objective, budget={"trials_per_arm": 6, "max_epochs": 9})
    ledger = ledger_of(sweep, tmp_path / "sweep")
    ledger.write(Started(record={"objective": Objective.of(sweep.space).to_record()}))
    drive(sweep, tmp_path / "sweep", score)
    assert write(tmp_path / "sweep", tmp_path / "curves.jsonl") == 12
    table = read(tmp_path / "curves.jsonl")
    assert {arm: len(curves) for arm, curves in table.curves.items()} == {"arm=a": 6, "arm=b": 6}
    first = next(iter(ledger_of(sweep, tmp_path / "sweep").trials.values()))
    assert list(table.curves["arm=a"][0]) == pytest.approx(first.curve.values(), abs=1e-4)

    everything = replay(table, "none", seed=0)
    assert everything.epochs == 12 * 9 and everything.regret == 0
    pruned = replay(table, {"kind": "pasha", "grace_epochs": 1, "reduction_factor": 2}, seed=0)
    # The ranking is that of the first epoch, so that pruning finds the best trial of both arms.
    assert pruned.epochs < everything.epochs / 2 and pruned.regret == pytest.approx(0, abs=1e-4)

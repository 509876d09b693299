"""Trials that break: what is decided at once, what TPE is told, and when their arm pauses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.policy.agenda import Agenda
from orchestrator.state.paths import OUTBOX, trial_folder
from orchestrator.storage.json_lines import Log
from orchestrator.worker.failure import OUT_OF_MEMORY, TrialFailure, as_failure
from tests.driver.test_controller import ONE_ARM, begin
from tests.support.driving import ledger_of, put_row
from tests.support.engine_rig import EngineRig, Wrapped
from tests.support.spaces import noop_sweep


def test_a_divergence_in_an_epoch_that_is_executed_again_ends_the_trial(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    trial = begin(driver, epochs=2)
    driver.fails(None)
    assert driver.hand_out() is trial
    # Its checkpoint of epoch 2 is lost: epoch 2 is executed again, and the network has become NaN.
    reason = {"cause": "nonfinite", "reason": "epoch 2: train/loss became nan"}
    row = {"epoch": 2, "ts": 9, "attempt": 2, "metrics": {"val/score": 0.5}, "diverged": reason}
    outbox = Log(trial_folder(driver.folder, trial.number) / OUTBOX)
    outbox.append(row)
    outbox.close()
    assert driver.engine.handle_report(driver.name, {"row": json.dumps(row), "remarks": "[]"})
    assert (trial.outcome, trial.cause, trial.epochs) == ("diverged", "nonfinite", 2)
    reopened = ledger_of(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    assert (reopened.trials[1].outcome, reopened.trials[1].epochs) == ("diverged", 2)


@pytest.mark.parametrize("cause", ["oom", "timeout"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tpe_stays_away_from_where_trials_run_out_of_memory_or_time(tmp_path: Path, cause: str, seed: int) -> None:
    """The optimum lies beside a cliff, over which no trial gets through; all thirty proposals once fell beyond it."""
    budget = {"trials_per_arm": 30, "max_epochs": 1}
    sweep = noop_sweep(tmp_path, budget=budget, pruning="none", compare=None, seed=seed)
    ledger = ledger_of(sweep, tmp_path / "tiny")
    agenda = Agenda(sweep, ledger, evaluates=False, code="code")
    beyond = []
    while (task := agenda.next_task(set())) is not None:
        trial, x = task.trial, float(task.trial.params["x"])
        ledger.attempt(trial, "code")
        beyond.append(x > 0.5)
        if x > 0.5:
            ledger.end(trial, "failed", cause, "too much")
        else:
            ledger.report(trial, put_row(tmp_path / "tiny", trial, x))
            ledger.end(trial, "completed")
    assert any(beyond) and sum(beyond[10:]) <= 14


def test_an_arm_whose_trials_all_run_out_of_memory_pauses(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, **ONE_ARM | {"budget": {"trials_per_arm": 6, "max_epochs": 3}})
    driver = EngineRig(sweep, tmp_path / "tiny", grows=False)
    failure = as_failure(MemoryError("no room"))
    assert failure.alike == OUT_OF_MEMORY
    for _ in range(3):
        assert driver.hand_out() is not None
        driver.fails(Wrapped(failure))
    assert driver.hand_out() is None and driver.agenda.paused_arms()


def test_where_a_trial_got_through_shortages_of_memory_do_not_pause_its_arm(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, **ONE_ARM | {"budget": {"trials_per_arm": 6, "max_epochs": 1}})
    driver = EngineRig(sweep, tmp_path / "tiny", grows=False)
    trial = driver.hand_out()
    assert trial is not None and driver.epoch(trial) and trial.outcome == "completed"
    for _ in range(3):
        assert driver.hand_out() is not None
        driver.fails(Wrapped(TrialFailure("oom", "no room", OUT_OF_MEMORY)))
    assert driver.hand_out() is not None

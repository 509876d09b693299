"""How long a sweep still takes: what pruning, slots and overdue epochs do to the estimate."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.overview import estimate
from orchestrator.overview.estimate import Survival, count_reached, list_rungs, seconds_left
from tests.support.driving import drive
from tests.support.spaces import noop_sweep

EPOCH_S = 0.1
"""The duration of every epoch of a driven sweep."""


def test_trials_that_still_run_count_as_not_known_yet() -> None:
    # Of four trials two ended after one epoch; of the two others one has three epochs so far.
    survival = Survival.estimate(Counter({1: 2, 4: 1}), [3], 6)
    assert survival.shares == pytest.approx([1, 0.5, 0.5, 0.5, 0, 0])
    assert survival.expect(0) == pytest.approx(2.5)
    assert survival.expect(1) == pytest.approx(3)
    assert survival.expect(6) == 0


def test_without_an_end_every_trial_has_its_whole_budget() -> None:
    survival = Survival.estimate(Counter(), [2, 3], 6)
    assert [survival.expect(epochs) for epochs in (0, 2, 5)] == [6, 4, 1]


def test_a_rung_has_the_trials_that_reached_it(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path)
    assert list_rungs(sweep, 4) == [1, 2, 4]
    ledger = drive(sweep, tmp_path / "tiny")
    epochs = [trial.epochs for trial in ledger.trials.values()]
    assert count_reached(sweep, ledger) == {rung: sum(each >= rung for each in epochs) for rung in (1, 2, 4)}
    assert seconds_left(sweep, ledger, 2) is None, "all have ended"


def test_nothing_is_said_before_there_is_evidence(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, pruning={"grace_epochs": 3})
    assert seconds_left(sweep, drive(sweep, tmp_path / "one", steps=1), 1) is None
    assert seconds_left(sweep, drive(sweep, tmp_path / "two", steps=2), 1) is None, "no trial has reached a rung"
    assert seconds_left(sweep, drive(sweep, tmp_path / "three", steps=3), 1) is not None


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_without_pruning_it_is_the_epochs_that_are_left(tmp_path: Path, slots: int) -> None:
    sweep = noop_sweep(tmp_path, pruning=None)
    ledger = drive(sweep, tmp_path / "tiny", steps=10)
    # Two of twelve trials have ended, and the third one's next epoch is overdue: its whole duration still counts.
    ledger.trials[3].curve._times_ms[-1] = estimate.now_ms()
    assert seconds_left(sweep, ledger, slots) == pytest.approx((12 * 4 - 10) * EPOCH_S / slots, abs=0.05)


def test_pruned_trials_shorten_it(tmp_path: Path) -> None:
    estimates = {}
    for name, pruning in (("pruned", {"grace_epochs": 1, "reduction_factor": 2}), ("whole", None)):
        sweep = noop_sweep(tmp_path, pruning=pruning, budget={"trials_per_arm": 40, "max_epochs": 16})
        # The sooner a trial is asked for, the better it is: most of the later ones are pruned.
        ledger = drive(sweep, tmp_path / name, lambda trial, epoch: epoch / 100 - trial.number, steps=100)
        left = seconds_left(sweep, ledger, 1)
        assert left is not None
        estimates[name] = left + sum(trial.epochs for trial in ledger.trials.values()) * EPOCH_S
    whole_s = 80 * 16 * EPOCH_S
    assert estimates["whole"] == pytest.approx(whole_s, rel=0.02)
    assert estimates["pruned"] < 0.5 * whole_s


def test_an_overdue_last_epoch_has_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = noop_sweep(tmp_path, pruning=None, compare=None, budget={"trials_per_arm": 2, "max_epochs": 4})
    ledger = drive(sweep, tmp_path / "tiny", steps=6)
    last_ms = ledger.trials[2].curve.last_ms or 0
    monkeypatch.setattr(estimate, "now_ms", lambda: last_ms + 50)
    assert seconds_left(sweep, ledger, 2) == pytest.approx(0.15)
    monkeypatch.setattr(estimate, "now_ms", lambda: last_ms + 60_000)
    assert seconds_left(sweep, ledger, 2) is None


def test_the_start_of_a_trial_counts_as_well(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, pruning=None)
    ledger = drive(sweep, tmp_path / "tiny", steps=12)
    before_s = seconds_left(sweep, ledger, 2) or 0
    for number, start_s in ((1, 60), (2, 60), (3, 6)):
        trial = ledger.trials[number]
        trial.ended_ms = trial.asked_ms + int(1000 * (trial.curve.trained_s + start_s))
    # The first two started the workers.
    assert seconds_left(sweep, ledger, 2) == pytest.approx(before_s + 8 * 6 / 2, abs=0.1), "eight are yet to come"

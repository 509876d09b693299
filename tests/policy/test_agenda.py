import math
from collections import Counter
from pathlib import Path

from orchestrator.policy.agenda import Agenda
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, score_of_x
from tests.support.spaces import noop_sweep

CONFIRM = {"confirm": {"top": 2, "seeds": 2}}


def test_arms_take_turns(tmp_path: Path) -> None:
    ledger = drive(noop_sweep(tmp_path), tmp_path / "sweep")
    assert [trial.arm for trial in ledger.trials.values()][:4] == ["arm=a", "arm=b", "arm=a", "arm=b"]
    assert Counter(trial.arm for trial in ledger.trials.values()) == {"arm=a": 6, "arm=b": 6}


def test_trials_in_hand_are_not_handed_out_again_and_abandoned_ones_come_first(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path)
    agenda = Agenda(sweep, ledger_of(sweep, tmp_path / "sweep"), evaluates=False)
    first = agenda.next_task(set())
    second = agenda.next_task({1})
    assert first and second and (first.trial.number, second.trial.number) == (1, 2)
    again = Agenda(sweep, ledger_of(sweep, tmp_path / "sweep"), evaluates=False).next_task(set())
    assert again and again.trial.number == 1


def test_a_finished_sweep_has_nothing_to_do(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path)
    drive(sweep, tmp_path / "sweep")
    before = (tmp_path / "sweep" / "sweep.jsonl").read_bytes()
    agenda = Agenda(sweep, ledger_of(sweep, tmp_path / "sweep"), evaluates=False)
    assert agenda.is_done()
    assert agenda.next_task(set()) is None
    assert (tmp_path / "sweep" / "sweep.jsonl").read_bytes() == before


def test_ended_trials_are_evaluated_before_new_ones_are_asked_for(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path)
    ledger = drive(sweep, tmp_path / "sweep", steps=4)
    assert ledger.trials[1].outcome == "completed"
    agenda = Agenda(sweep, ledger, evaluates=True)
    task = agenda.next_task({2})
    assert task and (task.kind, task.trial.number) == ("evaluate", 1)
    ledger.evaluate(ledger.trials[1], {})
    following = agenda.next_task({2})
    assert following and (following.kind, following.trial.number) == ("train", 3)


def test_confirm_runs_the_best_configurations_of_each_arm_again_with_fresh_seeds(tmp_path: Path) -> None:
    ledger = drive(noop_sweep(tmp_path, **CONFIRM), tmp_path / "sweep")
    for arm in ("arm=a", "arm=b"):
        found = ledger.of_arm(arm, "search")
        confirmed = ledger.of_arm(arm, "confirm")
        best = sorted(found, key=lambda trial: score_of_x(trial, trial.epochs), reverse=True)[:2]
        assert Counter(trial.of for trial in confirmed) == {trial.number: 2 for trial in best}
        assert len({trial.seed for trial in [*found, *confirmed]}) == len(found) + len(confirmed)
        for trial in confirmed:
            assert trial.of is not None
            assert trial.params == ledger.trials[trial.of].params
            assert (trial.outcome, trial.epochs) == ("completed", 4)


def test_confirm_takes_a_trial_that_trained_to_the_end_before_pruned_ones(tmp_path: Path) -> None:
    """A pruned trial's best epoch may be better than that of a complete one, but is not comparable with it."""
    pruning = {"grace_epochs": 1, "reduction_factor": 2}
    sweep = noop_sweep(tmp_path, compare={"arm": ["a"]}, pruning=pruning, **CONFIRM)

    def score(trial: Trial, epoch: int) -> float:
        if trial.index == 0:
            return 0.2
        # The second one is better than all, so that those after the third are pruned, but then diverges.
        return 0.9 - 0.1 * (trial.index - 1) if trial.index > 1 or epoch < 3 else math.nan

    ledger = drive(sweep, tmp_path / "sweep", score)
    first, second, third, *others = ledger.of_arm("arm=a", "search")
    assert (first.outcome, second.outcome, third.outcome) == ("completed", "diverged", "completed")
    assert {trial.outcome for trial in others} == {"pruned"} and (others[0].best_value or 0) > 0.2
    assert {trial.of for trial in ledger.of_arm("arm=a", "confirm")} == {first.number, third.number}


def test_a_killed_confirm_stage_goes_on_without_doubles(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, **CONFIRM)
    whole = drive(sweep, tmp_path / "whole")
    steps = sum(trial.epochs for trial in whole.trials.values())
    for kept in (steps - 3, steps - 9):
        drive(sweep, tmp_path / str(kept), steps=kept)
        again = drive(sweep, tmp_path / str(kept))
        assert [vars(trial)["params"] for trial in again.trials.values()] == [
            vars(trial)["params"] for trial in whole.trials.values()
        ]
        assert len(again.trials) == len(whole.trials)


def test_more_trials_and_more_epochs_go_on_where_the_sweep_ended(tmp_path: Path) -> None:
    drive(noop_sweep(tmp_path), tmp_path / "sweep")
    grown = noop_sweep(tmp_path, budget={"trials_per_arm": 8, "max_epochs": 6})
    ledger = drive(grown, tmp_path / "sweep")
    assert Counter(trial.arm for trial in ledger.trials.values()) == {"arm=a": 8, "arm=b": 8}
    assert {trial.epochs for trial in ledger.trials.values() if trial.outcome == "completed"} == {6}

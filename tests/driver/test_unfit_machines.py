"""Machines that are lost, leave, or let trial after trial fail; no Ray, everything else is real."""

from __future__ import annotations

from pathlib import Path

from orchestrator.driver.failures import MAX_DISPLACEMENTS
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import TRIAL_LOG, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker.failure import DISPLACED, TOLD_TO_END_REASON, UNFIT_MACHINE, TrialFailure
from orchestrator.worker.postmortem import ATTEMPT, END_SIGNAL, MACHINE
from tests.driver.test_controller import ONE_ARM, begin
from tests.support.engine_rig import EngineRig, Wrapped
from tests.support.spaces import noop_sweep


def put_on(driver: EngineRig, trial: Trial, machine: str) -> None:
    """What a worker writes when it begins."""
    log = trial_folder(driver.folder, trial.number) / TRIAL_LOG
    with log.open("a") as file:
        file.write(f"{ATTEMPT} {trial.attempts}, today, process 1\n{MACHINE} {machine}, node-7\n")


def test_a_machine_that_is_lost_is_no_failure_of_its_trial_until_it_happens_again_and_again(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM, limits={"max_machine_failures": 0}), tmp_path / "tiny")
    trial = begin(driver)
    driver.gone = {"a1"}
    for loss in range(1, MAX_DISPLACEMENTS):
        put_on(driver, trial, "a1")
        driver.fails(None)
        assert trial.outcome is None and not trial.died_at and len(trial.displaced_at) == loss
        assert driver.said[-1] == "Trial 1 at epoch 2: its machine a1 is gone; it continues elsewhere."
        assert driver.hand_out() is trial
    # A new epoch counts from 0.
    driver.epoch(trial)
    put_on(driver, trial, "a1")
    driver.fails(None)
    assert trial.outcome is None and driver.hand_out() is trial
    for _ in range(1, MAX_DISPLACEMENTS):
        put_on(driver, trial, "a1")
        driver.fails(None)
        driver.hand_out()
    assert (trial.outcome, trial.cause) == ("failed", "node")
    assert trial.reason == "5 times at epoch 3, perhaps because of it: its machine a1 is gone"
    assert Ledger(driver.folder, read_only=True).trials[1].displaced_at == trial.displaced_at


def test_a_process_that_was_told_to_end_is_no_failure_of_its_trial_though_a_kill_follows(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM, limits={"max_machine_failures": 0}), tmp_path / "tiny")
    trial = begin(driver)
    driver.fails(Wrapped(TrialFailure(DISPLACED, TOLD_TO_END_REASON, machine="a1")))
    told = "Trial 1 at epoch 2: its process was told to end (SIGTERM); it continues in another process."
    assert driver.said[-1] == told and driver.hand_out() is trial
    log = trial_folder(driver.folder, trial.number) / TRIAL_LOG
    log.write_text(f"{ATTEMPT} 2, today, process 1\n{MACHINE} a1, node-7\n 12 %{END_SIGNAL}, attempt 2\n")
    driver.fails(None)
    assert driver.said[-1] == told and driver.hand_out() is trial
    state = Ledger(driver.folder, read_only=True).trials[1]
    assert state.outcome is None and not state.died_at and state.displaced_at == [1, 1]
    assert state.broken_off == TOLD_TO_END_REASON
    # A batch system that ends the sweep sends the signal to the workers, too.
    driver.engine.stop("Stopped by SIGTERM.")
    driver.fails(Wrapped(TrialFailure(DISPLACED, TOLD_TO_END_REASON, machine="a1")))
    assert trial.displaced_at == [1, 1]


def test_after_a_signal_to_an_evaluation_its_later_crashes_are_its_own(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    driver.agenda.evaluates = True
    trial = begin(driver, epochs=0)
    put_on(driver, trial, "a1")
    while not driver.epoch(trial):
        pass
    log = trial_folder(driver.folder, trial.number) / TRIAL_LOG
    for process in range(1, 4):
        assert driver.agenda.wants_evaluation(trial) and driver.hand_out() is trial
        with log.open("a") as file:
            file.write(f"{MACHINE} a1, node-7\n" + f"{END_SIGNAL}, attempt 1\n" * (process == 1))
        driver.fails(None)
        assert (len(trial.displaced_at), len(trial.died_at)) == (1, process - 1)
    assert not driver.agenda.wants_evaluation(trial)
    assert "could not be evaluated: its process was killed (signal 9)" in driver.said[-1]


def test_a_trial_makes_room_at_the_end_of_its_epoch_on_a_machine_that_leaves(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    trial = begin(driver)
    driver.leaving = {"a1"}
    assert not driver.epoch(trial, machine="b2")
    trial = begin(driver, epochs=0)
    assert driver.epoch(trial, machine="a1")
    assert trial.outcome is None and trial.epochs == 1 and driver.hand_out() is not None


def test_a_machine_on_which_trial_after_trial_fails_is_left_out_and_its_trials_run_elsewhere(tmp_path: Path) -> None:
    space = {**ONE_ARM, "budget": {"trials_per_arm": 6, "max_epochs": 3}, "limits": {"max_same_errors": "none"}}
    driver = EngineRig(noop_sweep(tmp_path, **space), tmp_path / "tiny")
    good = begin(driver, epochs=0)
    for _ in range(3):
        driver.epoch(good, machine="good")
    failed = []
    for _ in range(3):
        trial = begin(driver, epochs=0)
        failed.append(trial)
        assert driver.left_out == {}
        driver.fails(Wrapped(TrialFailure("error", "FileNotFoundError: /data", "place", "bad")))
    assert driver.left_out == {
        "bad": "trials 2, 3, 4 failed there one after the other, the last: FileNotFoundError: /data"
    }
    assert [trial.outcome for trial in failed] == [None] * 3 and driver.hand_out() in failed
    (suspect,) = Ledger(driver.folder, read_only=True).suspects
    assert (suspect.machine, suspect.fault) == ("bad", "left out")
    assert suspect.text == f"bad gets no more trials: {driver.left_out['bad']}."


def test_code_that_fails_everywhere_is_no_machines_fault(tmp_path: Path) -> None:
    space = {**ONE_ARM, "budget": {"trials_per_arm": 6, "max_epochs": 3}, "limits": {"max_same_errors": "none"}}
    driver = EngineRig(noop_sweep(tmp_path, **space), tmp_path / "tiny")
    for _ in range(6):
        begin(driver, epochs=0)
        driver.fails(Wrapped(TrialFailure("error", "ValueError: no", "place", "only")))
    assert driver.left_out == {}


TWO_ARMS = {
    "compare": {"arm": ["sound", "broken"]},
    "pruning": "none",
    "budget": {"trials_per_arm": 9, "max_epochs": 9},
    "limits": {"max_same_errors": "none"},
}


def fail_on(driver: EngineRig, machine: str, cause: str = "error", arm: str = "arm=broken") -> None:
    """Three trials of an arm fail on a machine one after the other."""
    number = 0
    while number < 3:
        trial = begin(driver, epochs=0)
        if trial.arm == arm:
            number += 1
            driver.fails(Wrapped(TrialFailure(cause, "no", "place", machine)))


def test_an_arm_that_is_broken_takes_no_machine_out_though_another_arm_runs(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **TWO_ARMS), tmp_path / "tiny")
    sound = next(trial for trial in (begin(driver, epochs=0), begin(driver, epochs=0)) if trial.arm == "arm=sound")
    driver.epoch(sound, machine="a1")
    driver.epoch(sound, machine="b2")
    fail_on(driver, "a1")
    fail_on(driver, "b2")
    assert driver.left_out == {}


def test_the_last_machine_on_which_an_arm_has_run_is_not_left_out(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **TWO_ARMS), tmp_path / "tiny")
    sound = next(trial for trial in (begin(driver, epochs=0), begin(driver, epochs=0)) if trial.arm == "arm=sound")
    for machine in ("a1", "b2"):
        driver.epoch(sound, machine=machine)
    fail_on(driver, "a1", arm="arm=sound")
    assert list(driver.left_out) == ["a1"]
    # As the machines say from then on.
    driver.leaving = {"a1"}
    fail_on(driver, "b2", arm="arm=sound")
    assert list(driver.left_out) == ["a1"]


def test_failures_that_follow_from_parameters_are_no_machines_fault(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **TWO_ARMS), tmp_path / "tiny", grows=False)
    sound = next(trial for trial in (begin(driver, epochs=0), begin(driver, epochs=0)) if trial.arm == "arm=sound")
    driver.epoch(sound, machine="b2")
    fail_on(driver, "a1", cause="oom", arm="arm=sound")
    assert driver.left_out == {}


def test_a_death_before_the_first_line_is_not_held_against_the_machine_of_the_attempt_before(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    trial = begin(driver)
    put_on(driver, trial, "a1")
    driver.gone = {"a1"}
    driver.fails(None)
    assert len(trial.displaced_at) == 1 and driver.hand_out() is trial
    driver.fails(None)
    assert len(trial.displaced_at) == 1 and len(trial.died_at) == 1


def test_a_machine_that_is_unfit_is_left_out_and_its_trial_goes_on(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    trial = begin(driver)
    driver.fails(Wrapped(TrialFailure(UNFIT_MACHINE, "it has other versions", machine="a1")))
    assert driver.left_out == {"a1": "it has other versions"} and not driver.engine.stop_reason
    assert trial.outcome is None and not trial.died_at and driver.hand_out() is trial

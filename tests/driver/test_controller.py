"""What a driver decides about reports, failures and full disks; no Ray, everything else is real."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.commands.resume import ResumeOptions, retry
from orchestrator.driver.failures import MAX_DISPLACEMENTS
from orchestrator.overview.screen import Screen
from orchestrator.search_space.reader import Sweep
from orchestrator.state.events.drivers import Restarted, Started
from orchestrator.state.origin import Origin
from orchestrator.state.paths import trial_folder
from orchestrator.state.requests import Request, send
from orchestrator.state.trial import Trial
from orchestrator.worker import postmortem
from orchestrator.worker.failure import DISK_FULL, DISPLACED, TrialFailure
from orchestrator.worker.postmortem import ATTEMPT
from tests.support.driving import ledger_of
from tests.support.engine_rig import EngineRig, Wrapped
from tests.support.spaces import noop_sweep

ONE_ARM = {"compare": None, "pruning": "none", "budget": {"trials_per_arm": 3, "max_epochs": 3}}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return noop_sweep(tmp_path, **ONE_ARM)


def begin(driver: EngineRig, epochs: int = 1) -> Trial:
    trial = driver.hand_out()
    assert trial is not None
    for _ in range(epochs):
        assert not driver.epoch(trial)
    return trial


def test_a_trial_whose_process_dies_is_tried_again_and_fails_the_second_time_at_one_epoch(
    sweep: Sweep, tmp_path: Path
) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    driver.fails(None)
    assert trial.outcome is None and "signal 9" in driver.said[-1]
    assert driver.hand_out() is trial and trial.attempts == 2
    driver.fails(None)
    assert (trial.outcome, trial.cause) == ("failed", "node")
    assert "2 times at epoch 2" in trial.reason


def test_a_process_that_can_not_be_started_is_not_called_killed(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    driver.fails(RuntimeError("The actor died because of an error raised in its creation task\nImportError: no torch"))
    assert "its process could not be started: ImportError: no torch; it is tried again" in driver.said[-1]
    assert driver.hand_out() is trial


def test_a_trial_that_gets_further_between_deaths_has_as_many_as_the_file_allows(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM, limits={"max_machine_failures": 1}), tmp_path / "tiny")
    trial = begin(driver)
    driver.fails(None)
    assert driver.hand_out() is trial
    driver.epoch(trial)
    driver.fails(None)
    assert (trial.outcome, trial.cause) == ("failed", "node")
    assert "limits.max_machine_failures is 1" in trial.reason


def test_deaths_say_nothing_of_trials_while_ray_is_dead(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny", is_alive=False)
    trial = begin(driver)
    driver.fails(None)
    assert trial.outcome is None and not trial.died_at


def test_a_trial_that_ran_out_of_memory_is_tried_once_with_twice_its_resources(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    driver.fails(Wrapped(TrialFailure("oom", "MemoryError: no room")))
    assert trial.outcome is None and "2 times its resources" in driver.said[-1]
    assert driver.hand_out() is trial and trial.share == 2
    driver.fails(Wrapped(TrialFailure("oom", "MemoryError: no room")))
    assert (trial.outcome, trial.cause, trial.attempts) == ("failed", "oom", 2)


def test_a_trial_that_has_all_there_is_is_not_tried_with_more(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny", grows=False)
    trial = begin(driver)
    driver.fails(Wrapped(TrialFailure("oom", "MemoryError: no room")))
    assert (trial.outcome, trial.cause, trial.attempts) == ("failed", "oom", 1)


def test_a_process_that_was_ended_for_its_time_fails_at_once(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    log = trial_folder(tmp_path / "tiny", trial.number) / "log.txt"
    log.write_text(f"{ATTEMPT} 1, today, process 1\nTimeout (0:00:13)!\nThread 0x1 (most recent call first):\n")
    driver.fails(None)
    assert (trial.outcome, trial.cause) == ("failed", "timeout")


def fail_alike(driver: EngineRig, alike: Callable[[int], str], count: int) -> None:
    for index in range(count):
        assert driver.hand_out() is not None
        driver.fails(Wrapped(TrialFailure("error", "ValueError: no (net.py:3)", alike(index))))


def test_an_arm_that_fails_alike_three_times_pauses_and_the_other_goes_on(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, pruning="none", limits={"max_same_errors": 3})
    driver = EngineRig(sweep, tmp_path / "tiny")
    fail_alike(driver, lambda index: "here", 6)
    assert set(driver.agenda.paused_arms()) == {"arm=a", "arm=b"}
    assert driver.hand_out() is None and not driver.agenda.is_done()
    assert len(driver.ledger.trials) == 6

    mended = EngineRig(sweep, tmp_path / "tiny", code="mended")
    assert not mended.agenda.paused_arms()
    trial = mended.hand_out()
    assert trial is not None and trial.number == 7


def test_failures_at_different_places_pause_nothing(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, pruning="none"), tmp_path / "tiny")
    fail_alike(driver, lambda index: f"line {index // 2}", 6)
    assert not driver.agenda.paused_arms()


def test_retried_failures_un_pause_their_arm(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    fail_alike(driver, lambda index: "here", 3)
    assert driver.agenda.paused_arms() and driver.hand_out() is None
    for trial in driver.ledger.trials.values():
        driver.ledger.retry(trial, "asked for")
    assert not driver.agenda.paused_arms() and driver.hand_out() is driver.ledger.trials[1]


def test_stopping_lets_running_trials_end_their_epoch_and_hands_out_nothing(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    driver.engine.stop("Stopped by SIGINT.")
    assert not driver.engine.is_over() and driver.engine.suggest("another") is None
    assert driver.epoch(trial) and trial.epochs == trial.decided_epochs == 2 and trial.outcome is None
    assert driver.engine.is_over() and not driver.ended_workers


def test_what_runs_on_when_the_sweep_should_have_stopped_is_ended_and_no_failure(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.driver.controller.DRAIN_S", -1.0)
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    driver.engine.stop("Stopped by SIGINT.")
    assert driver.engine.is_over() and driver.engine.is_over() and driver.ended_workers == 1
    driver.fails(None)
    assert trial.outcome is None and not trial.died_at


def test_a_trial_that_somebody_stops_waits_for_the_next_start(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.driver.live_control.LOOK_EVERY_S", -1.0)
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    send(tmp_path / "tiny", Request(action="stop", trial=trial.number))
    assert not driver.engine.is_over() and not trial.held, "it may end its epoch"
    assert driver.epoch(trial) and trial.held
    other = driver.hand_out()
    assert other is not None and other.number == 2 and driver.agenda.held_trials() == [trial]
    driver.ledger.write(Restarted(reason="Ray died"))
    driver.ledger.write(Started())
    assert trial.held, "a driver whose Ray died is nobody's wish to go on"
    driver.ledger.write(Started())
    assert not trial.held


def test_a_full_disk_pauses_until_there_is_room(sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.state.disk.LOOK_EVERY_S", -1.0)
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    driver.space.min_free = 2.0**70
    assert driver.epoch(trial) and trial.outcome is None
    assert "pauses" in driver.said[-1] and driver.notes["paused"]
    assert driver.hand_out() is None and driver.engine.is_waiting()
    driver.space.min_free = 0
    assert driver.hand_out() is trial and not driver.engine.is_waiting()
    assert driver.notes["paused"] == "" and "continues" in driver.said[-1]


def test_a_task_waits_for_a_store_that_is_out_of_reach_and_counts_no_attempt(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    driver = EngineRig(sweep, tmp_path / "tiny", storage=str(tmp_path / "store"))
    trial = begin(driver)
    trial.origin = Origin("first", 1, (), None, 1)
    driver.fails(Wrapped(TrialFailure(DISPLACED, "its machine is gone")))
    (tmp_path / "store").rename(tmp_path / "away")
    monkeypatch.setattr("orchestrator.driver.controller.SHARE_AGAIN_S", -1.0)
    assert driver.hand_out() is None and driver.hand_out() is None and driver.engine.is_waiting()
    assert (trial.outcome, trial.attempts) == (None, 1) and not driver.engine.stop_reason
    assert len([line for line in driver.said if "waits until the store" in line]) == 1
    (tmp_path / "away").rename(tmp_path / "store")
    assert driver.hand_out() is trial and trial.attempts == 2 and not driver.engine.is_waiting()


def test_a_checkpoint_that_found_no_room_ends_no_trial(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    driver.fails(Wrapped(TrialFailure(DISK_FULL, "no space left")))
    assert trial.outcome is None and driver.hand_out() is None and driver.engine.is_waiting()


def test_an_epoch_that_is_executed_again_counts_once(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver, epochs=2)
    before = len(driver.ledger.read_events())
    assert not driver.engine.handle_report(
        driver.name, {"row": json.dumps(driver.ledger.read_rows(trial)[0]), "remarks": '["said"]'}
    )
    assert trial.epochs == 2 and len(driver.ledger.read_events()) == before and driver.said == ["said"]


def test_code_that_changed_is_said_once_an_arm(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    begin(driver)
    again = EngineRig(sweep, tmp_path / "tiny", code="other")
    trial = again.hand_out()
    assert trial is not None and trial.codes == ["code", "other"]
    again.fails(Wrapped(TrialFailure("error", "ValueError", "here")))
    again.hand_out()
    assert len([line for line in again.said if "The code has changed" in line]) == 1


def test_deaths_say_nothing_of_trials_while_the_sweep_is_stopping(sweep: Sweep, tmp_path: Path) -> None:
    """A batch system ends every process of a job, workers before the raylet."""
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    driver.engine.stop("Stopped by SIGTERM.")
    driver.fails(None)
    assert trial.outcome is None and not trial.died_at


def test_a_trial_whose_outbox_an_old_process_has_is_tried_again(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    trial = begin(driver)
    # A machine that is cut off may hold its locks for minutes.
    for _ in range(MAX_DISPLACEMENTS - 1):
        driver.fails(Wrapped(TrialFailure(DISPLACED, "another process still trains trial 1")))
        assert trial.outcome is None and not trial.died_at and driver.hand_out() is trial


def test_when_ray_gives_up_everything_the_trial_that_it_was_for_fails_and_the_others_go_on(
    sweep: Sweep, tmp_path: Path
) -> None:
    """A cluster's memory monitor ends `fit` as a whole."""
    driver = EngineRig(sweep, tmp_path / "tiny")
    hog = begin(driver)
    hogs_task = driver.name
    other = begin(driver)
    driver.engine.handle_ray_crash("Ray gave up: the node was running low on memory")
    assert hog.outcome is None and other.outcome is None
    driver.epoch(other)
    driver.engine.live = {hogs_task: driver.engine.live[hogs_task]} | driver.engine.live
    driver.engine.handle_ray_crash("Ray gave up: the node was running low on memory")
    assert (hog.outcome, hog.cause, other.outcome) == ("failed", "node", None)


def test_a_kill_for_memory_is_tried_again_as_a_death_where_there_is_no_more_to_give(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postmortem, "OOM_COUNTERS", (tmp_path / "vmstat",))
    (tmp_path / "vmstat").write_text("oom_kill 5\n")
    driver = EngineRig(sweep, tmp_path / "tiny", grows=False)
    trial = begin(driver)
    (tmp_path / "vmstat").write_text("oom_kill 6\n")
    driver.fails(None)
    assert trial.outcome is None and "the kernel killed its process" in driver.said[-1]
    assert driver.hand_out() is trial
    (tmp_path / "vmstat").write_text("oom_kill 7\n")
    driver.fails(None)
    assert (trial.outcome, trial.cause) == ("failed", "oom")


def test_an_evaluation_that_failed_is_said_and_tried_again_when_asked_for(sweep: Sweep, tmp_path: Path) -> None:
    driver = EngineRig(sweep, tmp_path / "tiny")
    driver.agenda.evaluates = True
    trial = begin(driver, epochs=2)
    assert driver.epoch(trial) and driver.hand_out() is trial
    driver.fails(Wrapped(TrialFailure("oom", "OutOfMemoryError: on a shared card")))
    assert trial.outcome == "completed" and "could not be evaluated: OutOfMemoryError" in driver.said[-1]
    assert not driver.agenda.wants_evaluation(trial)
    reopened = ledger_of(sweep, tmp_path / "tiny")
    retry(reopened, Screen(), ResumeOptions(retry_failed=True), ["all"])
    assert driver.agenda.wants_evaluation(reopened.trials[1])

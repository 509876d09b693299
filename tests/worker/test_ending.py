"""SIGTERM at a worker: an epoch that ends soon is kept, another one is broken off; neither is a failure."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from orchestrator.state.paths import OUTBOX, TRIAL_LOG
from orchestrator.storage.json_lines import read
from orchestrator.worker import actor
from orchestrator.worker.actor import Worker
from orchestrator.worker.attempt import TrialRun
from orchestrator.worker.failure import DISPLACED, TrialFailure
from orchestrator.worker.postmortem import END_SIGNAL, MACHINE, read_machine, was_told_to_end
from orchestrator.worker.spec import TrialSpec
from reports import vocabulary as words
from tests.support.spaces import trial_spec

WALK = str(Path(__file__).parents[1] / "support" / "walk.py")


@pytest.fixture(autouse=True)
def this_process_goes_on() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
    signal.signal(signal.SIGTERM, before)


def walk(folder: Path, *, signalled_at: int = 0, epoch_s: float = 0, grace_s: float = 20) -> TrialSpec:
    config = {"epoch_s": epoch_s, "signalled_at": signalled_at}
    return trial_spec(folder, folder=str(folder), trainable=WALK, config=config, seconds_after_sigterm=grace_s)


def begin(spec: TrialSpec) -> Worker:
    worker = Worker.__new__(Worker)
    worker.setup({"kind": "train", "spec": asdict(spec)})
    return worker


def step_until_it_fails(worker: Worker) -> TrialFailure:
    with pytest.raises(TrialFailure) as failure:
        for _ in range(9):
            worker.step()
    worker.cleanup()
    return failure.value


def scores(folder: Path) -> list[float]:
    return [line["metrics"]["val/score"] for line in read(folder / OUTBOX)[0] if "epoch" in line]


def undisturbed_scores(folder: Path, epochs: int) -> list[float]:
    run = TrialRun(walk(folder))
    for _ in range(epochs):
        run.step()
    run.close()
    return scores(folder)


def test_an_epoch_that_ends_in_time_is_kept_and_no_further_one_begins(tmp_path: Path) -> None:
    failure = step_until_it_fails(begin(walk(tmp_path, signalled_at=2, epoch_s=0.1)))
    assert (failure.cause, failure.reason) == (DISPLACED, "its process was told to end (SIGTERM)")
    assert scores(tmp_path) == undisturbed_scores(tmp_path / "undisturbed", 2)
    assert was_told_to_end(tmp_path / TRIAL_LOG, 1) and not was_told_to_end(tmp_path / TRIAL_LOG, 2)


def test_an_epoch_that_takes_too_long_is_broken_off_and_trained_again_exactly(tmp_path: Path) -> None:
    began = time.monotonic()
    failure = step_until_it_fails(begin(walk(tmp_path, signalled_at=1, epoch_s=60, grace_s=0.3)))
    assert failure.cause == DISPLACED and time.monotonic() - began < 30
    assert scores(tmp_path) == []
    # The last epoch took longer than this one may: nothing is gained by waiting.
    spec = replace(walk(tmp_path, signalled_at=2, epoch_s=1, grace_s=0.5), attempt=2)
    began = time.monotonic()
    failure = step_until_it_fails(begin(spec))
    assert failure.cause == DISPLACED and len(scores(tmp_path)) == 1
    run = TrialRun(replace(walk(tmp_path), attempt=3, reported_epochs=1))
    run.step()
    run.close()
    assert scores(tmp_path) == undisturbed_scores(tmp_path / "undisturbed", 2)
    assert "Traceback" not in (tmp_path / TRIAL_LOG).read_text()


def test_after_a_signal_between_two_epochs_no_other_one_begins(tmp_path: Path) -> None:
    worker = begin(walk(tmp_path))
    worker.step()
    os.kill(os.getpid(), signal.SIGTERM)
    # SIGKILL may come before the next step.
    assert was_told_to_end(tmp_path / TRIAL_LOG, 1)
    # Whatever the process is still given is given back.
    other = walk(tmp_path / "other")
    Path(other.folder).mkdir()
    assert worker.reset_config({"kind": "train", "spec": asdict(other)})
    assert step_until_it_fails(worker).cause == DISPLACED
    assert was_told_to_end(tmp_path / "other" / TRIAL_LOG, 1) and not (tmp_path / "other" / OUTBOX).exists()
    with pytest.raises(SystemExit):
        os.kill(os.getpid(), signal.SIGTERM)


def test_ray_ends_a_worker_whose_task_is_over_by_a_signal_of_which_its_trial_says_nothing(tmp_path: Path) -> None:
    worker = begin(walk(tmp_path))
    worker.step()
    worker.cleanup()
    os.kill(os.getpid(), signal.SIGTERM)
    assert not was_told_to_end(tmp_path / TRIAL_LOG, 1)


def test_a_signal_that_comes_before_the_process_has_named_its_machine_is_not_overlooked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = begin(walk(tmp_path))

    def be_told_to_end_by_ray() -> str:
        if not worker._end_signal.has_come:
            os.kill(os.getpid(), signal.SIGTERM)
        return "a1"

    # There is no Ray here, which knows the machine.
    monkeypatch.setattr(actor, "machine_id", be_told_to_end_by_ray)
    worker.step()
    worker.cleanup()
    assert read_machine(tmp_path / TRIAL_LOG, 1) == "a1" and was_told_to_end(tmp_path / TRIAL_LOG, 1)


def test_an_evaluation_that_dies_while_it_imports_is_not_taken_for_the_process_before_that_was_told_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / TRIAL_LOG
    log.write_text(f"{MACHINE} a1, here\n{END_SIGNAL}, attempt 1\n")
    assert was_told_to_end(log, 1)
    # There is no Ray here, which knows the machine.
    monkeypatch.setattr(actor, "machine_id", lambda: "b2")
    monkeypatch.setitem(sys.modules, "orchestrator.worker.evaluation", None)
    worker = Worker.__new__(Worker)
    worker.setup({"kind": "evaluate", "spec": asdict(walk(tmp_path))})
    assert step_until_it_fails(worker).cause == words.CAUSE_ERROR
    assert read_machine(log, 1) == "b2" and not was_told_to_end(log, 1)


@pytest.mark.parametrize("receiver", ["worker", "keeper", "command"])
def test_a_command_is_ended_with_its_trial_and_its_end_is_not_the_end_of_the_training(
    tmp_path: Path, receiver: str
) -> None:
    saves = "" if receiver == "command" else "trap 'touch ended; exit 0' TERM; "
    code = f"{saves}echo $$ > pid; echo '{{\"val/score\": 1}}'; while :; do sleep 0.1; done"
    command = {"command": ["sh", "-c", code], "objective": "val/score", "mode": "max", "folder": str(tmp_path)}
    spec = trial_spec(
        tmp_path,
        folder=str(tmp_path),
        trainable=command | {"grace_s": 5.0},
        config={},
        max_epochs=9,
        seconds_after_sigterm=0.5,
    )
    worker = begin(spec)
    assert json.loads(worker.step()["row"])["metrics"]["val/score"] == 1
    script = psutil.Process(int((tmp_path / "pid").read_text()))
    receivers = {"worker": psutil.Process(), "keeper": script.parent(), "command": script}
    process = receivers[receiver]
    assert process is not None
    # While the next epoch waits for the command.
    signal.signal(signal.SIGALRM, lambda number, frame: process.send_signal(signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    failure = step_until_it_fails(worker)
    assert failure.cause == DISPLACED and "told to end (SIGTERM)" in failure.reason
    assert not script.is_running()
    assert (tmp_path / "ended").exists() == (receiver != "command")

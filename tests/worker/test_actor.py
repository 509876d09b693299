"""The actor's own part: exceptions that leave it with their cause, even on a full disk."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from orchestrator.worker.actor import Worker
from orchestrator.worker.failure import DISK_FULL, TrialFailure, as_failure
from orchestrator.worker.postmortem import cause_of_death
from tests.support.spaces import trial_spec

ODD = Path(__file__).parents[1] / "support" / "odd.py"


def run_two_epochs(folder: Path, behaviour: str, **limits: float) -> None:
    worker = Worker.__new__(Worker)
    spec = trial_spec(folder, folder=str(folder), trainable=str(ODD), config={"behaviour": behaviour}, **limits)
    worker.setup({"kind": "train", "spec": asdict(spec)})
    try:
        for _ in range(2):
            worker.step()
    finally:
        worker.cleanup()


def test_a_trial_that_raises_says_why_and_where(tmp_path: Path) -> None:
    with pytest.raises(TrialFailure, match=r"a shape that does not fit \(odd\.py:") as failure:
        run_two_epochs(tmp_path, "raise")
    assert failure.value.cause == "error"
    assert "Traceback" in (tmp_path / "log.txt").read_text()


def test_a_trial_that_ends_its_process_is_told_from_one_that_was_killed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run_two_epochs(tmp_path, "quit")
    cause, reason = cause_of_death(tmp_path / "log.txt", 1, out_of_memory=lambda: False)
    assert cause == "node" and "sys.exit(4)" in reason


def test_a_log_that_the_disk_has_no_room_for_is_the_disks_failure_and_not_the_trials(tmp_path: Path) -> None:
    (tmp_path / "log.txt").symlink_to("/dev/full")
    with pytest.raises(TrialFailure) as failure:
        run_two_epochs(tmp_path, "raise")
    assert failure.value.cause == DISK_FULL


def test_a_checkpoint_that_the_disk_has_no_room_for_is_the_disks_failure(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "saving.tmp").symlink_to("/dev/full")
    with pytest.raises(TrialFailure) as failure:
        run_two_epochs(tmp_path, "good")
    assert failure.value.cause == DISK_FULL


def test_what_hangs_before_its_first_epoch_is_ended_too(tmp_path: Path) -> None:
    with pytest.raises(TrialFailure, match=r"not ready to train within 10 times limits\.minutes_per_epoch") as failure:
        run_two_epochs(tmp_path, "hang_at_start", minutes_per_epoch=0.002)
    assert failure.value.cause == "timeout"


def test_what_torch_says_of_missing_memory_is_one() -> None:
    said = (
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    assert as_failure(RuntimeError(said)).cause == "oom"

"""A machine of the cluster that does not see the home is found out before it trains into a disk of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.state.paths import trial_folder
from orchestrator.worker.actor import Worker
from orchestrator.worker.ending import EndSignal
from orchestrator.worker.failure import UNFIT_MACHINE, TrialFailure, UnfitMachine, as_failure
from orchestrator.worker.home_check import TOKEN, check_token
from orchestrator.worker.spec import TrialSpec
from orchestrator.worker.versions import SOURCE
from tests.driver.test_controller import ONE_ARM, begin
from tests.support.engine_rig import EngineRig, Wrapped
from tests.support.spaces import noop_sweep, trial_spec


@pytest.fixture
def start_worker() -> Iterator[Callable[[TrialSpec], Worker]]:
    """Start workers outside of Ray; they replace the handler of SIGTERM."""
    handler = signal.getsignal(signal.SIGTERM)

    def start(spec: TrialSpec) -> Worker:
        worker = Worker.__new__(Worker)
        worker._end_signal = EndSignal()
        worker._task, worker._run = {"kind": "train", "spec": vars(spec)}, None
        return worker

    yield start
    signal.signal(signal.SIGTERM, handler)


def test_a_worker_that_does_not_see_the_sweeps_folder_makes_none(tmp_path: Path) -> None:
    with pytest.raises(UnfitMachine, match=r"not shared with .*, which has joined the cluster; mount it there"):
        check_token(tmp_path / "elsewhere" / "tiny", "token")
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / TOKEN).write_text("of another driver")
    with pytest.raises(UnfitMachine):
        check_token(tmp_path, "token")
    (tmp_path / TOKEN).write_text("token")
    check_token(tmp_path, "token")


def test_a_home_that_a_machine_does_not_share_ends_the_sweep_and_no_trial(tmp_path: Path) -> None:
    driver = EngineRig(noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny")
    trial = begin(driver)
    failure = as_failure(UnfitMachine("the home is not shared with node-7"))
    assert failure.cause == UNFIT_MACHINE
    driver.fails(Wrapped(failure))
    assert trial.outcome is None and trial.deaths == 0
    assert driver.engine.stop_reason == "the home is not shared with node-7" and driver.hand_out() is None


def test_a_ray_worker_on_such_a_machine_reports_it_before_it_writes(
    tmp_path: Path, start_worker: Callable[[TrialSpec], Worker]
) -> None:
    worker = start_worker(trial_spec(tmp_path / "elsewhere" / "tiny", token="token"))
    with pytest.raises(TrialFailure) as failure:
        worker.step()
    assert failure.value.cause == UNFIT_MACHINE
    assert not trial_folder(tmp_path / "elsewhere" / "tiny", 1).exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"versions": {SOURCE: "00000000"}}, "source of orchestrate .* instead of 00000000"),
        ({"files": ("/nowhere/net.py",)}, "it does not see /nowhere/net.py"),
    ],
)
def test_a_worker_looks_for_itself_on_a_machine_at_which_the_driver_has_not_looked(
    tmp_path: Path, start_worker: Callable[[TrialSpec], Worker], changes: dict[str, Any], said: str
) -> None:
    spec = trial_spec(tmp_path / "tiny", token="token", **changes)
    worker = start_worker(spec)
    with pytest.raises(TrialFailure, match=said) as failure:
        worker.step()
    assert failure.value.cause == UNFIT_MACHINE
    # Outside of Ray a machine has the id "". It was looked at, and has another home.
    worker._task = {"kind": "train", "spec": vars(spec) | {"looked_at": ("",)}}
    with pytest.raises(TrialFailure, match="is not shared"):
        worker.step()

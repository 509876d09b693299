"""Uploads while the next epoch trains: what waits for them, what does not, and what a loss between the two costs.

The store is a folder. It takes nothing of an upload while a file stands where the folder of that upload has to be.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.exchange.shared import LIST, publish
from orchestrator.exchange.snapshots import fetch, read_epochs
from orchestrator.exchange.writers import Writer, driver_prefix, trial_prefix
from orchestrator.state.paths import CHECKPOINT, LAST, OUTBOX
from orchestrator.storage.json_lines import Line, read
from orchestrator.storage.objects import ObjectStore, StoreError
from orchestrator.worker import remote_home
from orchestrator.worker.actor import Worker
from orchestrator.worker.attempt import TrialRun
from orchestrator.worker.failure import DISPLACED, TrialFailure
from orchestrator.worker.spec import TrialSpec
from tests.support.spaces import trial_spec

WALK = str(Path(__file__).parents[1] / "support" / "walk.py")
DRIVER = "0001-abcd"
PREFIX = trial_prefix("tiny", 1)
PATIENCE_S = 60


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """The store, a folder."""
    (tmp_path / "store").mkdir()
    return ObjectStore(str(tmp_path / "store"), print, patience_s=0.1)


@pytest.fixture
def spec(tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> TrialSpec:
    """A trial of a random walk, of which the store has what trials share: nothing."""
    monkeypatch.setenv(remote_home.SCRATCH, str(tmp_path / "machine"))
    monkeypatch.setattr(remote_home, "LATE_UPLOAD_S", 0.5)
    home = tmp_path / "home"
    home.mkdir()
    shared = publish(store, f"{driver_prefix('tiny', DRIVER)}/{LIST}", home, [], tmp_path / LIST, lambda *each: None)
    return trial_spec(
        home,
        folder=str(home / "tiny" / "trials" / "0001"),
        id="id",
        trainable=WALK,
        config={},
        max_epochs=9,
        storage={"uri": store.uri, "sweep": "tiny", "driver": DRIVER, "shared": shared},
    )


@pytest.fixture
def start() -> Iterator[Callable[[TrialSpec], Worker]]:
    """Start workers outside of Ray; they replace the handler of SIGTERM."""
    handler = signal.getsignal(signal.SIGTERM)

    def start_worker(spec: TrialSpec) -> Worker:
        worker = Worker.__new__(Worker)
        worker.setup({"kind": "train", "spec": asdict(spec)})
        return worker

    yield start_worker
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
    signal.signal(signal.SIGTERM, handler)


class Obstacle:
    """The store does not take an upload until something has happened.

    Attributes:
        stored: the epochs in the store when that has happened.
    """

    def __init__(self, store: ObjectStore, upload: int, attempt: int = 1) -> None:
        self._prefix, self._store = f"{PREFIX}/{Writer(DRIVER, attempt)}", store
        self._path = Path(store.uri, self._prefix, f"{upload:06d}")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        self._thread = threading.Thread()
        self.stored: int | None = None

    def remove(self) -> None:
        """Let the store take the upload."""
        self.stored = read_epochs(self._store, self._prefix, 1)
        self._path.unlink()

    def remove_when(self, has_happened: Callable[[], bool]) -> None:
        """Do so in a thread once something has happened."""

        def watch() -> None:
            deadline = time.monotonic() + PATIENCE_S
            while not has_happened() and time.monotonic() < deadline:
                time.sleep(0.02)
            self.remove()

        self._thread = threading.Thread(target=watch, daemon=True)
        self._thread.start()


def row_of(worker: Worker) -> Line:
    row: Line = json.loads(worker.step()["row"])
    return row


def without_times(row: Line) -> Line:
    return {"epoch": row["epoch"], "score": row["metrics"]["val/score"]}


def stored_epochs(store: ObjectStore, attempt: int = 1) -> int:
    return read_epochs(store, f"{PREFIX}/{Writer(DRIVER, attempt)}", 1)


def local_rows(worker: Worker) -> list[Line]:
    return [line for line in read(Path(worker._task["spec"]["folder"]) / OUTBOX)[0] if "epoch" in line]


def undisturbed(spec: TrialSpec, folder: Path, epochs: int) -> tuple[list[Line], dict[str, Any]]:
    """The rows of a trial where every machine sees the home, without times, and its state."""
    run = TrialRun(replace(spec, folder=str(folder), storage={}))
    rows = [without_times(run.step()) for _ in range(epochs)]
    run.close()
    return rows, torch.load(folder / CHECKPOINT / LAST, weights_only=True)["state"]


def state_in(store: ObjectStore, folder: Path, attempt: int) -> tuple[list[Line], dict[str, Any]]:
    """The outbox and the state that the store has of an attempt."""
    folder.mkdir()
    fetch(store, f"{PREFIX}/{Writer(DRIVER, attempt)}", folder, lambda name: True, {})
    lines = [line for line in read(folder / OUTBOX)[0] if "epoch" in line]
    return lines, torch.load(folder / CHECKPOINT / LAST, weights_only=True)["state"]


def test_an_epoch_trains_while_the_one_before_is_uploaded_and_is_reported_after_that(
    spec: TrialSpec, store: ObjectStore, tmp_path: Path, start: Callable[[TrialSpec], Worker]
) -> None:
    worker = start(spec)
    row_of(worker)
    # The first upload is that of an empty folder.
    obstacle = Obstacle(store, upload=3)
    assert row_of(worker)["epoch"] == 2 and stored_epochs(store) == 1
    obstacle.remove_when(lambda: len(local_rows(worker)) == 3)
    third = row_of(worker)
    assert obstacle.stored == 1 and stored_epochs(store) >= 2
    fourth = row_of(worker)
    # What training waited for is in the row of the epoch after that.
    assert fourth["metrics"]["time/upload_s"] > third["metrics"]["time/upload_s"] < 0.3
    worker.cleanup()
    rows, state = undisturbed(spec, tmp_path / "alone", 4)
    stored, state_there = state_in(store, tmp_path / "fetched", 1)
    assert [without_times(row) for row in stored] == rows
    assert torch.equal(state_there["place"], state["place"])


def test_an_epoch_that_was_reported_and_lost_is_trained_again_without_another_row(
    spec: TrialSpec,
    store: ObjectStore,
    tmp_path: Path,
    start: Callable[[TrialSpec], Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, state = undisturbed(spec, tmp_path / "alone", 4)
    lost = start(spec)
    row_of(lost)
    obstacle = Obstacle(store, upload=3)
    reported = row_of(lost)
    assert stored_epochs(store) == 1
    # The machine is cut off before the store has its second epoch.
    monkeypatch.setenv(remote_home.SCRATCH, str(tmp_path / "second"))
    fresh = start(replace(spec, attempt=2, reported_epochs=2, last_row=reported))
    step = fresh.step()
    assert json.loads(step["remarks"]) == ["trial 1 resumes from epoch 1, although it had reached epoch 2"]
    assert without_times(json.loads(step["row"])) == without_times(reported) == rows[1]
    assert [without_times(row_of(fresh)) for _ in range(2)] == rows[2:]
    # It comes back, and writes what nobody reads.
    obstacle.remove()
    lost.cleanup()
    assert stored_epochs(store) == 2
    fresh.cleanup()
    stored, state_there = state_in(store, tmp_path / "fetched", 2)
    # The row of the second epoch is the reported one, with its times.
    assert stored[1] == reported and [without_times(row) for row in stored] == rows
    assert torch.equal(state_there["place"], state["place"])
    third = start(replace(spec, attempt=3, reported_epochs=4, last_row=stored[-1]))
    assert row_of(third)["epoch"] == 5
    third.cleanup()


def test_the_first_epoch_that_was_lost_is_trained_again_too(
    spec: TrialSpec, store: ObjectStore, tmp_path: Path, start: Callable[[TrialSpec], Worker]
) -> None:
    obstacle = Obstacle(store, upload=2)
    lost = start(spec)
    reported = row_of(lost)
    fresh = start(replace(spec, attempt=2, reported_epochs=1, last_row=reported))
    rows = [without_times(row_of(fresh)) for _ in range(2)]
    assert rows == undisturbed(spec, tmp_path / "alone", 2)[0]
    fresh.cleanup()
    assert state_in(store, tmp_path / "fetched", 2)[0][0] == reported
    obstacle.remove()
    lost.cleanup()


def test_a_later_attempt_waits_for_what_the_one_before_still_writes(
    spec: TrialSpec, store: ObjectStore, start: Callable[[TrialSpec], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_home, "LATE_UPLOAD_S", PATIENCE_S)
    paused = start(spec)
    row_of(paused)
    obstacle = Obstacle(store, upload=3)
    reported = row_of(paused)
    fresh = start(replace(spec, attempt=2, reported_epochs=2, last_row=reported))
    obstacle.remove_when(Path(fresh._task["spec"]["folder"]).exists)
    step = fresh.step()
    assert json.loads(step["row"])["epoch"] == 3 and json.loads(step["remarks"]) == []
    paused.cleanup()
    fresh.cleanup()


def test_the_end_of_a_task_waits_for_its_upload(
    spec: TrialSpec, store: ObjectStore, start: Callable[[TrialSpec], Worker]
) -> None:
    worker = start(spec)
    row_of(worker)
    obstacle = Obstacle(store, upload=3)
    row_of(worker)
    obstacle.remove_when(lambda: worker._run is None)
    worker.cleanup()
    assert obstacle.stored == 1 and stored_epochs(store) == 2
    assert not Path(worker._task["spec"]["folder"]).exists()


def test_an_epoch_that_no_later_task_would_train_again_is_reported_once_it_is_stored(
    spec: TrialSpec, store: ObjectStore, start: Callable[[TrialSpec], Worker]
) -> None:
    worker = start(replace(spec, stored_epochs=(2,)))
    row_of(worker)
    obstacle = Obstacle(store, upload=3)
    obstacle.remove_when(lambda: len(local_rows(worker)) == 2)
    assert row_of(worker)["epoch"] == 2
    assert obstacle.stored in (0, 1) and stored_epochs(store) == 2
    worker.cleanup()


def test_an_epoch_that_ends_after_sigterm_is_reported_once_it_is_stored(
    spec: TrialSpec, store: ObjectStore, start: Callable[[TrialSpec], Worker]
) -> None:
    worker = start(replace(spec, config={"signalled_at": 2}))
    row_of(worker)
    obstacle = Obstacle(store, upload=3)
    obstacle.remove_when(lambda: len(local_rows(worker)) == 2)
    assert row_of(worker)["epoch"] == 2
    assert obstacle.stored in (0, 1) and stored_epochs(store) == 2
    with pytest.raises(TrialFailure) as failure:
        worker.step()
    assert failure.value.cause == DISPLACED
    worker.cleanup()


def test_after_a_signal_between_two_epochs_the_upload_ends(
    spec: TrialSpec, store: ObjectStore, start: Callable[[TrialSpec], Worker]
) -> None:
    worker = start(spec)
    row_of(worker)
    obstacle = Obstacle(store, upload=3)
    row_of(worker)
    obstacle.remove_when(lambda: worker._end_signal.has_come)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(TrialFailure) as failure:
        worker.step()
    assert failure.value.cause == DISPLACED and obstacle.stored == 1 and stored_epochs(store) == 2
    worker.cleanup()


def test_an_error_of_an_upload_reaches_the_next_epoch_which_is_not_trained(
    spec: TrialSpec, store: ObjectStore, tmp_path: Path, start: Callable[[TrialSpec], Worker]
) -> None:
    worker = start(spec)
    row_of(worker)
    files = worker._remote_home
    assert files is not None
    files.wait()
    shutil.move(tmp_path / "store", tmp_path / "unmounted")
    assert row_of(worker)["epoch"] == 2
    with pytest.raises(StoreError, match="there is no such folder"):
        files.wait()
    with pytest.raises(TrialFailure, match="there is no such folder on this machine") as failure:
        worker.step()
    assert failure.value.cause == DISPLACED and len(local_rows(worker)) == 2
    worker.cleanup()
    shutil.move(tmp_path / "unmounted", tmp_path / "store")
    assert stored_epochs(store) == 1

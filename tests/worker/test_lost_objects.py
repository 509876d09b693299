"""A task on a machine that does not share the home: what the store has lost, and what another task has left there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from orchestrator.exchange.snapshots import read_snapshot
from orchestrator.exchange.writers import Writer
from orchestrator.state.paths import TRIAL_LOG
from orchestrator.storage.objects import ObjectStore
from orchestrator.worker.actor import Worker
from orchestrator.worker.remote_home import local_trial_folder
from orchestrator.worker.spec import TrialSpec
from tests.worker.test_overlap import DRIVER, PREFIX, spec, start, state_in, store, undisturbed, without_times

__all__ = ["spec", "start", "store"]


@pytest.fixture
def trained(spec: TrialSpec, start: Callable[[TrialSpec], Worker]) -> Iterator[TrialSpec]:
    """The next attempt at a trial of which the store has three epochs."""
    worker = start(spec)
    rows = [json.loads(worker.step()["row"]) for _ in range(3)]
    worker.cleanup()
    yield replace(spec, attempt=2, reported_epochs=3, last_row=rows[-1])


def lose(store: ObjectStore, *names: str) -> None:
    """Let the store lose the objects of files of the first attempt."""
    snapshot = read_snapshot(store, f"{PREFIX}/{Writer(DRIVER, 1)}")
    assert snapshot is not None
    for key in {snapshot.files[name].key for name in names}:
        store.delete(key)


@pytest.mark.parametrize(
    ("lost", "first"), [("config.yaml", 4), ("checkpoint/last.pt", 1), ("checkpoint/best.pt", 1), ("outbox.jsonl", 1)]
)
def test_a_trial_goes_on_without_what_the_store_has_lost(
    trained: TrialSpec,
    store: ObjectStore,
    tmp_path: Path,
    start: Callable[[TrialSpec], Worker],
    lost: str,
    first: int,
) -> None:
    # Each epoch of the walk is the best so far, so that the last and the best checkpoint are one object.
    lose(store, lost)
    worker = start(trained)
    reported = [json.loads(worker.step()["row"]) for _ in range(first, 5)]
    folder = Path(worker._task["spec"]["folder"])
    assert f"has lost {'checkpoint/best.pt, checkpoint/last.pt' if 'checkpoint' in lost else lost};" in (
        (folder / TRIAL_LOG).read_text()
    )
    worker.cleanup()
    rows, state = undisturbed(trained, tmp_path / "alone", 4)
    assert [without_times(row) for row in reported] == rows[first - 1 :]
    stored, state_there = state_in(store, tmp_path / "fetched", 2)
    assert [without_times(row) for row in stored] == rows and torch.equal(state_there["place"], state["place"])


def test_a_task_that_was_given_up_leaves_the_folder_of_a_newer_one(
    spec: TrialSpec, store: ObjectStore, start: Callable[[TrialSpec], Worker]
) -> None:
    old = start(spec)
    old.step()
    assert old._remote_home is not None
    old._remote_home.wait()
    newer = [start(replace(spec, attempt=2, reported_epochs=1))]
    newer.append(start(replace(spec, storage={**spec.storage, "evaluation": 7}, reported_epochs=1)))
    for worker in newer:
        assert worker._remote_home is not None
        worker._remote_home.begin()
    old.step()
    old._remote_home.wait()
    names = {folder.name for folder in local_trial_folder(store.uri, "tiny", 1).iterdir()}
    assert names == {f"{DRIVER}-0001", f"{DRIVER}-0002", f"{DRIVER}-0001-e7"}
    for worker in (old, *newer):
        worker.cleanup()

"""What the driver fetches of a trial, and when: beside another one, at the end, and from a damaged store."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from orchestrator.exchange.adoption import adopt_sweep
from orchestrator.exchange.driver_side import Exchange
from orchestrator.exchange.folder_writer import FolderWriter
from orchestrator.exchange.snapshots import list_writers
from orchestrator.exchange.writers import Writer
from orchestrator.policy.agenda import Agenda
from orchestrator.state.origin import Origin
from orchestrator.state.paths import trial_folder
from orchestrator.state.trial import Trial
from orchestrator.storage.objects import ObjectStore, StoreError
from tests.driver.test_controller import ONE_ARM, begin
from tests.exchange.test_adoption import object_of
from tests.exchange.test_driver_side import Rig, files_in, rig
from tests.policy.test_linked_trials import sweep_of, train
from tests.support.engine_rig import EngineRig
from tests.support.spaces import noop_sweep

__all__ = ["rig"]


def end(rig: Rig, outcome: str = "completed") -> Trial:
    """A trial that has trained an epoch and has ended."""
    trial = rig.begin()
    rig.train(trial, *rig.worker(trial), 1)
    rig.ledger.end(trial, outcome)
    return trial


def exchange_of(driver: EngineRig) -> Exchange:
    files = driver.engine.callbacks.files
    assert isinstance(files, Exchange)
    return files


def test_a_lost_file_keeps_nothing_else_from_the_home(rig: Rig) -> None:
    trial = end(rig)
    object_of(rig, trial, "log.txt").unlink()
    # As after an evaluation, which has not failed.
    rig.exchange.fetch(trial)
    assert files_in(rig.folder(trial)) == {
        "outbox.jsonl",
        "media/epoch_01/clips.json",
        "checkpoint/last.pt",
        "checkpoint/best.pt",
    }


def test_an_outbox_that_the_store_has_lost_ends_nothing(rig: Rig) -> None:
    trial = end(rig)
    object_of(rig, trial, "outbox.jsonl").write_bytes(b"damaged\n")
    rig.exchange.fetch(trial)
    with rig.exchange.run(lambda: False):
        pass
    # Nobody writes any more, and the rows came with their reports.
    assert {"checkpoint/best.pt", "fetched.json"} < files_in(rig.folder(trial)) and not rig.said


def test_a_manifest_of_another_form_ends_nothing(rig: Rig) -> None:
    trial, other = end(rig), end(rig)
    manifest = json.dumps({"trial": trial.id, "files": ["log.txt"]}).encode()
    rig.store.put(f"tiny/trials/0001/{Writer(rig.exchange.driver, 1)}/manifest.json", manifest)
    with rig.exchange.run(lambda: False):
        pass
    assert "fetched.json" in files_in(rig.folder(other))


def test_one_trial_is_fetched_while_another_one_is(rig: Rig) -> None:
    slow, other = end(rig), end(rig)
    with rig.exchange._fetcher.lock(slow):
        thread = threading.Thread(target=rig.exchange.fetch, args=[other], daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive() and "fetched.json" in files_in(rig.folder(other))


def test_who_wants_to_stop_gets_what_was_evaluated_without_the_checkpoints(rig: Rig) -> None:
    trial = end(rig)
    with rig.exchange.run(lambda: True):
        rig.exchange.fetch(trial)
        assert files_in(rig.folder(trial)) == {"outbox.jsonl", "log.txt", "media/epoch_01/clips.json"}


def test_an_attempt_that_begins_meanwhile_is_not_fetched_yet(rig: Rig) -> None:
    trial = end(rig)

    def begin_another() -> bool:
        trial.attempts = 2
        return False

    rig.exchange._is_hurried = begin_another
    rig.exchange.fetch(trial)
    assert json.loads((rig.folder(trial) / "fetched.json").read_text()) == {"attempt": 1}


def test_a_trial_of_which_nothing_follows_is_forgotten_and_not_fetched_again(rig: Rig) -> None:
    trial = end(rig)
    rig.exchange.settle(trial, keeps_checkpoints=True)
    fetcher = rig.exchange._fetcher
    assert fetcher.fetch_rest(trial, is_last=False) and not fetcher._present
    rig.store.delete_below("tiny/trials")
    (rig.folder(trial) / "log.txt").unlink()
    assert fetcher.fetch_rest(trial, is_last=False) and "log.txt" not in files_in(rig.folder(trial))


def test_the_end_of_the_log_does_not_wait_for_what_the_store_does_not_take(rig: Rig) -> None:
    rig.begin()
    lock, closed = rig.exchange._files._lock, threading.Event()

    def hold() -> None:
        with lock:
            closed.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    began_s = time.monotonic()
    rig.exchange.close()
    closed.set()
    thread.join()
    assert time.monotonic() - began_s < 10 and "does not take the end of the sweep's log" in rig.said[0]


def test_a_wait_for_the_store_ends_soon_after_the_user_wants_to_stop(tmp_path: Path) -> None:
    (tmp_path / "tiny").touch()
    store = ObjectStore(str(tmp_path), lambda line: setattr(store, "patience_s", 1.0), patience_s=600)
    began_s = time.monotonic()
    with pytest.raises(StoreError, match="can't write tiny/sweep"):
        store.put("tiny/sweep.jsonl", b"")
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize("keeps", [True, False])
def test_what_an_earlier_driver_has_pruned_is_fetched_or_deleted_by_the_next_one(tmp_path: Path, keeps: bool) -> None:
    store = ObjectStore(str(tmp_path / "store"), print, patience_s=0.1)
    (tmp_path / "store").mkdir()
    sweep = noop_sweep(tmp_path, **ONE_ARM, storage=store.uri, disk={"keep_pruned_checkpoints": keeps})
    first = EngineRig(sweep, tmp_path / "tiny", storage=store.uri)
    trial = begin(first)
    (tmp_path / "machine" / "checkpoint").mkdir(parents=True)
    (tmp_path / "machine" / "checkpoint" / "best.pt").write_text("weights")
    (tmp_path / "machine" / "outbox.jsonl").write_bytes((trial_folder(first.folder, 1) / "outbox.jsonl").read_bytes())
    FolderWriter(store, f"tiny/trials/0001/{Writer('0001-abcd', 1)}", tmp_path / "machine", trial.id).push()
    first.ledger.end(trial, "pruned")
    again = EngineRig(sweep, tmp_path / "tiny", storage=store.uri)
    with exchange_of(again).run(lambda: False):
        pass
    assert ("checkpoint/best.pt" in files_in(trial_folder(first.folder, 1))) == keeps
    assert any(key.endswith("best.pt") for key in store.list("tiny/trials")) == keeps
    assert (trial_folder(first.folder, 1) / "fetched.json").exists()


def test_an_empty_home_gets_the_checkpoints_of_a_pruned_trial_that_are_in_the_store(rig: Rig, tmp_path: Path) -> None:
    end(rig, "pruned")
    with rig.exchange.run(lambda: False):
        pass
    adopt_sweep(tmp_path / "other", "tiny", rig.uri, print)
    assert "checkpoint/best.pt" in files_in(trial_folder(tmp_path / "other" / "tiny", 1))


def test_a_trial_that_was_taken_over_is_in_the_store_though_no_task_follows(rig: Rig) -> None:
    task = Agenda(rig.sweep, rig.ledger, evaluates=False).next_task(set())
    assert task is not None
    task.trial.origin = Origin("first", 1, (), None, 1)
    task.trial.outcome = "completed"
    (rig.folder(task.trial) / "checkpoint").mkdir(parents=True)
    (rig.folder(task.trial) / "checkpoint" / "best.pt").write_text("weights")
    with rig.exchange.run(lambda: False):
        pass
    assert list_writers(rig.store, "tiny/trials/0001") == [Writer(rig.exchange.driver, 0)]
    assert "fetched.json" in files_in(rig.folder(task.trial))


def test_what_is_taken_over_is_written_to_the_store_soon(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    home, uri = tmp_path / "home", str(tmp_path / "store")
    train(EngineRig(sweep_of(tmp_path, "first"), home / "first"))
    second = EngineRig(sweep_of(tmp_path, "second", storage=uri), home / "second", storage=uri)
    with exchange_of(second).run(lambda: False):
        assert second.hand_out() is None
        followed = set(second.ledger.trials)
    store = ObjectStore(uri, print, patience_s=0.1)
    assert followed and all(list_writers(store, f"second/trials/{number:04d}") for number in followed)

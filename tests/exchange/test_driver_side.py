"""The driver's side of a sweep whose machines do not share the home, without Ray: what comes into the home when."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.exchange.adoption import adopt_sweep
from orchestrator.exchange.driver_side import Exchange
from orchestrator.exchange.folder_writer import FolderWriter, Taken
from orchestrator.exchange.opening import describe_access, open_exchange
from orchestrator.exchange.shared import fetch_shared, publish
from orchestrator.exchange.snapshots import list_writers
from orchestrator.exchange.writers import Writer, trial_prefix
from orchestrator.policy.agenda import Agenda
from orchestrator.state.ledger import Ledger
from orchestrator.state.origin import Origin
from orchestrator.state.paths import trial_folder
from orchestrator.state.trial import Trial
from orchestrator.storage.json_lines import Line
from orchestrator.storage.objects import ObjectStore, StoreError
from orchestrator.worker.outbox import Outbox
from tests.support.driving import ledger_of
from tests.support.spaces import noop_sweep


class Rig:
    """A driver in a home, and a machine with a folder of its own."""

    def __init__(self, root: Path, home: str = "home", hours: float | None = None) -> None:
        self.root, self.home, self.store_folder = root, root / home, root / "store"
        self.store_folder.mkdir(exist_ok=True)
        self.uri = str(self.store_folder)
        budget = {"trials_per_arm": 6, "max_epochs": 1, **({"hours": hours} if hours else {})}
        self.sweep = noop_sweep(root, compare=None, storage=self.uri, budget=budget, pruning="none")
        (self.home / "tiny").mkdir(parents=True, exist_ok=True)
        (self.home / "tiny" / "search_space.yaml").write_text(self.sweep.text)
        self.ledger: Ledger = ledger_of(self.sweep, self.home / "tiny")
        self.said: list[str] = []
        self.logs = ""
        self.exchange: Exchange = open_exchange(
            self.ledger, self.uri, self.said.append, lambda uri, sweep, number: self.logs
        )
        self.store = ObjectStore(self.uri, print, patience_s=0.1)

    def begin(self) -> Trial:
        """The next trial, about to be trained."""
        task = Agenda(self.sweep, self.ledger, evaluates=False).next_task(set(self.ledger.live))
        assert task is not None
        self.ledger.attempt(task.trial, "code")
        return task.trial

    def worker(self, trial: Trial) -> tuple[Path, FolderWriter]:
        """A machine that trains a trial: its folder, and what writes it to the store."""
        folder = self.root / f"machine-{trial.number}-{trial.attempts}"
        prefix = f"{trial_prefix('tiny', trial.number)}/{Writer(self.exchange.driver, trial.attempts)}"
        return folder, FolderWriter(self.store, prefix, folder, trial.id)

    def train(self, trial: Trial, folder: Path, writer: FolderWriter, epoch: int) -> None:
        """An epoch, from its training to its report, which the store has."""
        writer.write(self.report(trial, folder, writer, epoch))

    def report(self, trial: Trial, folder: Path, writer: FolderWriter, epoch: int) -> Taken:
        """An epoch, from its training to its report, and what is still to be written to the store."""
        (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
        (folder / "checkpoint/last.pt").write_text(f"epoch {epoch}")
        (folder / "checkpoint/best.pt").write_text(f"best {epoch}")
        (folder / f"media/epoch_{epoch:02d}").mkdir(parents=True, exist_ok=True)
        (folder / f"media/epoch_{epoch:02d}/clips.json").write_text("{}")
        (folder / "log.txt").write_text(f"log of epoch {epoch}")
        row = row_of(trial, epoch)
        outbox = Outbox(folder, trial.number, trial.id, trial.since)
        outbox.append(row)
        outbox.close()
        taken = writer.take()
        self.exchange.record(trial, json.loads(json.dumps(row)))
        self.ledger.report(trial, row)
        self.ledger.decide(trial, epoch)
        return taken

    def folder(self, trial: Trial) -> Path:
        return trial_folder(self.home / "tiny", trial.number)


def row_of(trial: Trial, epoch: int) -> Line:
    metrics = {"val/score": epoch / 3, "val/error": float("nan")}
    return {"epoch": epoch, "ts": 1000 + epoch, "attempt": trial.attempts, "metrics": metrics}


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_rows_are_in_the_home_before_anything_else_and_equal_those_of_the_machine(rig: Rig) -> None:
    trial = rig.begin()
    folder, writer = rig.worker(trial)
    rig.train(trial, folder, writer, 1)
    rig.train(trial, folder, writer, 2)
    assert files_in(rig.folder(trial)) == {"outbox.jsonl"}
    assert (rig.folder(trial) / "outbox.jsonl").read_bytes() == (folder / "outbox.jsonl").read_bytes()
    # A driver that is started again knows them.
    assert Ledger(rig.home / "tiny", read_only=True).trials[1].epochs == 2


def test_checkpoints_come_once_a_trial_has_ended_and_what_was_before_leaves_the_store(rig: Rig) -> None:
    trial = rig.begin()
    folder, writer = rig.worker(trial)
    rig.train(trial, folder, writer, 1)
    rig.exchange.fetch(trial)
    seen = {"outbox.jsonl", "log.txt", "media/epoch_01/clips.json"}
    assert files_in(rig.folder(trial)) == seen
    # The trial goes on elsewhere.
    rig.ledger.displace(trial, "its machine is gone")
    rig.ledger.attempt(trial, "code")
    second, writer = rig.worker(trial)
    shutil.copytree(folder, second)
    rig.train(trial, second, writer, 2)
    rig.ledger.end(trial, "completed")
    rig.exchange.fetch(trial)
    ended = seen | {"media/epoch_02/clips.json", "checkpoint/last.pt", "checkpoint/best.pt", "fetched.json"}
    assert files_in(rig.folder(trial)) == ended
    assert (rig.folder(trial) / "log.txt").read_text() == "log of epoch 2"
    assert list_writers(rig.store, "tiny/trials/0001") == [Writer(rig.exchange.driver, 2)]


def test_a_pruned_trial_keeps_its_checkpoints_only_if_it_is_to(rig: Rig) -> None:
    for keeps in (False, True):
        trial = rig.begin()
        folder, writer = rig.worker(trial)
        rig.train(trial, folder, writer, 1)
        rig.ledger.end(trial, "pruned")
        rig.exchange.fetch(trial)
        # It may still be evaluated.
        in_store = {key for key in rig.store.list(trial_prefix("tiny", trial.number)) if "checkpoint" in key}
        assert len(in_store) == 2 and not list(rig.folder(trial).rglob("*.pt"))
        rig.exchange.settle(trial, keeps_checkpoints=keeps)
        rig.exchange.fetch(trial)
        in_store = {key for key in rig.store.list(trial_prefix("tiny", trial.number)) if "checkpoint" in key}
        assert len(in_store) == len(list(rig.folder(trial).rglob("*.pt"))) == (2 if keeps else 0)


def test_what_a_trial_still_writes_is_waited_for_after_its_end(rig: Rig) -> None:
    trial = rig.begin()
    folder, writer = rig.worker(trial)
    rig.train(trial, folder, writer, 1)
    taken = rig.report(trial, folder, writer, 2)
    rig.ledger.end(trial, "completed")
    # The store has a part of the second epoch.
    part = f"{trial_prefix('tiny', 1)}/{Writer(rig.exchange.driver, 1)}/000002/checkpoint/best.pt"
    rig.store.put(part, folder / "checkpoint/best.pt")
    rig.exchange.fetch(trial)
    assert files_in(rig.folder(trial)) == {"outbox.jsonl", "log.txt", "media/epoch_01/clips.json"}
    assert rig.store.read(part) == b"best 2"
    writer.write(taken)
    rig.exchange.fetch(trial)
    assert (rig.folder(trial) / "checkpoint/best.pt").read_text() == "best 2"
    assert "fetched.json" in files_in(rig.folder(trial))


def test_what_was_lost_is_not_waited_for_when_nobody_writes_any_more(rig: Rig) -> None:
    lost, late = rig.begin(), rig.begin()
    for trial in (lost, late):
        folder, writer = rig.worker(trial)
        rig.train(trial, folder, writer, 1)
        taken = rig.report(trial, folder, writer, 2)
        rig.ledger.end(trial, "completed")
    with rig.exchange.run(lambda: False):
        while "log.txt" not in files_in(rig.folder(late)):
            time.sleep(0.05)
        writer.write(taken)
    assert (rig.folder(late) / "checkpoint/best.pt").read_text() == "best 2"
    assert (rig.folder(lost) / "checkpoint/best.pt").read_text() == "best 1"
    # The outbox of the home has what was reported.
    assert len(rig.ledger.read_rows(lost)) == 2 and not rig.said


def test_an_epoch_that_an_evaluation_has_trained_again_comes_from_it(rig: Rig) -> None:
    trial = rig.begin()
    folder, writer = rig.worker(trial)
    rig.train(trial, folder, writer, 1)
    rig.report(trial, folder, writer, 2)
    rig.ledger.end(trial, "pruned")
    rig.exchange.settle(trial, keeps_checkpoints=True)
    writer_of_it = Writer(rig.exchange.driver, 1, 5)
    FolderWriter(rig.store, f"tiny/trials/0001/{writer_of_it}", folder, trial.id).push()
    rig.exchange.fetch(trial)
    assert (rig.folder(trial) / "checkpoint/last.pt").read_text() == "epoch 2"
    assert {"fetched.json", "media/epoch_02/clips.json"} <= files_in(rig.folder(trial))
    # Of a trial that is not to keep them the store keeps neither.
    rig.exchange.settle(trial, keeps_checkpoints=False)
    rig.exchange.fetch(trial)
    assert f"tiny/trials/0001/{writer_of_it}/000001/checkpoint/last.pt" not in rig.store.list("tiny/trials/0001")


def test_what_an_evaluation_writes_is_not_replaced_by_what_was_before_it(rig: Rig) -> None:
    trial = rig.begin()
    folder, writer = rig.worker(trial)
    rig.train(trial, folder, writer, 1)
    rig.ledger.end(trial, "completed")
    evaluated = rig.root / "evaluated"
    for name, text in (("media/best/clips.json", "{}"), ("log.txt", "log of epoch 1, and of the evaluation")):
        (evaluated / name).parent.mkdir(parents=True, exist_ok=True)
        (evaluated / name).write_text(text)
    for milliseconds in (5, 6):
        name = Writer(rig.exchange.driver, 1, milliseconds)
        FolderWriter(rig.store, f"tiny/trials/0001/{name}", evaluated, trial.id).push()
    for _ in range(2):
        rig.exchange.fetch(trial)
        assert (rig.folder(trial) / "log.txt").read_text().endswith("evaluation")
        assert "media/best/clips.json" in files_in(rig.folder(trial))
    assert [writer.evaluation for writer in list_writers(rig.store, "tiny/trials/0001")] == [0, 6]


def test_the_log_of_a_process_that_died_comes_from_its_machine(rig: Rig) -> None:
    trial = rig.begin()
    rig.logs = "--- attempt 1, …\nFatal Python error: Segmentation fault\n"
    rig.exchange.fetch_log(trial)
    assert (rig.folder(trial) / "log.txt").read_text() == rig.logs


def test_a_thread_fetches_and_sends_until_the_end_of_the_block(rig: Rig) -> None:
    trial = rig.begin()
    folder, writer = rig.worker(trial)
    with rig.exchange.run(lambda: False):
        rig.train(trial, folder, writer, 1)
        rig.ledger.end(trial, "completed")
        rig.exchange.follow(trial)
    rig.exchange.close()
    assert "checkpoint/best.pt" in files_in(rig.folder(trial))
    sent = rig.store.read(f"tiny/drivers/{rig.exchange.driver}/sweep.jsonl")
    assert sent == (rig.home / "tiny" / "sweep.jsonl").read_bytes() and not rig.said


def test_a_store_that_is_gone_is_said_once_and_what_is_missing_comes_later(rig: Rig) -> None:
    trial = rig.begin()
    folder, writer = rig.worker(trial)
    rig.train(trial, folder, writer, 1)
    rig.ledger.end(trial, "completed")
    with rig.exchange.run(lambda: False):
        shutil.move(rig.store_folder, rig.root / "gone")
        rig.exchange.follow(trial)
    assert len(rig.said) == 1 and "there is no such folder" in rig.said[0], rig.said
    shutil.move(rig.root / "gone", rig.store_folder)
    again = Exchange(rig.ledger, rig.uri, rig.exchange.driver, rig.said.append, lambda *each: "")
    with again.run(lambda: False):
        pass
    assert "checkpoint/best.pt" in files_in(rig.folder(trial))


def test_an_empty_home_takes_a_sweep_over_and_goes_on_behind_whoever_drove_it(rig: Rig, tmp_path: Path) -> None:
    done = rig.begin()
    folder, writer = rig.worker(done)
    rig.train(done, folder, writer, 1)
    rig.ledger.end(done, "completed")
    rig.exchange.settle(done, keeps_checkpoints=False)
    running = rig.begin()
    folder, writer = rig.worker(running)
    rig.train(running, folder, writer, 1)
    with rig.exchange.run(lambda: False):
        pass
    # The machine of the driver is lost before it hears of this epoch, and before it sends the log.
    lost = rig.begin()
    folder_of_lost, writer_of_lost = rig.worker(lost)
    rig.train(lost, folder_of_lost, writer_of_lost, 1)
    (tmp_path / "other").mkdir()
    # Another home has begun to take it over, and was lost, too.
    rig.store.put("tiny/drivers/0002-ffff/search_space.yaml", rig.sweep.text.encode())
    said: list[str] = []
    adopt_sweep(tmp_path / "other", "tiny", rig.uri, said.append)
    assert said == [f"tiny: is taken over from {rig.uri}. Its driver elsewhere must not run any more."]
    ledger = Ledger(tmp_path / "other" / "tiny")
    assert {number: (trial.outcome, trial.epochs) for number, trial in ledger.trials.items()} == {
        done.number: ("completed", 1),
        running.number: (None, 1),
    }
    assert not ledger.remarks
    assert "checkpoint/best.pt" in files_in(trial_folder(ledger.folder, done.number))
    assert "checkpoint/best.pt" not in files_in(trial_folder(ledger.folder, running.number))
    exchange = open_exchange(ledger, rig.uri, said.append, lambda *each: "")
    assert exchange.driver.startswith("0003-")
    # What it evaluates belongs to an attempt of the lost home.
    taken_over = ledger.trials[done.number]
    (tmp_path / "evaluated" / "media" / "best").mkdir(parents=True)
    (tmp_path / "evaluated" / "media" / "best" / "clips.json").write_text("{}")
    name = Writer(exchange.driver, taken_over.attempts, 5)
    FolderWriter(rig.store, f"tiny/trials/0001/{name}", tmp_path / "evaluated", taken_over.id).push()
    exchange.fetch(taken_over)
    assert "media/best/clips.json" in files_in(trial_folder(ledger.folder, done.number))
    # A second call finds the sweep there.
    adopt_sweep(tmp_path / "other", "tiny", rig.uri, said.append)
    assert len(said) == 1


def test_a_sweep_of_another_home_is_not_mixed_with_a_new_one(rig: Rig, tmp_path: Path) -> None:
    rig.begin()
    with rig.exchange.run(lambda: False):
        pass
    with pytest.raises(UserError, match=r"another home already runs a sweep tiny there; continue that one"):
        Rig(tmp_path, home="another")
    with pytest.raises(UserError, match=r"has no sweep 'small'; available: tiny"):
        adopt_sweep(tmp_path / "other", "small", rig.uri, print)
    with pytest.raises(UserError, match=r"was run with storage: .*store; resume it without --storage"):
        adopt_sweep(rig.home, "tiny", str(tmp_path / "elsewhere"), print)


def test_a_machine_compares_what_the_driver_has_written(rig: Rig, tmp_path: Path) -> None:
    rig.exchange.write_token("token")
    assert describe_access(rig.uri, "tiny", "token") == ""
    assert "is another one there" in describe_access(rig.uri, "tiny", "another token")
    assert "there is no such folder on this machine" in describe_access(str(tmp_path / "absent"), "tiny", "token")


def test_what_trials_share_is_written_once_and_compared_where_it_arrives(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    (tmp_path / "store").mkdir()
    store = ObjectStore(str(tmp_path / "store"), print, patience_s=0.1)
    names = ["cache/corpus/clips.csv", "cache/corpus/judge.pt", "code/tiny/net.py"]
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(f"content of {name}")
    paths = [home / name for name in names]
    first = publish(store, "tiny/shared.json", home, paths, tmp_path / "record", lambda done, total: None)
    written = {key: (tmp_path / "store" / key).stat().st_mtime_ns for key in store.list("shared")}
    assert publish(store, "small/shared.json", home, paths, tmp_path / "record2", lambda *each: None) == first
    assert written == {key: (tmp_path / "store" / key).stat().st_mtime_ns for key in store.list("shared")}
    fetch_shared(store, "tiny/shared.json", other, first)
    assert {name for name in files_in(other) if "/." not in name} == set(names)
    # Code that has changed replaces the old one, though its size is the same.
    (home / "code/tiny/net.py").write_text("content of code/tiny/NET.py")
    second = publish(store, "tiny/shared.json", home, paths, tmp_path / "record", lambda *each: None)
    fetch_shared(store, "tiny/shared.json", other, second)
    assert (other / "code/tiny/net.py").read_text() == "content of code/tiny/NET.py"
    with pytest.raises(StoreError, match="is missing, or of another driver"):
        fetch_shared(store, "tiny/shared.json", tmp_path / "third", first)
    damaged = next(iter(store.list("shared")))
    (tmp_path / "store" / damaged).write_text("damaged")
    with pytest.raises(StoreError, match="is missing or damaged; run the sweep again"):
        fetch_shared(store, "tiny/shared.json", tmp_path / "third")


def test_names_from_a_store_lead_nowhere_but_into_their_folders(rig: Rig, tmp_path: Path) -> None:
    content = rig.store.put("evil", b"evil")
    files = {name: {"key": "evil", "size": 4, "sha256": content.sha256} for name in ("../../evil", "/evil", "log.txt")}
    trial = rig.begin()
    manifest = json.dumps({"trial": trial.id, "files": files}).encode()
    rig.store.put(f"tiny/trials/0001/{Writer(rig.exchange.driver, 1)}/manifest.json", manifest)
    rig.exchange.fetch(trial)
    assert files_in(rig.folder(trial)) == {"log.txt"} and not (rig.home / "tiny" / "evil").exists()
    fields = {"size": 4, "sha256": content.sha256, "changed_ns": 0}
    rig.store.put(f"shared/{content.sha256}", b"evil")
    names = ("../evil", "mlflow.db", "tiny/sweep.jsonl", "cache/../../evil", "cache/fine")
    rig.store.put("tiny/shared.json", json.dumps(dict.fromkeys(names, fields)).encode())
    fetch_shared(rig.store, "tiny/shared.json", tmp_path / "machine")
    assert {name for name in files_in(tmp_path / "machine") if "/." not in name} == {"cache/fine"}


def test_what_was_trained_after_it_was_taken_over_is_not_replaced_by_a_home_that_lacks_it(rig: Rig) -> None:
    trial = rig.begin()
    trial.origin = Origin("first", 1, (), None, 1)
    folder, writer = rig.worker(trial)
    rig.train(trial, folder, writer, 1)
    later = Exchange(rig.ledger, rig.uri, "0002-bbbb", rig.said.append, lambda *each: "")
    later.share_files_of(trial, ())
    later.fetch(trial)
    assert list_writers(rig.store, "tiny/trials/0001") == [Writer(rig.exchange.driver, 1)]
    assert any(key.endswith("checkpoint/last.pt") for key in rig.store.list("tiny/trials/0001"))


def test_evaluations_are_numbered_by_the_log_also_after_another_start(rig: Rig) -> None:
    trial = rig.begin()
    numbers = [rig.exchange.fields(is_evaluation=True)["evaluation"] for _ in range(2)]
    rig.ledger.displace(trial, "its machine is gone")
    again = Exchange(rig.ledger, rig.uri, rig.exchange.driver, print, lambda *each: "")
    numbers.append(again.fields(is_evaluation=True)["evaluation"])
    assert numbers == sorted(set(numbers)) and rig.exchange.fields(is_evaluation=False)["evaluation"] == 0


def test_sounds_of_an_attempt_that_was_discarded_leave_the_home(rig: Rig) -> None:
    trial = rig.begin()
    folder, writer = rig.worker(trial)
    rig.train(trial, folder, writer, 1)
    rig.exchange.fetch(trial)
    rig.ledger.retry(trial, "from scratch", from_scratch=True)
    rig.ledger.attempt(trial, "code")
    second, writer = rig.worker(trial)
    (second / "media/epoch_02").mkdir(parents=True)
    (second / "media/epoch_02/clips.json").write_text("{}")
    writer.push()
    rig.exchange.fetch(trial)
    assert files_in(rig.folder(trial) / "media") == {"epoch_02/clips.json"}
    # The same sounds again.
    shutil.copytree(folder / "media/epoch_01", second / "media/epoch_01")
    writer.push()
    rig.exchange.fetch(trial)
    assert files_in(rig.folder(trial) / "media") == {"epoch_01/clips.json", "epoch_02/clips.json"}


def test_a_trial_of_which_the_store_has_lost_something_is_said_once_and_stops_no_other(rig: Rig) -> None:
    damaged, other = rig.begin(), rig.begin()
    for trial in (damaged, other):
        rig.train(trial, *rig.worker(trial), 1)
        rig.ledger.end(trial, "completed")
    key = next(key for key in rig.store.list("tiny/trials/0001") if key.endswith("log.txt"))
    rig.store.delete(key)
    with rig.exchange.run(lambda: False):
        while "fetched.json" not in files_in(rig.folder(other)):
            time.sleep(0.05)
        rig.exchange.follow(damaged)
    assert len(rig.said) == 1 and "missing or damaged" in rig.said[0], rig.said


def test_an_outbox_stays_open_until_the_task_ends(rig: Rig) -> None:
    trial = rig.begin()
    outbox = rig.folder(trial) / "outbox.jsonl"

    def count_open() -> int:
        return [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()].count(str(outbox.resolve()))

    for epoch in (1, 2):
        rig.exchange.record(trial, row_of(trial, epoch))
        assert count_open() == 1
    rig.exchange.leave(trial)
    assert count_open() == 0 and len(outbox.read_text().splitlines()) == 3

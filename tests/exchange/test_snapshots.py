"""A trial's folder in a store: what a reader finds while its writer works, dies, or comes back late."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from pathlib import Path

import pytest

from orchestrator.exchange.folder_writer import TAKEN, FolderWriter, settle_files
from orchestrator.exchange.snapshots import (
    Damaged,
    GivenUp,
    fetch,
    find_base,
    list_writers,
    read_epochs,
    read_snapshot,
)
from orchestrator.exchange.writers import Writer, trial_prefix
from orchestrator.storage.objects import Content, ObjectStore, StoreError

PREFIX = trial_prefix("tiny", 7)
FIRST, SECOND, THIRD = (Writer("0001-abcd", attempt) for attempt in (1, 2, 3))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """A store in a folder."""
    (tmp_path / "store").mkdir()
    return ObjectStore(str(tmp_path / "store"), print, patience_s=0.1)


def write_epoch(folder: Path, epoch: int) -> None:
    """What a worker leaves in a trial's folder after an epoch."""
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / "saving.tmp").write_text(f"epoch {epoch}")
    if (checkpoint / "last.pt").exists():
        (checkpoint / "previous.pt").unlink(missing_ok=True)
        os.link(checkpoint / "last.pt", checkpoint / "previous.pt")
    (checkpoint / "saving.tmp").rename(checkpoint / "last.pt")
    (checkpoint / "best.pt").unlink(missing_ok=True)
    os.link(checkpoint / "last.pt", checkpoint / "best.pt")
    with (folder / "outbox.jsonl").open("a") as file:
        file.write(f"{epoch}\n")
    (folder / "outbox.lock").touch()


def test_all_files_of_a_folder_are_on_the_disk_before_it_has_its_name(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source/media/epoch_01").mkdir(parents=True)
    (tmp_path / "source/media/epoch_01/dog.wav").write_text("sound")
    writer_of(store, tmp_path / "source", FIRST).push()
    synced: list[str] = []
    fsync = os.fsync

    def note_fsync(file: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        fsync(file)

    monkeypatch.setattr(os, "fsync", note_fsync)
    (tmp_path / "target").mkdir()
    fetch(store, f"{PREFIX}/{FIRST}", tmp_path / "target", lambda name: True, {})
    staged = str(tmp_path / "target/.fetching/media/epoch_01")
    assert synced.index(staged) < synced.index(str(tmp_path / "target/media"))


def writer_of(store: ObjectStore, folder: Path, writer: Writer, trial_id: str = "id") -> FolderWriter:
    return FolderWriter(store, f"{PREFIX}/{writer}", folder, trial_id)


def texts(folder: Path) -> dict[str, str]:
    """The files in a folder by their paths."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def fetch_all(store: ObjectStore, writer: Writer, folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    fetch(store, f"{PREFIX}/{writer}", folder, lambda name: True, {})
    return texts(folder)


def base_of(store: ObjectStore, writer: Writer, trial_id: str = "id") -> Writer | None:
    return find_base(store, PREFIX, list_writers(store, PREFIX), writer, trial_id)


def test_what_was_taken_is_written_however_the_folder_changes_meanwhile(store: ObjectStore, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    writer = writer_of(store, folder, FIRST)
    write_epoch(folder, 1)
    (folder / "media" / "epoch_01").mkdir(parents=True)
    (folder / "media" / "epoch_01" / "clips.json").write_text("{}")
    (folder / "trainable").mkdir()
    (folder / "trainable" / "output.log").write_text("epoch 1\n")
    expected = {name: text for name, text in texts(folder).items() if not name.endswith(".lock")}
    taken = writer.take()
    # Of what is replaced no copy was made.
    kept = folder / TAKEN / "checkpoint"
    assert [path.stat().st_ino for path in kept.iterdir()] == [(folder / "checkpoint" / "last.pt").stat().st_ino]
    write_epoch(folder, 2)
    with (folder / "trainable" / "output.log").open("a") as log:
        log.write("epoch 2\n")
    shutil.rmtree(folder / "media")
    writer.write(taken)
    assert fetch_all(store, FIRST, tmp_path / "first") == expected
    assert not (folder / TAKEN).exists()
    writer.push()
    assert fetch_all(store, FIRST, tmp_path / "second")["trainable/output.log"] == "epoch 1\nepoch 2\n"


def test_a_write_that_has_lost_what_was_taken_names_nothing_new(store: ObjectStore, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    writer = writer_of(store, folder, FIRST)
    write_epoch(folder, 1)
    writer.push()
    before = fetch_all(store, FIRST, tmp_path / "before")
    write_epoch(folder, 2)
    taken = writer.take()
    # Another attempt on the same machine deletes what this one has there.
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match="was deleted before it was written to"):
        writer.write(taken)
    assert fetch_all(store, FIRST, tmp_path / "after") == before


def test_only_what_changed_is_written_and_what_is_not_named_any_more_is_deleted(
    store: ObjectStore, tmp_path: Path
) -> None:
    folder = tmp_path / "trial"
    writer = writer_of(store, folder, FIRST)
    write_epoch(folder, 1)
    (folder / "config.yaml").write_text("x: 1")
    writer.push()
    write_epoch(folder, 2)
    writer.push()
    writer._cleaner.join()
    keys = [key.removeprefix(f"{PREFIX}/{FIRST}/") for key in store.list(PREFIX)]
    # One object for the last and the best checkpoint, which are one file.
    assert sorted(keys) == [
        "000001/config.yaml",
        "000002/checkpoint/best.pt",
        "000002/outbox.jsonl",
        "manifest.json",
    ]
    assert fetch_all(store, FIRST, tmp_path / "copy") == {
        "config.yaml": "x: 1",
        "checkpoint/best.pt": "epoch 2",
        "checkpoint/last.pt": "epoch 2",
        "outbox.jsonl": "1\n2\n",
    }


def test_a_death_between_checkpoint_and_manifest_leaves_the_epoch_before(store: ObjectStore, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    writer = writer_of(store, folder, FIRST)
    write_epoch(folder, 1)
    writer.push()
    write_epoch(folder, 2)
    # The manifest can't be replaced: all that belongs to the second epoch is there, and it is not.
    manifest = tmp_path / "store" / PREFIX / str(FIRST) / "manifest.json"
    text = manifest.read_bytes()
    manifest.unlink()
    manifest.mkdir()
    with pytest.raises(StoreError):
        writer.push()
    manifest.rmdir()
    manifest.write_bytes(text)
    assert f"{PREFIX}/{FIRST}/000002/outbox.jsonl" in store.list(PREFIX)
    assert fetch_all(store, FIRST, tmp_path / "copy")["outbox.jsonl"] == "1\n"
    assert (tmp_path / "copy/checkpoint/last.pt").read_text() == "epoch 1"


def test_a_writer_that_comes_back_late_changes_nothing_that_the_next_attempts_read(
    store: ObjectStore, tmp_path: Path
) -> None:
    lost, fresh = tmp_path / "lost", tmp_path / "fresh"
    late = writer_of(store, lost, FIRST)
    write_epoch(lost, 1)
    late.push()
    assert base_of(store, SECOND) == FIRST
    fetch_all(store, FIRST, fresh)
    successor = writer_of(store, fresh, SECOND)
    successor.push()
    # It goes on, deletes what it has replaced, and has more epochs than its successor.
    for epoch in (2, 3, 4):
        write_epoch(lost, epoch)
        late.push()
    assert base_of(store, THIRD) == SECOND
    assert fetch_all(store, SECOND, tmp_path / "third")["outbox.jsonl"] == "1\n"
    write_epoch(fresh, 2)
    successor.push()
    assert fetch_all(store, SECOND, tmp_path / "third")["outbox.jsonl"] == "1\n2\n"


def test_a_reader_never_sees_two_epochs_at_once(store: ObjectStore, tmp_path: Path) -> None:
    folder, ended = tmp_path / "trial", threading.Event()
    write_epoch(folder, 1)
    writer = writer_of(store, folder, FIRST)
    writer.push()

    def write() -> None:
        for epoch in itertools.count(2):
            if ended.is_set():
                return
            write_epoch(folder, epoch)
            writer.push()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen = set()
        for _ in range(15):
            copy = fetch_all(store, FIRST, tmp_path / "copy")
            epoch = int(copy["outbox.jsonl"].split()[-1])
            assert copy["checkpoint/last.pt"] == copy["checkpoint/best.pt"] == f"epoch {epoch}"
            seen.add(epoch)
    finally:
        ended.set()
        thread.join()
    assert len(seen) > 1


def test_another_trial_of_the_number_and_another_home_of_the_same_time_count_for_nothing(
    store: ObjectStore, tmp_path: Path
) -> None:
    folder = tmp_path / "trial"
    write_epoch(folder, 1)
    for writer, trial_id in (
        (Writer("0001-abcd", 1), "id"),
        (Writer("0001-abcd", 4), "other"),
        (Writer("0002-bbbb", 2), "id"),
        (Writer("0002-bbbb", 2, evaluation=99), "id"),
    ):
        writer_of(store, folder, writer, trial_id).push()
    assert base_of(store, Writer("0001-abcd", 5)) == FIRST
    assert base_of(store, Writer("0001-abcd", 5), "other") == Writer("0001-abcd", 4)
    assert base_of(store, Writer("0002-aaaa", 3)) == FIRST
    assert base_of(store, Writer("0003-aaaa", 3)) == Writer("0002-bbbb", 2)
    # An evaluation starts from its own attempt.
    assert base_of(store, Writer("0002-bbbb", 2, evaluation=100)) == Writer("0002-bbbb", 2)
    assert base_of(store, Writer("0001-abcd", 1)) is None


def test_a_folder_of_sounds_is_replaced_as_a_whole_and_what_is_there_is_not_read_again(
    store: ObjectStore, tmp_path: Path
) -> None:
    folder, copy = tmp_path / "trial", tmp_path / "copy"
    (folder / "media/epoch_01").mkdir(parents=True)
    (folder / "media/epoch_02.tmp").mkdir()
    for name in ("media/epoch_01/dog.wav", "media/epoch_01/clips.json", "media/epoch_02.tmp/dog.wav", "log.txt"):
        (folder / name).write_text(name)
    writer = writer_of(store, folder, FIRST)
    writer.push()
    present: dict[str, Content] = {}
    prefix = f"{PREFIX}/{FIRST}"
    fetch(store, prefix, copy, lambda name: True, present)
    assert set(texts(copy)) == {"media/epoch_01/dog.wav", "media/epoch_01/clips.json", "log.txt"}
    made = (copy / "media/epoch_01").stat().st_ino
    (folder / "log.txt").write_text("more")
    writer.push()
    fetch(store, prefix, copy, lambda name: True, present)
    assert (copy / "log.txt").read_text() == "more" and (copy / "media/epoch_01").stat().st_ino == made
    (folder / "media/epoch_01/clips.json").unlink()
    (folder / "media/epoch_01/dog.wav").write_text("another")
    writer.push()
    fetch(store, prefix, copy, lambda name: True, present)
    assert texts(copy / "media") == {"epoch_01/dog.wav": "another"}


def test_a_damaged_object_is_not_used_and_what_is_whole_arrives_once(store: ObjectStore, tmp_path: Path) -> None:
    folder, copy = tmp_path / "trial", tmp_path / "copy"
    write_epoch(folder, 1)
    writer_of(store, folder, FIRST).push()
    (tmp_path / "store" / PREFIX / str(FIRST) / "000001/outbox.jsonl").write_text("9\n")
    present: dict[str, Content] = {}
    copy.mkdir()
    for _ in range(2):
        fetched = fetch(store, f"{PREFIX}/{FIRST}", copy, lambda name: True, present)
        assert fetched is not None and fetched.lost == {"outbox.jsonl"}
        assert texts(copy) == {"checkpoint/last.pt": "epoch 1", "checkpoint/best.pt": "epoch 1"}
        assert set(present) == set(texts(copy))
    # What has arrived is not read again.
    (tmp_path / "store" / PREFIX / str(FIRST) / "000001/checkpoint/best.pt").unlink()
    fetched = fetch(store, f"{PREFIX}/{FIRST}", copy, lambda name: True, present)
    assert fetched is not None and fetched.lost == {"outbox.jsonl"}


@pytest.mark.parametrize("damage", [b"not JSON\n", None])
def test_epochs_of_a_damaged_outbox_are_not_counted(store: ObjectStore, tmp_path: Path, damage: bytes | None) -> None:
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "outbox.jsonl").write_text('{"epoch": 1, "attempt": 1}\n')
    writer_of(store, folder, FIRST).push()
    assert read_epochs(store, f"{PREFIX}/{FIRST}", 1) == 1
    stored = tmp_path / "store" / PREFIX / str(FIRST) / "000001/outbox.jsonl"
    if damage is None:
        stored.unlink()
    else:
        stored.write_bytes(damage)
    with pytest.raises(Damaged, match=r"outbox\.jsonl is missing or damaged"):
        read_epochs(store, f"{PREFIX}/{FIRST}", 1)


def test_who_wants_to_stop_reads_no_further_object(store: ObjectStore, tmp_path: Path) -> None:
    folder, asked = tmp_path / "trial", list[str]()
    write_epoch(folder, 1)
    writer_of(store, folder, FIRST).push()

    def is_given_up() -> bool:
        asked.append("again")
        return len(asked) > 1

    with pytest.raises(GivenUp):
        fetch(store, f"{PREFIX}/{FIRST}", tmp_path / "copy", lambda name: True, {}, is_given_up)
    assert len(asked) == 2 and texts(tmp_path / "copy") == {}


def test_checkpoints_of_a_pruned_trial_are_dropped_and_its_rows_stay(store: ObjectStore, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    write_epoch(folder, 1)
    writer_of(store, folder, FIRST).push()
    # Of a process that died before it could delete it.
    store.put(f"{PREFIX}/{FIRST}/000000/outbox.jsonl", b"")
    settle_files(store, f"{PREFIX}/{FIRST}", lambda name: name.startswith("checkpoint/"))
    snapshot = read_snapshot(store, f"{PREFIX}/{FIRST}")
    assert snapshot is not None and set(snapshot.files) == {"outbox.jsonl"}
    assert set(store.list(PREFIX)) == {f"{PREFIX}/{FIRST}/000001/outbox.jsonl", f"{PREFIX}/{FIRST}/manifest.json"}

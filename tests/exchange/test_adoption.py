"""A home takes a sweep over from its store: what it refuses, what it keeps, and what it does without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.exchange import adoption
from orchestrator.exchange.adoption import adopt_sweep
from orchestrator.exchange.shared import LIST, publish
from orchestrator.exchange.snapshots import fetch, read_snapshot
from orchestrator.exchange.sweep_files import list_drivers, read_driver
from orchestrator.exchange.writers import Writer
from orchestrator.state.home import lock_sweep, was_run
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from orchestrator.storage.objects import Content, ObjectStore, StoreError
from tests.exchange.test_driver_side import Rig, files_in
from trainables.corpora.split_record import edit_record, read_record, record_path
from trainables.corpora.splits import Split

SOURCE = "folder /data"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A sweep with one trial that has completed, in its store."""
    rig = Rig(tmp_path)
    trial = rig.begin()
    folder, writer = rig.worker(trial)
    rig.train(trial, folder, writer, 1)
    rig.ledger.end(trial, "completed")
    with rig.exchange.run(lambda: False):
        pass
    return rig


def split(home: Path, **splits: Split) -> None:
    """Open a corpus in a home."""
    with edit_record(home, SOURCE) as record:
        record.add("files", "fingerprint", splits)


def interrupt(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> None:
    """Let something happen once, after an adoption has looked into the home, and before it has read the store."""

    def list_later(store: ObjectStore, name: str) -> list[str]:
        monkeypatch.undo()
        work()
        return list_drivers(store, name)

    monkeypatch.setattr(adoption, "list_drivers", list_later)


def test_of_two_commands_at_once_one_takes_it_over(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, ledgers = tmp_path / "other", list[Ledger]()

    def take_over_first() -> None:
        adopt_sweep(home, "tiny", rig.uri, print)
        ledgers.append(Ledger(home / "tiny"))

    interrupt(monkeypatch, take_over_first)
    adopt_sweep(home, "tiny", rig.uri, print)
    driver = read_driver(home / "tiny", rig.uri)
    assert driver is not None and driver.startswith("0002-")
    before = (home / "tiny" / "sweep.jsonl").read_bytes()
    ledgers[0].grant("arm", trials=5)
    # The log of the one that drives is still that of the sweep.
    after = (home / "tiny" / "sweep.jsonl").read_bytes()
    assert after.startswith(before) and b"granted" in after[len(before) :]


def test_what_another_command_takes_over_is_left_to_it(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "other"
    with lock_sweep(home / "tiny"):
        with pytest.raises(UserError, match="this sweep is already running on"):
            adopt_sweep(home, "tiny", rig.uri, print)
        assert files_in(home) == {"tiny/driver.lock"}
    adopt_sweep(home, "tiny", rig.uri, print)
    assert was_run(home / "tiny")


def publish_splits(rig: Rig) -> None:
    """Send the record of splits as a driver does."""
    key = f"tiny/drivers/{rig.exchange.driver}/{LIST}"
    publish(rig.store, key, rig.home, [record_path(rig.home, SOURCE)], rig.root / LIST, lambda *each: None)


def test_recordings_keep_the_splits_that_they_have_in_the_home(rig: Rig, tmp_path: Path) -> None:
    home = tmp_path / "other"
    split(rig.home, old="train", older="test", only_there="validation")
    publish_splits(rig)
    split(home, old="train", older="test", new="test")
    adopt_sweep(home, "tiny", rig.uri, print)
    all_splits = {"old": "train", "older": "test", "only_there": "validation", "new": "test"}
    assert read_record(home, SOURCE).splits == all_splits
    assert read_record(home, SOURCE).fingerprints == {"files": "fingerprint"}


def test_a_home_with_other_splits_of_the_recordings_is_refused(rig: Rig, tmp_path: Path) -> None:
    home = tmp_path / "other"
    split(rig.home, one="train", two="test", new="validation")
    publish_splits(rig)
    split(home, one="train", two="train")
    with pytest.raises(UserError, match=r"two is in train, there in test \(1 such in all\).*--home NEW_FOLDER"):
        adopt_sweep(home, "tiny", rig.uri, print)
    assert read_record(home, SOURCE).splits == {"one": "train", "two": "train"} and not was_run(home / "tiny")
    assert not list(home.rglob("*.part"))
    adopt_sweep(tmp_path / "new", "tiny", rig.uri, print)
    assert read_record(tmp_path / "new", SOURCE).splits["two"] == "test"


def object_of(rig: Rig, trial: Trial, name: str) -> Path:
    """The object with a file of a trial's first attempt."""
    snapshot = read_snapshot(rig.store, f"tiny/trials/{trial.number:04d}/{Writer(rig.exchange.driver, 1)}")
    assert snapshot is not None
    return rig.store_folder / snapshot.files[name].key


def test_what_the_store_has_lost_of_a_trial_is_said_and_the_rest_is_taken_over(rig: Rig, tmp_path: Path) -> None:
    gone, empty = rig.begin(), rig.begin()
    for trial in (gone, empty):
        folder, writer = rig.worker(trial)
        rig.train(trial, folder, writer, 1)
        rig.ledger.end(trial, "completed")
    with rig.exchange.run(lambda: False):
        pass
    object_of(rig, gone, "checkpoint/best.pt").unlink()
    object_of(rig, gone, "media/epoch_01/clips.json").write_text("damaged")
    rig.store.delete_below(f"tiny/trials/{empty.number:04d}")
    said: list[str] = []
    adopt_sweep(tmp_path / "other", "tiny", rig.uri, said.append)
    assert said[1:] == [
        "tiny/2: the store has lost checkpoint/best.pt, media/epoch_01; the sweep goes on without.",
        "tiny/3: the store has lost all of its files; the sweep goes on without.",
    ]
    ledger = Ledger(tmp_path / "other" / "tiny")
    assert {number: (trial.outcome, trial.epochs) for number, trial in ledger.trials.items()} == {
        1: ("completed", 1),
        2: ("completed", 1),
        3: ("completed", 0),
    }
    trials = tmp_path / "other" / "tiny" / "trials"
    assert files_in(trials / "0002") == {"outbox.jsonl", "log.txt", "checkpoint/last.pt", "fetched.json"}
    assert {"checkpoint/best.pt", "media/epoch_01/clips.json"} < files_in(trials / "0001")


def test_a_store_that_does_not_answer_has_lost_nothing(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def go_away(
        store: ObjectStore, prefix: str, folder: Path, is_wanted: Callable[[str], bool], present: dict[str, Content]
    ) -> None:
        if rig.store_folder.exists():
            rig.store_folder.rename(tmp_path / "unmounted")
        fetch(store, prefix, folder, is_wanted, present)

    monkeypatch.setattr(adoption, "fetch", go_away)
    with pytest.raises(StoreError, match="there is no such folder on this machine"):
        adopt_sweep(tmp_path / "other", "tiny", rig.uri, said.append)
    assert len(said) == 1 and not was_run(tmp_path / "other" / "tiny")


def test_a_wrong_name_is_answered_with_the_names_of_sweeps_without_a_look_at_all_objects(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    list_below = ObjectStore.list

    def note(store: ObjectStore, prefix: str) -> dict[str, int]:
        listed.append(prefix)
        return list_below(store, prefix)

    monkeypatch.setattr(ObjectStore, "list", note)
    rig.store.put("shared/3fa9", b"no sweep")
    rig.store.put("notes/mine.txt", b"no sweep")
    with pytest.raises(UserError, match=r"has no sweep 'small'; available: tiny$"):
        adopt_sweep(tmp_path / "other", "small", rig.uri, print)
    assert set(listed) == {f"{name}/drivers" for name in ("small", "notes", "shared", "tiny")}
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (b"broken", "sweep.jsonl:{line}: not a line that was written here: 'broken'"),
        (b"[1]", "sweep.jsonl:{line}: not a line that was written here"),
        (b'{"ts":1}', "sweep.jsonl: the event '' is in the format of another version"),
    ],
)
def test_a_broken_log_in_the_store_is_one_message(rig: Rig, tmp_path: Path, broken: bytes, problem: str) -> None:
    key = f"tiny/drivers/{rig.exchange.driver}/sweep.jsonl"
    log = rig.store.read(key) or b""
    rig.store.put(key, log + broken + b"\n")
    with pytest.raises(UserError) as error:
        adopt_sweep(tmp_path / "other", "tiny", rig.uri, print)
    said = problem.format(line=log.count(b"\n") + 1)
    assert str(error.value).startswith(f"{rig.uri}: {key.removesuffix('sweep.jsonl')}{said}")
    assert not (tmp_path / "other").exists()


def test_copies_of_trained_models_are_there_though_no_trial_has_asked_for_them(rig: Rig, tmp_path: Path) -> None:
    model = rig.home / "tiny" / "trained_models" / "losses" / "7-3fa9c1d2e4f5.pt"
    model.parent.mkdir(parents=True)
    model.write_text("weights")
    rig.exchange.share(None, None, lambda *each: None)
    adopt_sweep(tmp_path / "other", "tiny", rig.uri, print)
    assert (tmp_path / "other" / model.relative_to(rig.home)).read_text() == "weights"

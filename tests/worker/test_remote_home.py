"""A trial on machines that do not share the home: it goes on elsewhere exactly, whoever still writes.

Each machine is a folder for its files. The corpus, the judge and the features are there only after they were fetched.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.exchange.shared import LIST, publish
from orchestrator.exchange.snapshots import fetch, list_writers, read_epochs
from orchestrator.exchange.trial_files import is_of_training
from orchestrator.exchange.writers import Writer, driver_prefix, trial_prefix
from orchestrator.plugins.corpora import share_corpus
from orchestrator.state.paths import TRIAL_LOG
from orchestrator.storage.json_lines import read
from orchestrator.storage.objects import ObjectStore
from orchestrator.worker import remote_home
from orchestrator.worker.actor import Worker
from orchestrator.worker.attempt import TrialRun
from orchestrator.worker.ending import EndSignal
from orchestrator.worker.evaluation import evaluate
from orchestrator.worker.failure import DISK_FULL, DISPLACED, UNFIT_MACHINE, TrialFailure
from orchestrator.worker.remote_home import SCRATCH, local_home, local_trial_folder
from orchestrator.worker.spec import TrialSpec
from tests.support.mounts import tmpfs
from tests.support.spaces import TINY_PARAMS, trial_spec
from trainables.autoencoder.trainable import Autoencoder
from trainables.corpora.corpus import Corpus

DRIVER = "0001-abcd"
CONFIG = {**TINY_PARAMS, "lr": 1e-3}
PREFIX = trial_prefix("tiny", 1)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """The store, a folder."""
    (tmp_path / "store").mkdir()
    return ObjectStore(str(tmp_path / "store"), print, patience_s=0.1)


@pytest.fixture
def go_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make this process one of the machine of a name."""
    return lambda machine: monkeypatch.setenv(SCRATCH, str(tmp_path / machine))


@pytest.fixture
def spec(tmp_path: Path, store: ObjectStore, tiny_home: Path, tiny_corpus: Path, corpus: Corpus) -> TrialSpec:
    """A trial of an autoencoder whose driver has written what trials share to the store."""
    Autoencoder.prepare([Autoencoder.Config(**CONFIG)], corpus)
    # The cache of the tests' home is a link, which a home's is not.
    home = tiny_home.resolve()
    real = replace(corpus, folder=corpus.folder.resolve())
    description, files = share_corpus(real)
    shared_home = real.folder.parents[1]
    key = f"{driver_prefix('tiny', DRIVER)}/{LIST}"
    shared = publish(store, key, shared_home, files, tmp_path / LIST, lambda done, total: None)
    return trial_spec(
        home,
        folder=str(shared_home / "tiny" / "trials" / "0001"),
        home=str(shared_home),
        id="id",
        trainable="autoencoder",
        config=CONFIG,
        corpus={"name": "folder", "root": str(tiny_corpus)},
        objective="val/fvu",
        mode="min",
        clips=1,
        media_epochs=(1,),
        max_epochs=4,
        storage={"uri": store.uri, "sweep": "tiny", "driver": DRIVER, "shared": shared},
        prepared=str(description),
    )


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    """Start workers outside of Ray; they replace the handler of SIGTERM."""
    handler = signal.getsignal(signal.SIGTERM)

    def start_worker(spec: TrialSpec, kind: str = "train") -> Worker:
        worker = Worker.__new__(Worker)
        worker._end_signal = EndSignal()
        worker._take({"kind": kind, "spec": asdict(spec)})
        return worker

    yield start_worker
    signal.signal(signal.SIGTERM, handler)


def row_of(worker: Worker) -> dict[str, Any]:
    """The next epoch of a worker, without its times."""
    return without_times(json.loads(worker.step()["row"]))


def without_times(row: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: value for name, value in row["metrics"].items() if not name.startswith("time/")}
    return {"epoch": row["epoch"], "metrics": metrics}


def rows_alone(spec: TrialSpec, folder: Path, epochs: int) -> list[dict[str, Any]]:
    """What the trial comes to where it is undisturbed and sees everything."""
    run = TrialRun(replace(spec, folder=str(folder), storage={}, prepared=""))
    rows = [without_times(run.step()) for _ in range(epochs)]
    run.close()
    return rows


def test_a_trial_goes_on_on_another_machine_bit_for_bit_and_a_late_writer_changes_nothing(
    spec: TrialSpec,
    store: ObjectStore,
    tmp_path: Path,
    go_to: Callable[[str], None],
    start: Callable[..., Worker],
    tiny_corpus: Path,
) -> None:
    alone = rows_alone(replace(spec, home=str(Path(spec.home))), tmp_path / "alone", 4)
    # The recordings are nowhere but on the driver's machine.
    away_spec = replace(spec, corpus={"name": "folder", "root": str(tmp_path / "not_here")})
    prepared = json.loads(Path(spec.prepared).read_text())
    assert prepared["source"] == f"folder {tiny_corpus.resolve()}"
    go_to("first")
    lost = start(away_spec)
    assert [row_of(lost), row_of(lost)] == alone[:2]
    # Its machine is cut off. The trial goes on elsewhere, while the lost one trains and writes on.
    go_to("second")
    fresh = start(replace(away_spec, attempt=2, reported_epochs=2))
    third = fresh.step()
    assert without_times(json.loads(third["row"])) == alone[2]
    assert row_of(lost) == alone[2] and row_of(lost) == alone[3]
    # A third attempt begins where the second one was, not where the lost one is.
    go_to("third")
    last = start(replace(away_spec, attempt=3, reported_epochs=3))
    assert row_of(last) == alone[3] and last._remote_home is not None
    last._remote_home.wait()
    folder = tmp_path / "fetched"
    folder.mkdir()
    fetch(store, f"{PREFIX}/{Writer(DRIVER, 3)}", folder, lambda name: True, {})
    lines = read(folder / "outbox.jsonl")[0]
    assert [line.get("attempt") for line in lines] == [None, 1, 1, 2, 3]
    assert {"media", "config.yaml", TRIAL_LOG, "checkpoint"} <= {path.name for path in folder.iterdir()}
    # What training has waited for uploads is a metric of the next epoch of the attempt.
    assert "time/upload_s" in lines[2]["metrics"] and "time/upload_s" not in lines[1]["metrics"]
    for worker in (lost, fresh, last):
        worker.cleanup()
    # Nothing of the trial stays on the machines, and what trials share does.
    for machine in ("first", "second", "third"):
        go_to(machine)
        assert not list(local_trial_folder(store.uri, "tiny", 1).rglob("*.pt"))
        assert list((local_home(store.uri) / "cache").rglob("judge-*.pt"))


def test_an_epoch_that_the_driver_has_not_heard_of_is_reported_and_not_trained_twice(
    spec: TrialSpec, tmp_path: Path, go_to: Callable[[str], None], start: Callable[..., Worker]
) -> None:
    go_to("first")
    lost = start(spec)
    rows = [row_of(lost), row_of(lost)]
    go_to("second")
    fresh = start(replace(spec, attempt=2, reported_epochs=1))
    reported = json.loads(fresh.step()["row"])
    assert without_times(reported) == rows[1] and reported["attempt"] == 1
    third = json.loads(fresh.step()["row"])
    assert (third["epoch"], third["attempt"]) == (3, 2)
    fresh.cleanup()


def test_an_evaluation_needs_the_best_checkpoint_only_and_writes_only_what_is_new(
    spec: TrialSpec, store: ObjectStore, tmp_path: Path, go_to: Callable[[str], None], start: Callable[..., Worker]
) -> None:
    go_to("first")
    training = start(spec)
    training.step()
    training.cleanup()
    go_to("second")
    storage = {**spec.storage, "evaluation": 7}
    worker = start(replace(spec, splits=("test",), storage=storage), "evaluate")
    evaluated = json.loads(worker.step()["evaluated"])
    worker.cleanup()
    assert evaluated["metrics"]["test/fvu"] > 0
    writers = list_writers(store, PREFIX)
    assert [writer.attempt for writer in writers] == [1, 1] and writers[1].evaluation == 7
    folder = tmp_path / "fetched"
    folder.mkdir()
    fetch(store, f"{PREFIX}/{writers[1]}", folder, lambda name: True, {})
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert "media/best/clips.json" in names and not any(map(is_of_training, names))
    assert "per_recording.csv" in {Path(name).name for name in names}


def test_an_epoch_that_was_lost_is_trained_again_before_it_is_evaluated(
    spec: TrialSpec,
    store: ObjectStore,
    tmp_path: Path,
    go_to: Callable[[str], None],
    start: Callable[..., Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_home, "LATE_UPLOAD_S", 0.5)
    spec = replace(spec, splits=("test",))
    alone = rows_alone(spec, tmp_path / "alone", 2)
    expected = evaluate(replace(spec, folder=str(tmp_path / "alone"), storage={}, prepared=""))
    go_to("first")
    lost = start(spec)
    lost.step()
    # The store does not take the second epoch, which was reported and is the last one of the trial.
    (tmp_path / "store" / PREFIX / str(Writer(DRIVER, 1)) / "000003").touch()
    reported = json.loads(lost.step()["row"])
    assert without_times(reported) == alone[1]
    go_to("second")
    storage = {**spec.storage, "evaluation": 7}
    worker = start(replace(spec, reported_epochs=2, last_row=reported, storage=storage), "evaluate")
    evaluated = json.loads(worker.step()["evaluated"])
    worker.cleanup()
    assert evaluated == expected
    writer = list_writers(store, PREFIX)[-1]
    assert writer.evaluation and read_epochs(store, f"{PREFIX}/{writer}", 1) == 2
    folder = tmp_path / "fetched"
    folder.mkdir()
    for each in (Writer(DRIVER, 1), writer):
        fetch(store, f"{PREFIX}/{each}", folder, lambda name: True, {})
    for name in ("last.pt", "best.pt"):
        there, here = (
            torch.load(place / "checkpoint" / name, weights_only=True) for place in (folder, tmp_path / "alone")
        )
        assert there["row"]["epoch"] == here["row"]["epoch"]
        assert without_times(there["row"]) == without_times(here["row"])
    (tmp_path / "store" / PREFIX / str(Writer(DRIVER, 1)) / "000003").unlink()
    lost.cleanup()


def test_a_store_that_does_not_answer_moves_the_trial_and_does_not_end_it(
    spec: TrialSpec,
    store: ObjectStore,
    tmp_path: Path,
    go_to: Callable[[str], None],
    start: Callable[..., Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_to("first")
    worker = start(spec)
    rows = [json.loads(worker.step()["row"])]
    shutil.move(tmp_path / "store", tmp_path / "unmounted")
    with pytest.raises(TrialFailure, match="there is no such folder on this machine") as failure:
        # The upload of the first epoch may have ended before; then the one of the second epoch fails.
        for _ in range(2):
            rows.append(json.loads(worker.step()["row"]))
    assert failure.value.cause == DISPLACED
    shutil.move(tmp_path / "unmounted", tmp_path / "store")
    # Whether the store had the last reported epoch or not, each epoch has one row.
    monkeypatch.setattr(remote_home, "LATE_UPLOAD_S", 0.5)
    fresh = start(replace(spec, attempt=2, reported_epochs=len(rows), last_row=rows[-1]))
    assert row_of(fresh)["epoch"] in (len(rows), len(rows) + 1)
    lines = read(Path(fresh._task["spec"]["folder"]) / "outbox.jsonl")[0][1:]
    assert [line["epoch"] for line in lines] == list(range(1, len(lines) + 1)) and lines[: len(rows)] == rows
    # What the first attempt has left on this machine is gone once nobody reads it.
    assert fresh._remote_home is not None
    fresh._remote_home.wait()
    assert [path.name for path in local_trial_folder(store.uri, "tiny", 1).iterdir()] == [f"{DRIVER}-0002"]
    fresh.cleanup()


def test_an_error_of_the_trial_reaches_the_store_with_its_traceback(
    spec: TrialSpec, store: ObjectStore, tmp_path: Path, go_to: Callable[[str], None], start: Callable[..., Worker]
) -> None:
    go_to("first")
    worker = start(replace(spec, config={**CONFIG, "latent_dim": -1}))
    with pytest.raises(TrialFailure, match="ValidationError"):
        worker.step()
    folder = tmp_path / "fetched"
    folder.mkdir()
    fetch(store, f"{PREFIX}/{Writer(DRIVER, 1)}", folder, lambda name: True, {})
    log = (folder / TRIAL_LOG).read_text()
    assert log.startswith("--- attempt 1, ") and "Traceback" in log and "latent_dim" in log


def test_a_machine_whose_scratch_can_not_be_used_gets_no_more_trials(
    spec: TrialSpec, tmp_path: Path, go_to: Callable[[str], None], start: Callable[..., Worker]
) -> None:
    (tmp_path / "first").write_text("a file")
    go_to("first")
    with pytest.raises(TrialFailure, match=rf"can't be made there \(Not a directory\); set {SCRATCH}") as failure:
        start(spec).step()
    assert failure.value.cause == UNFIT_MACHINE
    go_to("second")
    (tmp_path / "second").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "second" / local_home(spec.storage["uri"]).name).symlink_to(tmp_path / "mine")
    with pytest.raises(TrialFailure, match="is no folder of this user") as failure:
        start(spec).step()
    assert failure.value.cause == UNFIT_MACHINE and not list((tmp_path / "mine").iterdir())


@pytest.mark.root
def test_a_full_store_pauses_the_sweep(
    spec: TrialSpec, tmp_path: Path, go_to: Callable[[str], None], start: Callable[..., Worker]
) -> None:
    go_to("first")
    worker = start(spec)
    worker.step()
    (tmp_path / "store" / PREFIX / str(Writer(DRIVER, 1)) / "000003").mkdir()
    with tmpfs(tmp_path / "store" / PREFIX / str(Writer(DRIVER, 1)) / "000003", "8k"):
        worker.step()
        with pytest.raises(TrialFailure, match="No space left") as failure:
            worker.step()
    assert failure.value.cause == DISK_FULL

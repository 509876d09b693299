"""Which part of a trial's time its uploads take, to a real store that speaks S3 on this machine.

    python -m tests.benchmarks.object_store

It prints what trials wait, and what the store's errors become. It needs Debian's packages of Swift (see
`tests.support.swift`), and takes about 5 minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from orchestrator.exchange.folder_writer import FolderWriter
from orchestrator.exchange.shared import LIST, publish
from orchestrator.exchange.snapshots import fetch
from orchestrator.exchange.writers import driver_prefix
from orchestrator.state.ledger import Ledger
from orchestrator.storage.objects import ObjectStore, StoreError
from orchestrator.worker.actor import Worker
from orchestrator.worker.remote_home import SCRATCH
from tests.support.spaces import trial_spec, write_space
from tests.support.swift import CREDENTIALS, READER, WRONG_CREDENTIALS, Swift, swift

CHECKPOINT_BYTES = 20_000_000
"""The size of a checkpoint of `vae.yaml`, as `plan` counts it."""
ROW_BYTES = 1_200
EPOCHS = 8
TURNS = 5
EPOCH_S = 1.5
"""How long an epoch of `vae.yaml` on the demo corpus takes."""
WEIGHTY = str(Path(__file__).parents[1] / "support" / "weighty.py")
DRIVER = "0001-abcd"
WAITED_FOR, BESIDE = "that are waited for", "beside the next epoch"
OUTAGE_S = 6.0


def write_epoch(folder: Path, size: int) -> None:
    """What a trial writes in an epoch: a checkpoint of random bytes, and a row."""
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint" / "saving.tmp").write_bytes(os.urandom(size))
    (folder / "checkpoint" / "saving.tmp").rename(folder / "checkpoint" / "last.pt")
    with (folder / "outbox.jsonl").open("a") as file:
        file.write("x" * ROW_BYTES + "\n")


def measure_uploads(server: Swift, folder: Path) -> None:
    """Print how long an upload takes that nothing else is done beside, and the start of the next attempt."""
    store, size = ObjectStore(server.uri("runs", "prefix"), print), CHECKPOINT_BYTES
    writer = FolderWriter(store, "speed/trials/0001/a", folder, "id")
    taken_s, written_s = [], []
    for _ in range(EPOCHS + 1):
        write_epoch(folder, size)
        began = time.monotonic()
        taken = writer.take()
        taken_s.append(time.monotonic() - began)
        began = time.monotonic()
        writer.write(taken)
        written_s.append(time.monotonic() - began)
    print(
        f"a checkpoint of {size / 1e6:g} MB: written in {median(written_s[1:]):.2f} s, at most "
        f"{max(written_s[1:]):.2f} s; before that, kept as it is in {1000 * median(taken_s):.1f} ms"
    )
    began, target = time.monotonic(), folder.with_name("fetched")
    target.mkdir()
    fetch(store, "speed/trials/0001/a", target, lambda name: True, {})
    assert (target / "outbox.jsonl").read_bytes() == (folder / "outbox.jsonl").read_bytes()
    print(f"    fetched by the next attempt in {time.monotonic() - began:.2f} s")


@dataclass(frozen=True)
class Times:
    """Seconds of a trial: of its epochs, those in which it waited for the store, its processor's, and of its end."""

    total: float
    waited: float
    processor: float
    end: float


def time_trial(folder: Path, products: int, **changes: Any) -> Times:
    """Train a trial; its first epoch counts for nothing."""
    config = {"products": products, "weight_bytes": CHECKPOINT_BYTES}
    spec = trial_spec(folder, folder=str(folder / "trials" / "0001"), id="id", trainable=WEIGHTY, config=config)
    worker = Worker.__new__(Worker)
    worker.setup({"kind": "train", "spec": asdict(replace(spec, **changes))})
    rows = [json.loads(worker.step()["row"])]
    began, processor = time.monotonic(), time.process_time()
    rows += [json.loads(worker.step()["row"]) for _ in range(EPOCHS)]
    total, processor, began = time.monotonic() - began, time.process_time() - processor, time.monotonic()
    worker.cleanup()
    # The wait after an epoch is in the row of the next one.
    waited = sum(row["metrics"].get("time/upload_s", 0.0) for row in rows[2:])
    return Times(total, waited * EPOCHS / (EPOCHS - 1), processor, time.monotonic() - began)


def prepare_kinds(server: Swift, folder: Path, turn: int) -> dict[str, dict[str, Any]]:
    """What is different about a trial without a store, with one that it waits for, and with one beside it."""
    kinds: dict[str, dict[str, Any]] = {"no store": {}}
    for kind, epochs in ((WAITED_FOR, tuple(range(1, EPOCHS + 2))), (BESIDE, ())):
        sweep = f"turn-{turn}-{len(epochs)}"
        home = folder / sweep
        home.mkdir(parents=True)
        store = ObjectStore(server.uri("runs", "prefix"), print)
        key = f"{driver_prefix(sweep, DRIVER)}/{LIST}"
        shared = publish(store, key, home, [], home / LIST, lambda done, total: None)
        storage = {"uri": store.uri, "sweep": sweep, "driver": DRIVER, "shared": shared}
        kinds[kind] = {"storage": storage, "stored_epochs": epochs}
    return kinds


def measure_epochs(server: Swift, folder: Path) -> None:
    """Print which share of a trial's time the store costs, if an upload is waited for and if it is not."""
    probe = time_trial(folder / "probe", 200)
    products = round(200 * EPOCH_S * EPOCHS / probe.processor)
    turns = []
    for turn in range(TURNS):
        kinds = prepare_kinds(server, folder, turn)
        turns.append({kind: time_trial(folder / f"{turn}-{kind}", products, **kinds[kind]) for kind in kinds})
    print(f"{TURNS} times {EPOCHS} epochs of {EPOCH_S:g} s of a processor, each kind in turn:")
    for kind in (WAITED_FOR, BESIDE):
        waited = median(times[kind].waited / times[kind].total for times in turns)
        ratios = [times[kind].total / times["no store"].total for times in turns]
        processor = median(times[kind].processor / times["no store"].processor for times in turns)
        print(
            f"    uploads {kind}: training waits {waited:.1%} of the time; {median(ratios):.2f} times the time without "
            f"a store ({' '.join(f'{ratio:.2f}' for ratio in ratios)}), {processor:.3f} times the processor's time; the"
            f" trial ends in {median(times[kind].end for times in turns):.2f} s"
        )


def outlive_an_outage(server: Swift, folder: Path) -> None:
    """The store answers nothing while a trial wants to write; the upload waits, and is whole."""
    said: list[str] = []
    store = ObjectStore(server.uri("runs", "prefix"), said.append, patience_s=120)
    writer = FolderWriter(store, "outage/trials/0001/a", folder / "outage", "id")
    write_epoch(folder / "outage", 1_000_000)
    writer.push()
    server.stop_answering()
    again = threading.Timer(OUTAGE_S, server.answer_again)
    again.start()
    write_epoch(folder / "outage", 1_000_000)
    began = time.monotonic()
    writer.push()
    again.join()
    print(f"an outage of {OUTAGE_S:g} s: the upload took {time.monotonic() - began:.1f} s, {len(said)} lines said why")
    (folder / "after").mkdir()
    fetch(store, "outage/trials/0001/a", folder / "after", lambda name: True, {})
    assert (folder / "after/checkpoint/last.pt").read_bytes() == (folder / "outage/checkpoint/last.pt").read_bytes()


def print_refusals(server: Swift) -> None:
    """Print what a user reads who can't use the store."""
    for what, bucket, credentials in (
        ("a wrong key", "runs", WRONG_CREDENTIALS),
        ("a user who may not write", "runs", READER),
        ("no such bucket", "absent", CREDENTIALS),
    ):
        os.environ.update(credentials)
        try:
            ObjectStore(server.uri(bucket, "prefix"), print, patience_s=5).check("checks/mine")
        except StoreError as error:
            print(f"{what}: {error}")
        else:
            raise AssertionError(what)
    os.environ.update(CREDENTIALS)


def run_a_sweep(server: Swift, folder: Path) -> None:
    """A whole sweep whose trials exchange everything through the store, and a home that takes it over from there."""
    space = write_space(
        folder / "tiny.yaml",
        compare=None,
        budget={"trials_per_arm": 2, "max_epochs": 3},
        resources={"cpu": 2},
        disk={"min_free_gib": 0},
        storage=server.uri("runs", "sweeps"),
    )
    command: list[str | Path] = [sys.executable, "-m", "orchestrator"]
    subprocess.run([*command, "sweep", space, "--home", folder / "home"], check=True)
    there = ["--home", folder / "other", "--storage", server.uri("runs", "sweeps")]
    subprocess.run([*command, "resume", "tiny", *there], check=True)
    before, after = (Ledger(folder / home / "tiny", read_only=True) for home in ("home", "other"))
    assert after.is_finished and len(after.trials) == 2
    for number, trial in before.trials.items():
        assert after.read_rows(after.trials[number]) == before.read_rows(trial)
    uploads = [
        row["metrics"]["time/upload_s"]
        for trial in before.trials.values()
        for row in before.read_rows(trial)
        if "time/upload_s" in row["metrics"]
    ]
    print(f"a sweep through the store: after {len(uploads)} epochs it waited, median {median(uploads):.3f} s")


def main() -> None:
    """Run everything."""
    with tempfile.TemporaryDirectory(prefix="swift-") as scratch, swift(Path(scratch)) as server:
        os.environ.update(CREDENTIALS)
        server.make_bucket("runs")
        os.environ[SCRATCH] = str(Path(scratch, "scratch"))
        measure_uploads(server, Path(scratch, "uploads"))
        measure_epochs(server, Path(scratch, "epochs"))
        outlive_an_outage(server, Path(scratch))
        print_refusals(server)
        run_a_sweep(server, Path(scratch))


if __name__ == "__main__":
    main()

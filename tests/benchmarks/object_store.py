"""How long a trial waits for its uploads, to a real store that speaks S3 on this machine.

    python -m tests.benchmarks.object_store

It prints a table, and what the store's errors become. It needs Debian's packages of Swift (see `tests.support.swift`),
and takes about 3 minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from orchestrator.exchange.folder_writer import FolderWriter
from orchestrator.exchange.snapshots import fetch
from orchestrator.state.ledger import Ledger
from orchestrator.storage.objects import ObjectStore, StoreError
from orchestrator.worker.away import SCRATCH
from tests.support.spaces import write_space
from tests.support.swift import CREDENTIALS, READER, WRONG_CREDENTIALS, Swift, swift

CHECKPOINT_BYTES = 20_000_000
"""The size of a checkpoint of `vae.yaml`, as `plan` counts it."""
ROW_BYTES = 1_200
EPOCHS = 12
EPOCH_S = {"vae.yaml on the demo corpus": 1.5, "an epoch of VEGAS": 25.0}
"""How long an epoch takes, without the upload."""
OUTAGE_S = 6.0


def write_epoch(folder: Path, size: int) -> None:
    """What a trial writes in an epoch: a checkpoint of random bytes, and a row."""
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint" / "saving.tmp").write_bytes(os.urandom(size))
    (folder / "checkpoint" / "saving.tmp").rename(folder / "checkpoint" / "last.pt")
    with (folder / "outbox.jsonl").open("a") as file:
        file.write("x" * ROW_BYTES + "\n")


def push_epochs(store: ObjectStore, folder: Path, size: int) -> list[float]:
    """The seconds of each upload but the first."""
    writer = FolderWriter(store, f"speed/trials/0001/{size}", folder, "id")
    seconds = []
    for _ in range(EPOCHS):
        write_epoch(folder, size)
        began = time.monotonic()
        writer.push()
        seconds.append(time.monotonic() - began)
        # The epoch that follows; what the upload has replaced is deleted meanwhile.
        time.sleep(1.0)
    return seconds[1:]


def measure(server: Swift, folder: Path) -> None:
    """Print how long uploads take, and which share of the time that is."""
    for size in (CHECKPOINT_BYTES, 10_000):
        store = ObjectStore(server.uri("runs", "prefix"), print)
        seconds = push_epochs(store, folder / str(size), size)
        shares = ", ".join(
            f"{median(seconds) / (median(seconds) + epoch_s):.1%} of {what} ({epoch_s:g} s)"
            for what, epoch_s in EPOCH_S.items()
        )
        print(
            f"checkpoint of {size / 1e6:g} MB: median {median(seconds):.2f} s, longest {max(seconds):.2f} s; {shares}"
        )
        began = time.monotonic()
        target = folder / f"fetched-{size}"
        target.mkdir()
        fetch(store, f"speed/trials/0001/{size}", target, lambda name: True, {})
        assert (target / "outbox.jsonl").read_bytes() == (folder / str(size) / "outbox.jsonl").read_bytes()
        print(f"    its start elsewhere: fetched in {time.monotonic() - began:.2f} s")


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
    environment = {**os.environ, SCRATCH: str(folder / "scratch")}
    command = [sys.executable, "-m", "orchestrator"]
    subprocess.run([*command, "sweep", space, "--home", folder / "home"], env=environment, check=True)
    there = ["--home", folder / "other", "--storage", server.uri("runs", "sweeps")]
    subprocess.run([*command, "resume", "tiny", *there], env=environment, check=True)
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
    print(f"a sweep through the store: {len(uploads)} uploads of its epochs, median {median(uploads):.2f} s")


def main() -> None:
    """Run everything."""
    with tempfile.TemporaryDirectory(prefix="swift-") as scratch, swift(Path(scratch)) as server:
        os.environ.update(CREDENTIALS)
        server.make_bucket("runs")
        measure(server, Path(scratch))
        outlive_an_outage(server, Path(scratch))
        print_refusals(server)
        run_a_sweep(server, Path(scratch))


if __name__ == "__main__":
    main()

"""A task on a machine that does not share the home: its files lie on the machine's own disk and go through a store.

The trial's folder is fetched from what its earlier attempts have left in the store, and pushed after each epoch, in a
thread while the next one trains. An epoch is reported once the one before it is in the store, so that the store never
lacks more than one that was reported: a later attempt trains that again, to the same numbers. What trials share of the
home, such as the prepared corpus, is fetched once by each machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.exchange.folder_writer import FolderWriter
from orchestrator.exchange.shared import LIST, fetch_shared, travels
from orchestrator.exchange.snapshots import Damaged, fetch, find_base, list_writers, read_epochs
from orchestrator.exchange.trial_files import is_of_training
from orchestrator.exchange.writers import Writer, driver_prefix, trial_prefix
from orchestrator.state.paths import BEST, CHECKPOINT, LAST, OUTBOX, TRAINABLE_FOLDER, TRIAL_LOG, TRIALS
from orchestrator.storage import durable
from orchestrator.storage.objects import ObjectStore, StoreError
from orchestrator.worker.failure import UnfitMachine
from orchestrator.worker.spec import Storage, TrialSpec
from orchestrator.worker.upload import Upload

SCRATCH = "ORCHESTRATE_SCRATCH"
"""The variable of a machine with the folder below which it keeps files; by default the system's temporary folder."""
LATE_UPLOAD_S = 20.0
"""How long a task waits for a reported epoch that the store lacks: the attempt before may still write it."""
LOOK_EVERY_S = 0.2
NEEDED_FOR_EVALUATION = (f"{CHECKPOINT}/{BEST}", TRIAL_LOG)


def local_home(uri: str) -> Path:
    """Return the folder of this machine that stands for the home of the sweeps of a store."""
    parent = os.environ.get(SCRATCH) or tempfile.gettempdir()
    return Path(parent) / f"orchestrate-{os.getuid()}-{hashlib.sha256(uri.encode()).hexdigest()[:12]}"


def local_trial_folder(uri: str, sweep: str, number: int) -> Path:
    """Return the scratch folder of a trial on this machine; it has a sub-folder for each writer."""
    return local_home(uri) / sweep / TRIALS / f"{number:04d}"


class RemoteHome:
    """The files of one task on this machine.

    Attributes:
        spec: the trial with the paths of this machine.
        writer: the name under which this task writes.
        lacks_epochs: whether the store does not have all epochs that were reported: the machine that has trained the
            last one is gone, and an evaluation has to train it again first.
    """

    def __init__(self, spec: TrialSpec, storage: Storage, kind: str) -> None:
        """Touch nothing yet.

        Args:
            spec: the trial with the paths of the driver's machine.
            storage: where it exchanges files.
            kind: `train` or `evaluate`.
        """
        self._storage = storage
        self._is_evaluation = kind == "evaluate"
        self.writer = Writer(storage.driver, spec.attempt, storage.evaluation)
        self._home = local_home(storage.uri)
        self._prefix = trial_prefix(storage.sweep, spec.number)
        folder = local_trial_folder(storage.uri, storage.sweep, spec.number)
        fields = _move(asdict(spec), spec.home, str(self._home))
        self.spec = TrialSpec(**fields | {"folder": str(folder / str(self.writer))})
        self.lacks_epochs = False
        self._store = ObjectStore(storage.uri, self._say)
        self._output: FolderWriter | None = None
        self._upload: Upload | None = None

    def _say(self, line: str) -> None:
        """Append a line to the trial's log: the thread of an upload must not print to what the main thread closes."""
        log = Path(self.spec.folder) / TRIAL_LOG
        if not log.parent.exists():
            print(line, flush=True)
            return
        with contextlib.suppress(OSError), log.open("a") as file:
            file.write(f"{line}\n")

    def begin(self) -> None:
        """Fetch what the task needs.

        Raises:
            UnfitMachine: the folder of this machine can't be written, or belongs to another user.
            StoreError: the store could not be read.
            OSError: the disk is full.
        """
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self._home.lstat()
        except OSError as error:
            raise UnfitMachine(f"{self._home}: can't be made there ({error.strerror}); set {SCRATCH}") from None
        if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
            raise UnfitMachine(f"{self._home}: is no folder of this user; set {SCRATCH} to a folder of your own there")
        shared_key = f"{driver_prefix(self._storage.sweep, self._storage.driver)}/{LIST}"
        fetch_shared(self._store, shared_key, self._home, self._storage.shared)
        folder = Path(self.spec.folder)
        durable.make_folder(folder)
        writers = list_writers(self._store, self._prefix)
        base = find_base(self._store, self._prefix, writers, self.writer, self.spec.id)
        if base is not None:
            self._wait_for_epochs(f"{self._prefix}/{base}")
            self._fetch_from(f"{self._prefix}/{base}")
        output = FolderWriter(self._store, f"{self._prefix}/{self.writer}", folder, self.spec.id)
        if self._is_evaluation:
            output.leave_out_present()
        self._output = output

    def _wait_for_epochs(self, prefix: str) -> None:
        """Wait a while until the attempt before has written all epochs that it has reported."""
        deadline = time.monotonic() + LATE_UPLOAD_S
        while self._count_epochs(prefix) < self.spec.reported_epochs:
            if time.monotonic() > deadline:
                self.lacks_epochs = True
                return
            time.sleep(LOOK_EVERY_S)

    def _count_epochs(self, prefix: str) -> int:
        try:
            return read_epochs(self._store, prefix, self.spec.since)
        except Damaged:
            return 0

    def _fetch_from(self, prefix: str) -> None:
        """Fetch what the attempt before has left, and leave out what the store has lost of it."""
        folder = Path(self.spec.folder)
        fetched = fetch(self._store, prefix, folder, self._is_wanted, {})
        if fetched is None or not fetched.lost:
            return
        self._say(f"{self._storage.uri}: has lost {', '.join(sorted(fetched.lost))}; the trial goes on without.")
        # Without its last checkpoint it resumes from the best one. If that or the outbox is lost, it is trained again,
        # to the same numbers: the best one is needed at the end, and the outbox says which one it is.
        if any(name == OUTBOX or (is_of_training(name) and name != f"{CHECKPOINT}/{LAST}") for name in fetched.lost):
            for part in (CHECKPOINT, TRAINABLE_FOLDER):
                shutil.rmtree(folder / part, ignore_errors=True)

    def _is_wanted(self, name: str) -> bool:
        return not self._is_evaluation or self.lacks_epochs or name in NEEDED_FOR_EVALUATION

    def push(self) -> None:
        """Begin to write what has changed to the store, in a thread, once what was pushed before is there.

        Raises:
            StoreError: what was pushed before could not be written.
            OSError: the disk of this machine or of the store is full.
        """
        assert self._output is not None, "has not begun"
        self.wait()
        output, taken = self._output, self._output.take()

        def write() -> None:
            output.write(taken)
            self._delete_earlier_attempts()

        self._upload = Upload(write)

    def _delete_earlier_attempts(self) -> None:
        """Delete what an attempt before this task has left that was killed here.

        Not before this task has written something: an attempt that was given up, and still runs here, would write an
        empty folder, from which this one might have begun. For the same reason this task may be the one that was given
        up, and the folder of a newer one is not touched.
        """
        for other in Path(self.spec.folder).parent.iterdir():
            writer = Writer.parse(other.name)
            if writer is not None and self.writer.follows(writer):
                shutil.rmtree(other, ignore_errors=True)

    def wait(self) -> None:
        """Wait until what was pushed is in the store.

        Raises:
            StoreError: it could not be written.
            OSError: the disk of the store is full.
        """
        if self._upload is not None:
            self._upload.wait()

    def check(self) -> None:
        """Raise the error of what was pushed, if it has ended with one; see `wait`."""
        if self._upload is not None and self._upload.is_over:
            self._upload.wait()

    def finish(self, patience_s: float | None = None) -> None:
        """Wait until what was pushed is in the store, or can't be written.

        Args:
            patience_s: how long to wait for that; None for as long as it takes.
        """
        if self._upload is not None:
            with contextlib.suppress(OSError, StoreError):
                self._upload.wait(patience_s)
            self._upload = None

    def push_end(self) -> None:
        """Write what an error has left, such as its traceback in the log, if the store takes it."""
        if self._output is not None:
            with contextlib.suppress(OSError, StoreError):
                self.wait()
                self._output.push()

    def close(self) -> None:
        """Delete the trial's files from this machine, once the store has them."""
        self.finish()
        shutil.rmtree(self.spec.folder, ignore_errors=True)


def _move(value: Any, source: str, target: str) -> Any:
    """Return a value in which a home, and paths of what travels from it, are those of another home."""
    if isinstance(value, str):
        is_moved = value == source or (value.startswith(f"{source}/") and travels(value[len(source) + 1 :]))
        return target + value[len(source) :] if is_moved else value
    if isinstance(value, dict):
        return {key: _move(entry, source, target) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_move(entry, source, target) for entry in value)
    return value

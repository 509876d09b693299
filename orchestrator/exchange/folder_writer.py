"""The writer's side of `snapshots`: it keeps a folder as it is at one moment, and writes that into the store.

The two are apart because the first takes milliseconds, and the second may go on while the folder changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.exchange.snapshots import MANIFEST, WHOLE_FOLDERS, Snapshot, StoredFile, read_snapshot
from orchestrator.state.paths import CHECKPOINT, PREVIOUS
from orchestrator.storage import copies
from orchestrator.storage.objects import ObjectStore, StoreError

PUSH_DIGITS = 6
"""The digits of the number of a push, which is a part of the keys of its objects."""
REPLACED = (CHECKPOINT, *WHOLE_FOLDERS)
"""Folders whose files are replaced by others and never changed, so that a hard link keeps one as it is."""
TAKEN = ".pushing"
"""In a folder: what `FolderWriter.take` has kept of it."""

Signature = tuple[int, ...]
"""What tells a file, and what it has, from any other: device, inode, size, and time of change."""


@dataclass(frozen=True)
class Taken:
    """A folder at one moment, of which the store lacks some files.

    Attributes:
        number: how many were taken before, and this one.
        signatures: those of all files, by their paths in the folder.
        sources: for each signature that the store lacks, where the file is kept, which nobody changes.
        names: for each of them, a path in the folder.
    """

    number: int
    signatures: Mapping[str, Signature]
    sources: Mapping[Signature, Path]
    names: Mapping[Signature, str]


class FolderWriter:
    """Writes a folder into the store, again and again, each time what has changed."""

    def __init__(self, store: ObjectStore, prefix: str, folder: Path, trial_id: str) -> None:
        """Write nothing yet.

        Args:
            store: the store.
            prefix: that of the trial, a slash, and the name of this writer.
            folder: the folder.
            trial_id: the id of the trial.
        """
        self._store = store
        self._prefix = prefix
        self._folder = folder
        self._trial_id = trial_id
        self._number = 0
        self._stored: dict[Signature, StoredFile] = {}
        self._unnamed: set[str] = set()
        self._cleaner = threading.Thread()

    def leave_out_present(self) -> None:
        """Never write what the folder has now, unless it changes."""
        for name, path in _list_files(self._folder):
            self._stored[_sign(path)] = StoredFile("", 0, name)

    def push(self) -> None:
        """Write what has changed since the last write; see `write`."""
        self.write(self.take())

    def take(self) -> Taken:
        """Keep the folder as it is now. What was taken before has to be written, or is given up.

        Raises:
            OSError: the disk of the folder is full.
        """
        self._number += 1
        kept = self._folder / TAKEN
        shutil.rmtree(kept, ignore_errors=True)
        signatures: dict[str, Signature] = {}
        sources: dict[Signature, Path] = {}
        names: dict[Signature, str] = {}
        for name, path in _list_files(self._folder):
            try:
                signature = _sign(path)
                # A hard link, such as that from the last checkpoint to the best one, is one object.
                if signature not in self._stored and signature not in sources:
                    _keep(path, kept / name, is_replaced=name.split("/")[0] in REPLACED)
                    sources[signature], names[signature] = kept / name, name
            except FileNotFoundError:
                # A process of the trial's own has deleted it meanwhile.
                continue
            signatures[name] = signature
        return Taken(self._number, signatures, sources, names)

    def write(self, taken: Taken) -> None:
        """Write what the store lacks, then the manifest; delete what that no longer names, soon.

        Only one write may go on at a time, in the order in which they were taken.

        Args:
            taken: what `take` returned last.

        Raises:
            StoreError: it could not be written; the store has the folder of the last write.
            OSError: the disk of the store is full.
        """
        before, written = self._stored, {}
        for signature, path in taken.sources.items():
            key = f"{self._prefix}/{taken.number:0{PUSH_DIGITS}d}/{taken.names[signature]}"
            try:
                content = self._store.put(key, path)
            except FileNotFoundError:
                # Another attempt on this machine has deleted what this one had there: the trial has not failed.
                raise StoreError(f"{path}: was deleted before it was written to {self._store.uri}") from None
            written[signature] = StoredFile(key, content.size, content.sha256)
        files = {name: written.get(signature) or before[signature] for name, signature in taken.signatures.items()}
        named = {name: file for name, file in files.items() if file.key}
        write_manifest(self._store, self._prefix, Snapshot(self._trial_id, named))
        self._stored = {signature: files[name] for name, signature in taken.signatures.items()}
        self._unnamed |= {file.key for file in before.values()} - {file.key for file in files.values()} - {""}
        shutil.rmtree(self._folder / TAKEN, ignore_errors=True)
        if not self._cleaner.is_alive():
            keys, self._unnamed = self._unnamed, set()
            # A thread, because the next epoch need not wait for it. What it leaves, `settle_files` deletes.
            self._cleaner = threading.Thread(target=self._delete, args=[keys], daemon=True, name="delete objects")
            self._cleaner.start()

    def _delete(self, keys: Iterable[str]) -> None:
        with contextlib.suppress(StoreError):
            for key in sorted(keys):
                self._store.delete(key)


def settle_files(store: ObjectStore, prefix: str, is_dropped: Callable[[str], bool]) -> None:
    """Delete what a writer that writes no more has left in the store and does not name, and some of its files.

    Args:
        store: the store.
        prefix: that of the trial, a slash, and the name of the writer.
        is_dropped: returns whether a file is deleted, by its path in the folder.

    Raises:
        StoreError: the store could not be changed.
    """
    snapshot = read_snapshot(store, prefix)
    if snapshot is None:
        return
    kept = {name: file for name, file in snapshot.files.items() if not is_dropped(name)}
    if len(kept) < len(snapshot.files):
        write_manifest(store, prefix, Snapshot(snapshot.trial_id, kept))
    for key in sorted(store.list(prefix).keys() - {file.key for file in kept.values()} - {f"{prefix}/{MANIFEST}"}):
        store.delete(key)


def write_manifest(store: ObjectStore, prefix: str, snapshot: Snapshot) -> None:
    """Write which files of a writer belong together; from then on readers find these."""
    manifest = {"trial": snapshot.trial_id, "files": {name: asdict(file) for name, file in snapshot.files.items()}}
    store.put(f"{prefix}/{MANIFEST}", json.dumps(manifest, separators=(",", ":")).encode())


def _list_files(folder: Path) -> list[tuple[str, Path]]:
    """Return the files of a trial's folder that the next attempt needs, by their paths in it."""
    files = []
    for root, folders, names in os.walk(folder):
        # One with a dot in its name is being written.
        folders[:] = [name for name in folders if not name.endswith(".tmp") and not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            # The checkpoint before the last one is kept in case that the disk loses the last one.
            if not name.endswith((".tmp", ".lock", ".part")) and name != PREVIOUS and path.is_file():
                files.append((path.relative_to(folder).as_posix(), path))
    return sorted(files)


def _keep(path: Path, target: Path, *, is_replaced: bool) -> None:
    """Keep a file as it is now under another name; that needs no copy if it is replaced and never changed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_replaced:
        copies.link_file(path, target)
    else:
        shutil.copyfile(path, target)


def _sign(path: Path) -> Signature:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

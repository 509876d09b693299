"""A trial's folder in an object store, as one of its writers left it.

Each attempt at a trial, and each evaluation, is a writer with a name of its own, and writes below its own name only.
Its files become objects that never change; one small object, the manifest, names those that belong together, and is
written after them. So a reader finds the folder as it was after one epoch, whatever the writer was doing when it died,
and a writer that has lost the network and comes back late changes nothing that somebody else reads.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.exchange.writers import Writer
from orchestrator.state.curve import select_valid
from orchestrator.state.paths import MEDIA, OUTBOX
from orchestrator.storage import copies, durable
from orchestrator.storage.objects import Content, ObjectStore, StoreError

MANIFEST = "manifest.json"
MAX_READS = 5
"""How often a folder is read anew because its writer has replaced it meanwhile."""
WHOLE_FOLDERS = (MEDIA, "renderings")
"""Folders of folders of which each is complete once it exists, as `worker.media` writes them."""
STAGED = ".fetching"
"""In a folder: what is being fetched."""


class Damaged(StoreError):
    """The store answers, but has lost something of one folder."""


class GivenUp(StoreError):
    """The user wants to stop: what was about to be fetched is fetched at the next start."""


@dataclass(frozen=True)
class StoredFile:
    """A file in the store: the key of its object, and what it has."""

    key: str
    size: int
    sha256: str

    @property
    def content(self) -> Content:
        """What the file has."""
        return Content(self.size, self.sha256)


@dataclass(frozen=True)
class Snapshot:
    """A folder as it was at one moment.

    Attributes:
        trial_id: the id of the trial that it belongs to.
        files: its files by their paths in the folder.
    """

    trial_id: str
    files: Mapping[str, StoredFile]


@dataclass(frozen=True)
class Fetched:
    """What came of fetching a folder.

    Attributes:
        snapshot: the folder as its writer has left it.
        lost: what was left out, because the store does not have it as it was written: paths of files, and of folders
            of which all files belong together.
    """

    snapshot: Snapshot
    lost: frozenset[str]


def list_writers(store: ObjectStore, prefix: str) -> list[Writer]:
    """Return who has written something of a trial that can be read, the last one last."""
    names = [key.removeprefix(f"{prefix}/").split("/") for key in store.list(prefix)]
    writers = [Writer.parse(parts[0]) for parts in names if parts[1:] == [MANIFEST]]
    return sorted(writer for writer in writers if writer is not None)


def is_inside(name: str) -> bool:
    """Return whether a path from the store stays inside of the folder that it is relative to."""
    return not {"", ".", ".."} & set(name.split("/"))


def read_snapshot(store: ObjectStore, prefix: str) -> Snapshot | None:
    """Return what a writer has written last; None if there is nothing that can be read.

    Args:
        store: the store.
        prefix: that of the trial, a slash, and the name of the writer.
    """
    text = store.read(f"{prefix}/{MANIFEST}")
    try:
        manifest = json.loads(text or b"null")
        files = {name: StoredFile(**fields) for name, fields in manifest["files"].items() if is_inside(name)}
        return Snapshot(manifest["trial"], files)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def read_epochs(store: ObjectStore, prefix: str, since: int) -> int:
    """Return the newest epoch of what a writer has written last; 0 without one.

    Args:
        store: the store.
        prefix: that of the trial, a slash, and the name of the writer.
        since: the first attempt that counts.

    Raises:
        Damaged: the store has lost the outbox.
        StoreError: the store could not be read.
    """
    before = None
    for _ in range(MAX_READS):
        snapshot = read_snapshot(store, prefix)
        file = snapshot.files.get(OUTBOX) if snapshot is not None else None
        if file is None:
            return 0
        text = store.read(file.key)
        if text is not None and Content(len(text), hashlib.sha256(text).hexdigest()) == file.content:
            lines = [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]
            return max((line["epoch"] for line in select_valid(lines, since) if "diverged" not in line), default=0)
        if file == before:
            break
        before = file
    raise Damaged(f"{store.uri}: {prefix}: {OUTBOX} is missing or damaged")


def find_base(
    store: ObjectStore, prefix: str, writers: Iterable[Writer], writer: Writer, trial_id: str
) -> Writer | None:
    """Return the attempt from which a writer goes on: the last one before it that has left anything.

    Args:
        store: the store.
        prefix: that of the trial.
        writers: who has written something of the trial, in their order.
        writer: an attempt, or an evaluation, which starts from its own attempt.
        trial_id: the id of the trial; another one that had its number counts for nothing.
    """
    for earlier in reversed([*writers]):
        if writer.follows(earlier) and not earlier.evaluation:
            snapshot = read_snapshot(store, f"{prefix}/{earlier}")
            if snapshot is not None and snapshot.trial_id == trial_id:
                return earlier
    return None


def fetch(
    store: ObjectStore,
    prefix: str,
    folder: Path,
    is_wanted: Callable[[str], bool],
    present: dict[str, Content],
    is_given_up: Callable[[], bool] = lambda: False,
) -> Fetched | None:
    """Write a folder from the store into a folder of this machine, as its writer left it at one moment.

    Args:
        store: the store.
        prefix: that of the trial, a slash, and the name of the writer.
        folder: the folder; files that are not wanted, that the writer does not have, or that the store has lost, stay
            as they are.
        is_wanted: returns whether a file is wanted, by its path in the folder.
        present: what the folder has of the store already, which is not read again; it gets what is read.
        is_given_up: returns whether no further object is to be read.

    Returns:
        What the store has, and has lost; None if the writer has written nothing.

    Raises:
        Damaged: the writer replaces the folder faster than it can be read.
        GivenUp: no further object is to be read; the folder is as it was.
        StoreError: the store could not be read.
        OSError: the disk of the folder is full.
    """
    staged = folder / STAGED
    before: Snapshot | None = None
    arrived: set[str] = set()
    try:
        for _ in range(MAX_READS):
            snapshot = read_snapshot(store, prefix)
            if snapshot is None:
                return None
            if snapshot != before:
                shutil.rmtree(staged, ignore_errors=True)
                arrived.clear()
            wanted = {name: file for name, file in snapshot.files.items() if is_wanted(name)}
            changed = {_unit(name) for name, file in wanted.items() if present.get(name) != file.content}
            files = {name: file for name, file in wanted.items() if _unit(name) in changed}
            missing = {name: file for name, file in files.items() if name not in arrived}
            # Perhaps the writer has replaced what is gone meanwhile. It is lost if the same is named once more.
            lost = _stage(store, staged, missing, arrived, is_given_up, looks_on=snapshot == before)
            if not lost or snapshot == before:
                whole = {name: file.content for name, file in files.items() if _unit(name) not in lost}
                _put_in_place(staged, folder, {_unit(name) for name in whole})
                present.update(whole)
                return Fetched(snapshot, frozenset(lost))
            before = snapshot
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    raise Damaged(f"{store.uri}: {prefix}/{MANIFEST} was replaced {MAX_READS} times while it was read")


def drop_folders(folder: Path, names: Iterable[str], present: dict[str, Content]) -> None:
    """Delete the folders that are fetched as a whole, and of which the store has no file.

    Args:
        folder: the folder of this machine.
        names: the files that the store has.
        present: as in `fetch`; it loses what is deleted.
    """
    units = {_unit(name) for name in names}
    for path in [path for parent in WHOLE_FOLDERS for path in (folder / parent).glob("*") if path.is_dir()]:
        if (unit := path.relative_to(folder).as_posix()) not in units:
            shutil.rmtree(path)
            for name in [name for name in present if _unit(name) == unit]:
                del present[name]


def _unit(name: str) -> str:
    """Return the file or the folder that is replaced as a whole when a file has changed."""
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] in WHOLE_FOLDERS and len(parts) > 2 else name


def _stage(
    store: ObjectStore,
    staged: Path,
    files: Mapping[str, StoredFile],
    arrived: set[str],
    is_given_up: Callable[[], bool],
    *,
    looks_on: bool,
) -> set[str]:
    """Fetch files into a folder, add their names to those that have arrived, and return what is gone or damaged.

    Raises:
        GivenUp: no further object is to be read.
    """
    lost: set[str] = set()
    for name, file in files.items():
        if lost and not looks_on:
            break
        if is_given_up():
            raise GivenUp(f"{store.uri}: {file.key} is read at the next start")
        durable.make_folder((staged / name).parent)
        if store.get(file.key, staged / name) == file.content:
            arrived.add(name)
        else:
            lost.add(_unit(name))
    return lost


def _put_in_place(staged: Path, folder: Path, units: Iterable[str]) -> None:
    """Replace files of a folder, and folders in it, by those that have arrived."""
    for unit in sorted(units):
        target = folder / unit
        durable.make_folder(target.parent)
        if (staged / unit).is_dir():
            copies.sync_tree(staged / unit)
        if target.is_dir():
            shutil.rmtree(target)
        (staged / unit).replace(target)
        durable.sync_folder(target.parent)

"""What the trials of a sweep share of the home: written to the store once, and fetched once by each machine.

The objects are named by their content, and belong to no sweep: what another sweep has written is not written again. A
list of them belongs to each sweep.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from orchestrator.exchange.snapshots import is_inside
from orchestrator.state.paths import TRAINED_MODELS, TRIALS
from orchestrator.storage import durable
from orchestrator.storage.objects import Content, ObjectStore, StoreError

OBJECTS = "shared"
"""The prefix of the objects; no sweep has this name."""
LIST = "shared.json"
"""The list of a sweep: an object below the prefix of its driver, and a file in its folder in the home."""
TRAVELLING = ("cache", "code", "corpora")
"""The folders of the home of which files go to other machines."""
FETCHED = ".fetched.json"
"""In the cache of a machine: the hashes of the lists that were fetched, and of the files by their paths in the home."""
AT_ONCE = 8
"""Files that are written or read at the same time."""


def travels(name: str) -> bool:
    """Return whether a file is among those that go from one home to another, by its path in the home.

    They are the caches, copies of code, trials' folders and copies of trained models; never a database, and nothing
    outside of the home.
    """
    parts = name.split("/")
    is_of_sweep = len(parts) > 2 and parts[1] in (TRIALS, TRAINED_MODELS)
    return is_inside(name) and len(parts) > 1 and (parts[0] in TRAVELLING or is_of_sweep)


@dataclass(frozen=True)
class SharedFile:
    """A file of the home.

    Attributes:
        size: its size in bytes.
        sha256: its hash, which is the name of its object.
        changed_ns: when it was changed on the driver's machine.
    """

    size: int
    sha256: str
    changed_ns: int

    @property
    def key(self) -> str:
        """The name of its object."""
        return f"{OBJECTS}/{self.sha256}"


def publish(
    store: ObjectStore, key: str, home: Path, paths: Iterable[Path], record: Path, progress: Callable[[int, int], None]
) -> str:
    """Write files of the home to the store, except those that it has, and then their list.

    Args:
        store: the store.
        key: the key of the list.
        home: the home.
        paths: the files.
        record: a file with the list that was written last, by which files are not read again that have not changed.
        progress: is called with the number of files that are there, and of all files.

    Returns:
        A hash of the list.

    Raises:
        StoreError: the store could not be written.
    """
    before = _parse(record.read_bytes()) if record.exists() else {}
    names = sorted({path.relative_to(home).as_posix() for path in paths})

    def write(name: str) -> SharedFile:
        status = (home / name).stat()
        file = before.get(name)
        if file is None or (file.size, file.changed_ns) != (status.st_size, status.st_mtime_ns):
            file = SharedFile(status.st_size, hash_file(home / name), status.st_mtime_ns)
        if store.size(file.key) != file.size and store.put(file.key, home / name) != Content(file.size, file.sha256):
            raise StoreError(f"{home / name}: was changed while it was written to {store.uri}; start again")
        return file

    files: dict[str, SharedFile] = {}
    with ThreadPoolExecutor(AT_ONCE) as executor:
        for name, file in zip(names, executor.map(write, names), strict=True):
            files[name] = file
            progress(len(files), len(names))
    text = json.dumps({name: asdict(file) for name, file in files.items()}, indent=0)
    store.put(key, text.encode())
    durable.write_whole(record, text)
    return _hash(text.encode())


def fetch_shared(
    store: ObjectStore,
    key: str,
    home: Path,
    expected: str = "",
    put_in_place: Callable[[Path, Path], object] = Path.replace,
) -> None:
    """Fetch the files of a list that a machine does not have; one process fetches, and the others wait for it.

    Args:
        store: the store.
        key: the key of the list.
        home: the home of this machine.
        expected: the hash of the list; it is not read if this machine has fetched that list before. Empty for the list
            as it is.
        put_in_place: is called with a file that has arrived, and where it belongs; by default the one replaces the
            other.

    Raises:
        StoreError: the store could not be read, or has something else than the list says.
        OSError: the disk is full.
    """
    record = home / "cache" / FETCHED
    if expected and expected in _read_record(record):
        return
    durable.make_folder(home / "cache")
    with FileLock(record.with_suffix(".lock")):
        hashes = _read_record(record)
        if expected and expected in hashes:
            return
        text = store.read(key)
        if text is None or (expected and _hash(text) != expected):
            raise StoreError(f"{store.uri}: {key} is missing, or of another driver than the one that runs the sweep")
        files = _parse(text)

        def fetch(name: str) -> None:
            _fetch(store, home / name, files[name], hashes.get(name, ""), put_in_place)

        with ThreadPoolExecutor(AT_ONCE) as executor:
            list(executor.map(fetch, files))
        hashes |= {name: file.sha256 for name, file in files.items()} | {_hash(text): ""}
        durable.write_whole(record, json.dumps(hashes))


def _read_record(path: Path) -> dict[str, str]:
    try:
        record: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record


def _fetch(
    store: ObjectStore, path: Path, file: SharedFile, fetched: str, put_in_place: Callable[[Path, Path], object]
) -> None:
    """Fetch a file unless it is there; a file is there only once it is whole.

    Args:
        store: the store.
        path: the file.
        file: what it should be.
        fetched: the hash of what was fetched there before.
        put_in_place: as of `fetch_shared`.
    """
    with contextlib.suppress(FileNotFoundError):
        is_of_size = path.stat().st_size == file.size
        if is_of_size and file.sha256 == (fetched or hash_file(path)):
            return
    durable.make_folder(path.parent)
    part = path.with_name(f".{path.name}.part")
    try:
        if store.get(file.key, part) != Content(file.size, file.sha256):
            raise StoreError(
                f"{store.uri}: {file.key} ({path.name}) is missing or damaged; run the sweep again to write it"
            )
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)
    durable.sync_folder(path.parent)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parse(text: bytes) -> dict[str, SharedFile]:
    return {name: SharedFile(**fields) for name, fields in json.loads(text).items() if travels(name)}


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]

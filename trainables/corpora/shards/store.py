"""A folder of shards: what was decoded of the recordings of one source, to which new ones are added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from filelock import FileLock

from trainables.corpora.shards.decoded import Decoded
from trainables.corpora.shards.shard import ARRAY, LINES, Entry, ShardWriter, read_entries
from trainables.support.cache import explain_write_errors
from trainables.support.processes import Failed, map_surviving

SHARD_BYTES = 256 << 20
"""A shard is finished once it is larger. A process keeps a file open for each: 48 for the clips of VEGAS."""

NO_SHARD = ""
"""In place of the shard of a recording that may be decoded next time."""

Input = TypeVar("Input")


@dataclass(frozen=True)
class Wanted(Generic[Input]):
    """A recording that has to be in the shards.

    Attributes:
        name: the name of the recording.
        key: the state of its file (see `Entry`).
        value: what its decoder is called with.
    """

    name: str
    key: str
    value: Input


@dataclass(frozen=True)
class Placed:
    """Where the items of a recording are: the name of a shard, or `NO_SHARD`, and the entry in it."""

    shard: str
    entry: Entry


@dataclass(frozen=True)
class Counts:
    """How far a preparation is.

    Attributes:
        files: the number of files that are done.
        total: the number of all files.
        items: the number of items, such as clips.
        skipped: the number of files without any.
    """

    files: int
    total: int
    items: int
    skipped: int


Observe = Callable[[Counts], None]


class ShardStore:
    """The shards of one folder.

    Args:
        folder: the folder.
        shape: the shape of an item.
        dtype: the type of its numbers.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self.folder = folder
        self.shape = shape
        self.dtype = dtype

    def places_of(self, folder: Path, *details: str) -> Path:
        """Return the file in a corpus's folder that says where its items are in these shards.

        A copy of the recordings elsewhere is the same corpus in other shards: each folder of shards has its own file.

        Args:
            folder: the folder of the corpus.
            details: what else tells several such files of one folder apart.
        """
        return folder / f"{'-'.join([self.folder.name, *details])}.npz"

    def read(self) -> Iterator[Placed]:
        """Yield every entry of every finished shard; one whose items somebody has deleted is decoded again."""
        for path in sorted(self.folder.glob(f"[!.]*{LINES}")):
            if not path.with_suffix(ARRAY).is_file():
                continue
            for entry in read_entries(path):
                yield Placed(path.stem, entry)

    def prepare(
        self,
        wanted: Sequence[Wanted[Input]],
        make: Callable[[Input], Decoded],
        observe: Observe,
        has_changed: Callable[[Wanted[Input]], bool],
    ) -> dict[str, Placed]:
        """Decode the recordings that no shard has yet, and return where each recording is, by its name.

        One process decodes, and others wait for it. After a kill, the next call decodes only the files that were being
        decoded.

        Args:
            wanted: the recordings.
            make: decodes one of them, in another process.
            observe: is called before the first file that has to be decoded, and after each one.
            has_changed: whether a file has changed while it was decoded.

        Raises:
            InputError: the folder can't be written, or its disk is full.
        """
        with explain_write_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"):
                return self._prepare(wanted, make, observe, has_changed)

    def _prepare(
        self,
        wanted: Sequence[Wanted[Input]],
        make: Callable[[Input], Decoded],
        observe: Observe,
        has_changed: Callable[[Wanted[Input]], bool],
    ) -> dict[str, Placed]:
        keys = {(task.name, task.key) for task in wanted}
        placed = {(place.entry.name, place.entry.key): place for place in self.read()}
        placed = {key: place for key, place in placed.items() if key in keys}
        progress = _Progress(len(wanted), observe)
        for place in placed.values():
            progress.add(place.entry)
        with self._writer() as writer:
            for entry in writer.continued:
                if (entry.name, entry.key) in keys:
                    progress.add(entry)
            done = placed.keys() | {(entry.name, entry.key) for entry in writer.continued}
            missing = [task for task in wanted if (task.name, task.key) not in done]
            if missing:
                progress.report()
            for position, answer in map_surviving(make, [task.value for task in missing]):
                task = missing[position]
                decoded = self._reject(answer.reason, answer.is_passing) if isinstance(answer, Failed) else answer
                if has_changed(task):
                    # Or its state could not be asked for a moment, and is the old one next time.
                    decoded = self._reject("changed while it was read", is_passing=True)
                if decoded.is_passing:
                    # No shard gets it, so that the next preparation tries the file again.
                    entry = Entry(task.name, task.key, 0, 0, 0, problem=decoded.problem)
                    placed[task.name, task.key] = Placed(NO_SHARD, entry)
                else:
                    entry = writer.append(task, decoded)
                progress.add(entry)
                progress.report()
        placed |= {(place.entry.name, place.entry.key): place for place in writer.finished}
        return {task.name: placed[task.name, task.key] for task in wanted}

    def _reject(self, problem: str, is_passing: bool = False) -> Decoded:
        return Decoded(np.empty((0, *self.shape), self.dtype), (), problem, is_passing)

    @contextmanager
    def _writer(self) -> Iterator[_Writer]:
        """Yield a writer that continues an unfinished shard, and finish the last shard at the end of the block.

        After an error, the last shard stays unfinished.
        """
        writer = _Writer(self)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


class _Writer:
    """A writer of as many shards as are needed.

    Attributes:
        continued: the entries that an earlier writer left in an unfinished shard.
        finished: the entries of the shards that were finished.
    """

    def __init__(self, store: ShardStore) -> None:
        self._store = store
        self._item_bytes = max(1, int(np.prod(store.shape)) * np.dtype(store.dtype).itemsize)
        self._shard: ShardWriter | None = self._open()
        self.continued = list(self._shard.entries) if self._shard else []
        self.finished: list[Placed] = []

    def append(self, task: Wanted[Any], decoded: Decoded) -> Entry:
        """Append the items of a recording, or its problem."""
        self._shard = self._shard or self._open()
        entry = self._shard.append(task.name, task.key, decoded)
        if self._shard.num_items * self._item_bytes >= SHARD_BYTES:
            self.finish()
        return entry

    def finish(self) -> None:
        """Finish the shard, if it has entries."""
        if self._shard is not None and self._shard.entries:
            name = self._shard.finish()
            self.finished += [Placed(name, entry) for entry in self._shard.entries]
            self._shard = None

    def close(self) -> None:
        """Close the files of a shard that is not finished."""
        if self._shard is not None:
            self._shard.close()

    def _open(self) -> ShardWriter:
        return ShardWriter(self._store.folder, self._store.shape, self._store.dtype)


class _Progress:
    """The counts of a preparation."""

    def __init__(self, total: int, observe: Observe) -> None:
        self._total = total
        self._observe = observe
        self._files = self._items = self._skipped = 0

    def add(self, entry: Entry) -> None:
        """Count a recording."""
        self._files += 1
        self._items += entry.count
        self._skipped += bool(entry.problem)

    def report(self) -> None:
        """Call the observer."""
        self._observe(Counts(self._files, self._total, self._items, self._skipped))

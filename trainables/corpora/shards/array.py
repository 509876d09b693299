"""An array over the items of many shards, which is read like a memory map of one file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from trainables.corpora.shards.shard import ARRAY, open_array
from trainables.corpora.shards.store import Placed, ShardStore
from trainables.support.cache import write_once

ABSENT = -1
"""The shard of an item that no shard has; it is read as zeros."""


class ShardedArray:
    """Items of several shards in any order. Each shard is mapped when one of its items is first read.

    Processes that read the same shards share their pages in memory.

    Args:
        folder: the folder of the shards.
        shards: the names of the shards.
        shard: for each item, the position of its shard in `shards`, or `ABSENT`.
        row: for each item, its row in that shard.
        item_shape: the shape of an item.
        dtype: the type of its numbers.
    """

    def __init__(
        self,
        folder: Path,
        shards: Sequence[str],
        shard: NDArray[np.int64],
        row: NDArray[np.int64],
        item_shape: tuple[int, ...],
        dtype: DTypeLike,
    ) -> None:
        self._folder = folder
        self._shards = shards
        self._shard = shard
        self._row = row
        self.shape = (len(shard), *item_shape)
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return len(self._shard)

    @property
    def is_absent(self) -> NDArray[np.bool_]:
        """Whether no shard has an item, for each of them."""
        return np.equal(self._shard, ABSENT)

    def __getitem__(self, key: Any) -> Any:
        """Return one item for an integer, and a copy of several for a slice, a mask or an array of positions.

        Integers and slices for the other axes may follow.
        """
        if isinstance(key, tuple):
            items = self[key[0]]
            num_leading = items.ndim - len(self.shape) + 1
            return items[(*[slice(None)] * num_leading, *key[1:])]
        if isinstance(key, int | np.integer):
            shard, row = int(self._shard[key]), int(self._row[key])
            return np.zeros(self.shape[1:], self.dtype) if shard == ABSENT else self._map(shard)[row]
        positions = key if isinstance(key, slice) else np.asarray(key)
        shards, rows = self._shard[positions], self._row[positions]
        items = np.zeros((*shards.shape, *self.shape[1:]), self.dtype)
        for shard in np.unique(shards):
            if shard != ABSENT:
                is_here = shards == shard
                items[is_here] = self._map(int(shard))[rows[is_here]]
        return items

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[position] for position in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        items: NDArray[Any] = self[:]
        return items.astype(dtype or self.dtype, copy=False)

    def _map(self, shard: int) -> NDArray[Any]:
        return open_array(self._folder, self._shards[shard])


def write_places(path: Path, places: Sequence[tuple[Placed | None, int]]) -> None:
    """Write where the items of an array are, so that it is opened without reading the lines of the shards.

    Args:
        path: the file, which is replaced.
        places: for each item, the place of its recording (None: no shard has it), and its number in the recording.
    """
    names = sorted({place.shard for place, _ in places if place is not None})
    number_by_name = {name: number for number, name in enumerate(names)}
    shard = [ABSENT if place is None else number_by_name[place.shard] for place, _ in places]
    row = [0 if place is None else place.entry.first + index for place, index in places]

    def make(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, names=np.array(names, "U16"), shard=np.array(shard, np.int64), row=np.array(row, np.int64))

    # It is never missing in between: another process may have written it, and be about to read it.
    write_once(path, make, replaces=True)


def open_places(path: Path, store: ShardStore) -> ShardedArray | None:
    """Return the array whose places were written; None if there are none, or if a shard is missing."""
    try:
        with np.load(path) as places:
            names, shard, row = places["names"].tolist(), places["shard"], places["row"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    if not all((store.folder / f"{name}{ARRAY}").is_file() for name in names):
        return None
    return ShardedArray(store.folder, names, shard, row, store.shape, store.dtype)

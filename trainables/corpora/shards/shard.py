"""A shard: the decoded items of some recordings in one .npy file, with a line of JSON for each recording beside it."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from trainables.corpora.shards.decoded import Decoded
from trainables.support import durable

ARRAY, LINES = ".npy", ".jsonl"


@dataclass(frozen=True)
class Entry:
    """What a shard has of one recording.

    Attributes:
        name: the name of the recording.
        key: the state of its file, such as size and time; another state is another entry.
        first: the row of its first item in the shard.
        count: the number of its items.
        crc: the CRC-32 of its items.
        starts_s: the start of each item in the recording.
        problem: why there are none; empty if there are some.
    """

    name: str
    key: str
    first: int
    count: int
    crc: int
    starts_s: tuple[float, ...] = ()
    problem: str = ""


def read_entries(path: Path) -> list[Entry]:
    """Return the entries of a shard, up to a line that is damaged, or was cut off."""
    entries = []
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            fields = json.loads(line)
            entries.append(Entry(**{**fields, "starts_s": tuple(fields["starts_s"])}))
        except (ValueError, TypeError, KeyError):
            break
    return entries


def has_damaged_lines(path: Path) -> bool:
    """Return whether the lines of a finished shard are not those that its name is the digest of."""
    return digest_lines(path.read_bytes()) != path.stem


def digest_lines(lines: bytes) -> str:
    """Return the name of a shard with these lines."""
    return hashlib.sha256(lines).hexdigest()[:16]


@cache
def open_array(folder: Path, name: str) -> NDArray[Any]:
    """Return the items of a whole shard as a memory map; a shard never changes, so it is mapped once."""
    array: NDArray[Any] = np.load(folder / f"{name}{ARRAY}", mmap_mode="r")
    return array


def is_damaged(array: NDArray[Any], entry: Entry) -> bool:
    """Return whether the items of an entry are not those that were written."""
    items = array[entry.first : entry.first + entry.count]
    return len(items) != entry.count or zlib.crc32(np.ascontiguousarray(items).data) != entry.crc


class ShardWriter:
    """The writer of one shard, which goes on where a killed one stopped.

    Under temporary names the items of a recording are appended first, then its line. A power cut may leave a line
    without its items. Then the checksum does not match. At the end the files get the digest of the lines as their name:
    no reader takes a half-written shard or an old one for this one.

    Args:
        folder: the folder of the shards.
        shape: the shape of an item.
        dtype: the type of its numbers.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._folder = folder
        self._shape = shape
        self._dtype = np.dtype(dtype)
        self._array_path, self._lines_path = folder / f".writing{ARRAY}", folder / f".writing{LINES}"
        self._array, self._lines, self.entries = self._resume()

    @property
    def num_items(self) -> int:
        """The number of items written so far."""
        return self.entries[-1].first + self.entries[-1].count if self.entries else 0

    def append(self, name: str, key: str, decoded: Decoded) -> Entry:
        """Append the items of a recording, or the problem why it has none."""
        items = np.ascontiguousarray(decoded.items, self._dtype)
        entry = Entry(name, key, self.num_items, len(items), zlib.crc32(items.data), decoded.starts_s, decoded.problem)
        self._array.write(items.data)
        self._array.flush()
        self._lines.write(_format(entry))
        self._lines.flush()
        self.entries.append(entry)
        return entry

    def finish(self) -> str:
        """Give the shard its name once all of it is on the disk; return the name, which survives a power cut, too."""
        self._array.seek(0)
        self._write_header(self._array, self.num_items)
        for file in (self._array, self._lines):
            file.flush()
            os.fsync(file.fileno())
            file.close()
        name = digest_lines("".join(map(_format, self.entries)).encode())
        # A shard exists if its lines do.
        self._array_path.replace(self._folder / f"{name}{ARRAY}")
        self._lines_path.replace(self._folder / f"{name}{LINES}")
        durable.sync_folder(self._folder)
        return name

    def close(self) -> None:
        """Close the files of an unfinished shard, which the next writer continues."""
        self._array.close()
        self._lines.close()

    def _resume(self) -> tuple[IO[bytes], IO[str], list[Entry]]:
        self._array_path.touch()
        self._lines_path.touch()
        array = self._array_path.open("rb+")
        self._write_header(array, 0)
        begin, item_bytes = array.tell(), int(np.prod(self._shape)) * self._dtype.itemsize
        whole: list[Entry] = []
        for entry in read_entries(self._lines_path):
            items = array.read(entry.count * item_bytes)
            if len(items) != entry.count * item_bytes or zlib.crc32(items) != entry.crc:
                break
            whole.append(entry)
        rows = sum(entry.count for entry in whole)
        array.truncate(begin + rows * item_bytes)
        array.seek(begin + rows * item_bytes)
        self._lines_path.write_text("".join(map(_format, whole)), encoding="utf-8")
        return array, self._lines_path.open("a", encoding="utf-8"), whole

    def _write_header(self, file: IO[bytes], num_items: int) -> None:
        # numpy pads the header, so that a larger first axis fits in its place.
        shape = (num_items, *self._shape)
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        )


def _format(entry: Entry) -> str:
    # ASCII, because the name of a file need not be valid UTF-8.
    return json.dumps(asdict(entry)) + "\n"

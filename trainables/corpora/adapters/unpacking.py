"""The sounds and pictures that are embedded in tables, as files: what decodes recordings reads files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from trainables.corpora.adapters.hf_tables import Media, Row
from trainables.support.cache import explain_write_errors, write_whole

TIMES_NS = 10**18
"""Times in ns below it are before the year 2002, which every file system can store."""


@dataclass(frozen=True)
class Unpacked:
    """A row whose media are files.

    Attributes:
        name: the path or name of its sound, or the row's number.
        label: its class; empty if it has none.
        group: the text in the column of groups.
        sound: the file; empty if there is none.
        picture: the picture or video; empty if there is none.
    """

    name: str
    label: str
    group: str
    sound: str
    picture: str


def unpack(table: Path, folder: Path, key: str, read: Callable[[], Iterable[Row]]) -> list[Unpacked]:
    """Return the rows of a table; the first time, what is embedded in them is written into files.

    Args:
        table: the table; paths in it are relative to its folder.
        folder: the folder of the files, and of an index of the rows.
        key: the state of the table, and the columns that are read. In another state, it is read anew.
        read: reads the rows.

    Raises:
        InputError: the folder can't be written, or its disk is full.
    """
    index = folder / f"rows-{key}.jsonl"
    if (rows := _read_index(index)) is not None:
        return rows
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    try:
        if (rows := _read_index(index)) is not None:
            return rows
        rows = [_unpack_row(table, folder, row) for row in read()]
        with explain_write_errors(folder):
            write_whole(index, "".join(f"{json.dumps(asdict(row))}\n" for row in rows).encode())
        return rows
    finally:
        lock.release()


def _read_index(index: Path) -> list[Unpacked] | None:
    """Return the rows of an index; None if there is none, or if a file that was written is gone."""
    try:
        rows = [Unpacked(**json.loads(line)) for line in index.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return None
    files = {path for row in rows for path in (row.sound, row.picture) if os.path.dirname(path) == str(index.parent)}
    return rows if all(map(os.path.exists, files)) else None


def _unpack_row(table: Path, folder: Path, row: Row) -> Unpacked:
    sound = _locate(table, folder, row.sound, ".wav")
    picture = sound if row.picture == row.sound else _locate(table, folder, row.picture, ".png")
    name = (row.sound.path if row.sound else "").lstrip("/") or f"{row.number:06d}"
    return Unpacked(name, row.label, row.group, sound, picture)


def _locate(table: Path, folder: Path, media: Media | None, suffix: str) -> str:
    """Return the path of a sound, picture or video, which is written first if it is embedded; "" if there is none."""
    if media is None:
        return ""
    if media.content is None:
        return str(table.parent / media.path)
    content_digest = hashlib.sha256(media.content).hexdigest()
    path = folder / f"{content_digest[:24]}{os.path.splitext(media.path)[1].lower() or suffix}"
    # A file's time is part of a recording's state. This one stands for the content alone, so that nothing is decoded
    # again where a table was written anew, or a file was deleted and is unpacked again.
    time_ns = int(content_digest[:15], 16) % TIMES_NS
    with explain_write_errors(folder):
        if not path.exists() or path.stat().st_mtime_ns != time_ns:
            write_whole(path, media.content)
            os.utime(path, ns=(time_ns, time_ns))
    return str(path)

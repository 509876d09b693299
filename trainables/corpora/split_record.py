"""The record of splits: recordings of a corpus keep their splits when others are added or removed.

Splits depend on the list of recordings. A longer list would move some old recordings to another split, and a model
would be tested on recordings that it was trained on. So each source of recordings has a file of splits in the home.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from filelock import FileLock

from trainables.corpora.splits import Split, digest
from trainables.errors import InputError
from trainables.support.cache import explain_write_errors, write_whole

FOLDER = "corpora"
"""The folder of the records in the home; not `cache`, which users may delete to free a disk."""
PREFIX = "splits-"
"""What their names begin with."""


@dataclass
class SplitRecord:
    """The splits and fingerprints of one source of recordings.

    Attributes:
        source: the source, such as `folder /data/sounds`.
        splits: the split of every group of recordings that was ever opened.
        fingerprints: the fingerprint of the corpus for each list of files that was opened, by the fingerprint of that
            list and of those splits that it fixes.
    """

    source: str
    splits: dict[str, Split] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)

    def find_splits(self, groups: Iterable[str]) -> dict[str, Split]:
        """Return the splits of those groups that are in the record."""
        return {group: self.splits[group] for group in groups if group in self.splits}

    def find_contradictions(self, other: SplitRecord) -> list[str]:
        """Return the groups that have another split in another record."""
        return sorted(
            group for group in self.splits.keys() & other.splits.keys() if self.splits[group] != other.splits[group]
        )

    def add(self, files: str, fingerprint: str, splits: Mapping[str, Split]) -> None:
        """Add a corpus and the splits of its groups.

        Args:
            files: the fingerprint of the files and the fixed splits.
            fingerprint: the fingerprint of the corpus.
            splits: the splits of its groups; a group that is in the record keeps its split.
        """
        self.fingerprints[files] = fingerprint
        self.splits = {**splits, **self.splits}


def extend_fingerprint(files: str, earlier_splits: Mapping[str, Split]) -> str:
    """Return the fingerprint of a corpus from that of its files and from the earlier splits: 12 hexadecimal digits.

    In another home the same files may have other splits, and need another fingerprint, because caches and models are
    identified by it.

    Args:
        files: the fingerprint of the files alone; it is returned if there are no earlier splits.
        earlier_splits: the splits that groups of this corpus already had.
    """
    lines = [files, *(f"{group} {split}" for group, split in sorted(earlier_splits.items()))]
    return digest("\n".join(lines))[:12] if earlier_splits else files


def drop_test(splits: Mapping[str, Split]) -> dict[str, Split]:
    """Return the splits of the groups that are not in the test split."""
    return {group: split for group, split in splits.items() if split != "test"}


def read_record(home: Path, source: str) -> SplitRecord:
    """Read the record of a source; an empty one if the source is new."""
    try:
        return SplitRecord(**json.loads(record_path(home, source).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return SplitRecord(source)


@contextmanager
def edit_record(home: Path, source: str) -> Iterator[SplitRecord]:
    """Yield the record of a source under a lock, and write it at the end of the block.

    Raises:
        InputError: the home can't be written.
    """
    locks = home / "cache" / "locks"
    with explain_write_errors(locks):
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"splits-{digest(source)[:12]}.lock")
        lock.acquire()
    try:
        record = read_record(home, source)
        yield record
        path = record_path(home, source)
        with explain_write_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(asdict(record), indent=0, ensure_ascii=False).encode())
    finally:
        lock.release()


def merge_record(home: Path, text: bytes) -> None:
    """Add a record of another home to that of this home: groups that are new here get the splits that they have there.

    Args:
        home: this home.
        text: the contents of the other home's file.

    Raises:
        InputError: a group has another split there, or this home can't be written.
    """
    other = SplitRecord(**json.loads(text))
    with edit_record(home, other.source) as record:
        if groups := record.find_contradictions(other):
            group = groups[0]
            raise InputError(
                f"{record_path(home, other.source)}: {other.source} is split in another way here: {group} is in "
                f"{record.splits[group]}, there in {other.splits[group]} ({len(groups)} such in all); a model would be "
                "tested on recordings that it was trained on"
            )
        record.splits = {**other.splits, **record.splits}
        record.fingerprints = {**other.fingerprints, **record.fingerprints}


def is_record(name: str) -> bool:
    """Return whether a file is a record of splits, by its path in the home."""
    return PurePosixPath(name).match(f"{FOLDER}/{PREFIX}*.json")


def record_path(home: Path, source: str) -> Path:
    """Return the file of a source's record."""
    return home / FOLDER / f"{PREFIX}{digest(source)[:12]}.json"

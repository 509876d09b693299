"""Which split each recording of a growing corpus was given, so that it keeps it when others are added or go.

Splits are drawn from the list of recordings, and a longer list would give some of the old ones another split: what was
trained on before would be tested on. So each source of recordings has a file in the home that remembers them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock

from trainables.corpora.splits import Split, digest
from trainables.support.cache import explain_write_errors


@dataclass
class SplitRecord:
    """What is remembered of one source.

    Attributes:
        source: such as `folder /data/sounds`.
        splits: of each group of recordings that ever had one.
        fingerprints: of each list of files that was opened, the fingerprint of the corpus that it made.
    """

    source: str
    splits: dict[str, Split] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)

    def find_splits(self, groups: Iterable[str]) -> dict[str, Split]:
        """Return the splits of those groups that have one already."""
        return {group: self.splits[group] for group in groups if group in self.splits}

    def add(self, files: str, fingerprint: str, splits: Mapping[str, Split]) -> None:
        """Remember a corpus and the splits of its groups.

        Args:
            files: the fingerprint of the files alone.
            fingerprint: of the corpus.
            splits: of all its groups; those of known groups don't change.
        """
        self.fingerprints[files] = fingerprint
        self.splits = {**splits, **self.splits}


def extend_fingerprint(files: str, earlier_splits: Mapping[str, Split]) -> str:
    """Return the fingerprint of a corpus whose splits depend on earlier ones: twelve hexadecimal digits.

    Elsewhere the same files have other splits, and what is computed of both must not be taken for the same.
    """
    lines = [files, *(f"{group} {split}" for group, split in sorted(earlier_splits.items()))]
    return digest("\n".join(lines))[:12] if earlier_splits else files


def read_record(home: Path, source: str) -> SplitRecord:
    """Return what is remembered of a source; nothing of one that is new."""
    try:
        return SplitRecord(**json.loads(_path(home, source).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return SplitRecord(source)


@contextmanager
def edit_record(home: Path, source: str) -> Iterator[SplitRecord]:
    """Give the record of a source to be changed, while nobody else can, and write it at the end.

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
        with explain_write_errors(home / "corpora"):
            path = _path(home, source)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".part")
            temporary.write_text(json.dumps(asdict(record), indent=0, ensure_ascii=False), encoding="utf-8")
            temporary.replace(path)
    finally:
        lock.release()


def _path(home: Path, source: str) -> Path:
    # Not in the cache, which may be deleted to free a disk.
    return home / "corpora" / f"splits-{digest(source)[:12]}.json"

"""The check of a cache: whether it has every recording, and whether its bytes are those that were written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.corpora.files import Recording
from trainables.corpora.shards.shard import ARRAY, LINES, has_damaged_lines, is_damaged, read_entries
from trainables.corpora.shards.store import ShardStore


@dataclass(frozen=True)
class Verified:
    """What was found out about the cache of a corpus.

    Attributes:
        recordings: the number of the corpus's recordings.
        shards: the number of shards that were read.
        damaged: the names of the recordings that are damaged, by the path of the damaged file; of damaged lines, those
            before the damage.
        missing: the names of recordings that no shard has, or only in an earlier state of their file.
    """

    recordings: int
    shards: int
    damaged: dict[Path, list[str]]
    missing: list[str]


def verify(stores: Sequence[ShardStore], recordings: Sequence[Recording]) -> Verified:
    """Read every shard of a source.

    Args:
        stores: its clips first; then its pictures, in each size.
        recordings: the recordings of the corpus, as they are now.
    """
    damaged: dict[Path, list[str]] = {}
    shards = [path for store in stores for path in sorted(store.folder.glob(f"[!.]*{LINES}"))]
    for path in shards:
        if has_damaged_lines(path):
            damaged[path] = [entry.name for entry in read_entries(path)]
        elif names := _find_damaged_recordings(path):
            damaged[path.with_suffix(ARRAY)] = names
    placed = {(place.entry.name, place.entry.key) for place in stores[0].read()}
    missing = [recording.name for recording in recordings if (recording.name, recording.key) not in placed]
    return Verified(len(recordings), len(shards), damaged, missing)


def _find_damaged_recordings(path: Path) -> list[str]:
    """Return the names of the recordings whose items in a finished shard differ from what was written.

    Args:
        path: the lines of the shard.
    """
    entries = [entry for entry in read_entries(path) if entry.count]
    if not entries:
        # Without items, nothing can differ, whatever became of the array.
        return []
    try:
        array = np.load(path.with_suffix(ARRAY), mmap_mode="r")
    except (OSError, ValueError):
        # The file is gone, or shorter than its header says.
        return [entry.name for entry in entries]
    return [entry.name for entry in entries if is_damaged(array, entry)]

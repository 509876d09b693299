"""Which recordings are for training, validation and test."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

Split = Literal["train", "validation", "test"]


def num_held_out(num_recordings: int, num_groups: int) -> int:
    """How many of a class's recordings go to validation, and as many to test: a tenth, but two of six, one of three."""
    if num_groups < 3:
        return 0
    return max(2, num_recordings // 10) if num_groups >= 6 else 1


def split_groups(
    groups_of_class: Mapping[str, Sequence[str]], earlier_splits: Mapping[str, Split] | None = None
) -> dict[str, Split]:
    """Split groups by the hash of their names, stratified by class and the same on every machine.

    Small groups are held out first: a source with many takes would fill a split with one sound. A group that is in
    several classes stays whole; the first class decides.

    Args:
        groups_of_class: for each class, the group of each of its recordings.
        earlier_splits: splits that groups were given earlier and keep; only the others are split, to fill what is
            missing.
    """
    kept = earlier_splits or {}
    splits: dict[str, Split] = dict(kept)
    for groups in groups_of_class.values():
        sizes = Counter(groups)
        ordered = sorted(sizes, key=lambda group: (sizes[group], digest(group)))
        held_out: tuple[Split, ...] = ("validation", "test")
        for split in held_out:
            missing = num_held_out(len(groups), len(sizes))
            missing -= sum(sizes[group] for group in sizes if splits.get(group) == split)
            most = len(sizes) // 3 - sum(kept.get(group) == split for group in sizes)
            for group in [group for group in ordered if group not in splits][: max(0, most)]:
                if missing <= 0:
                    break
                splits[group] = split
                missing -= sizes[group]
        splits |= {group: "train" for group in sizes if group not in splits}
    return splits


def digest(text: str) -> str:
    """A hash that, unlike Python's own, is the same in every process."""
    return hashlib.sha256(text.encode()).hexdigest()

"""The split of recordings into train, validation and test."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

Split = Literal["train", "validation", "test"]


def num_held_out(num_recordings: int, num_groups: int) -> int:
    """Return the number of recordings of a class for validation; the test split gets as many.

    It is a tenth, but at least two if there are six groups or more; one for three to five groups; none for fewer.

    Args:
        num_recordings: the recordings of the class.
        num_groups: the groups that they form.
    """
    if num_groups < 3:
        return 0
    return max(2, num_recordings // 10) if num_groups >= 6 else 1


def split_groups(
    groups_of_class: Mapping[str, Sequence[str]], earlier_splits: Mapping[str, Split] | None = None
) -> dict[str, Split]:
    """Split groups by the hash of their names, stratified by class; the result is the same on every machine.

    Small groups are held out first, because a source with many takes would fill a split with one sound. A group that is
    in several classes gets one split, from the first of them.

    Args:
        groups_of_class: for each class, the group of each of its recordings.
        earlier_splits: the splits of groups that keep theirs. Other groups fill up the held-out splits.

    Returns:
        The split of every group, those of `earlier_splits` included.
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
            # At most a third of a class's groups is held out in each split.
            most = len(sizes) // 3 - sum(kept.get(group) == split for group in sizes)
            for group in [group for group in ordered if group not in splits][: max(0, most)]:
                if missing <= 0:
                    break
                splits[group] = split
                missing -= sizes[group]
        splits |= {group: "train" for group in sizes if group not in splits}
    return splits


def hold_out_validation(
    groups: Iterable[tuple[str, str]],
    test_groups: Collection[str],
    earlier_splits: Mapping[str, Split] | None = None,
) -> dict[str, Split]:
    """Split groups where a data set defines its test split: a tenth of the others, by the hash of the names, validates.

    Args:
        groups: the class and the group of each recording.
        test_groups: the groups of the test split.
        earlier_splits: the splits of some of these groups, which keep train and validation.

    Returns:
        The split of every group.
    """
    groups_of_class: dict[str, list[str]] = {}
    kept = {
        group: split for group, split in (earlier_splits or {}).items() if split != "test" and group not in test_groups
    }
    splits: dict[str, Split] = dict(kept)
    for class_name, group in groups:
        if group in test_groups:
            splits[group] = "test"
        else:
            groups_of_class.setdefault(class_name, []).append(group)
    for _, members in sorted(groups_of_class.items()):
        sizes = Counter(members)
        missing = num_held_out(len(members), len(sizes))
        missing -= sum(sizes[group] for group in sizes if splits.get(group) == "validation")
        ordered = sorted(sizes, key=lambda group: (sizes[group], digest(group)))
        most = len(sizes) // 3 - sum(kept.get(group) == "validation" for group in sizes)
        for group in [group for group in ordered if group not in splits][: max(0, most)]:
            if missing <= 0:
                break
            splits[group] = "validation"
            missing -= sizes[group]
        splits |= {group: "train" for group in sizes if group not in splits}
    return splits


def digest(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal; unlike Python's `hash` it is the same in every process."""
    # The name of a file need not be valid UTF-8.
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()

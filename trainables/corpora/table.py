"""The table of clips: which recordings can be used, and a row for each of their clips."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from trainables.corpora.files import Recording
from trainables.corpora.shards.store import Placed
from trainables.corpora.splits import Split, split_groups
from trainables.errors import InputError


def check_classes(where: str, needed: str, recordings: Sequence[Recording], problems: Mapping[str, str]) -> None:
    """Check that there are enough classes, and enough recordings in the largest one.

    Args:
        where: the corpus, which the error message names.
        needed: what the corpus reads, for the error message (see `CorpusSettings.describe_need`).
        recordings: the recordings that can be used; those that have a problem of their own are not counted.
        problems: the reason why each other recording can't be used, by its name.

    Raises:
        InputError: there are too few.
    """
    problems = {recording.name: recording.problem for recording in recordings if recording.problem} | dict(problems)
    groups = {(recording.class_name, recording.group) for recording in recordings if not recording.problem}
    num_groups = Counter(class_name for class_name, _ in groups)
    example = next((f"{name}: {problem}" for name, problem in problems.items()), "")
    lost = f"; {len(problems)} files can't be used, such as {example}" if problems else ""
    if not num_groups:
        raise InputError(f"{where} has no recording{lost}; {needed}")
    if len(num_groups) == 1:
        raise InputError(f"{where} has one class only, {next(iter(num_groups))!r}{lost}; the judge needs two or more")
    if max(num_groups.values()) < 3:
        raise InputError(
            f"{where} has {max(num_groups.values())} independent recordings in its largest class{lost};"
            " 3 or more are needed, so that one can be kept for validation and one for the test"
        )


def find_empty_split(table: pd.DataFrame) -> Split | None:
    """Return the first split that has no clip; None if all have some."""
    splits: tuple[Split, ...] = ("train", "validation", "test")
    return next((split for split in splits if not (table["split"] == split).any()), None)


def check_counts(folder: Path, names: pd.Series[str], places: Mapping[str, Placed]) -> None:
    """Check that the shards have as many clips of each recording as the table: others would be heard in their place.

    Args:
        folder: the corpus's folder in the cache, which the error message names.
        names: the recording of each clip of the table.
        places: where each recording is in the shards.

    Raises:
        InputError: a recording has more or fewer clips.
    """
    for name, count in names.value_counts(sort=False).items():
        entry = places[str(name)].entry
        if entry.count != count:
            reason = f" ({entry.problem})" if entry.problem else ""
            raise InputError(
                f"{folder}: {name} had {count} clips and now has {entry.count}{reason}; run the command again if the"
                " cause was temporary, or delete this folder to use the new clips"
            )


def make_table(
    recordings: Sequence[Recording], starts_s: Mapping[str, Sequence[float]], earlier_splits: Mapping[str, Split]
) -> pd.DataFrame:
    """Return a row for each clip (see `Corpus.clips`).

    Args:
        recordings: the recordings that have clips.
        starts_s: the start of each of its clips, by the recording's name.
        earlier_splits: the splits of groups that keep theirs.
    """
    classes = sorted({recording.class_name for recording in recordings})
    groups_of_class: dict[str, list[str]] = {name: [] for name in classes}
    for recording in recordings:
        groups_of_class[recording.class_name].append(recording.group)
    splits = split_groups(groups_of_class, earlier_splits)
    numbers: Counter[str] = Counter()
    labels = {name: label for label, name in enumerate(classes)}
    rows = []
    for recording in recordings:
        # A clip's name becomes that of files, such as dog_1.wav.
        stem = re.sub(r"\W+", "_", recording.class_name).strip("_") or "class"
        for start_s in starts_s[recording.name]:
            numbers[stem] += 1
            rows.append(
                {
                    "clip": f"{stem}_{numbers[stem]}",
                    "recording": recording.name,
                    "class": recording.class_name,
                    "label": labels[recording.class_name],
                    "split": splits[recording.group],
                    "start_s": start_s,
                }
            )
    return pd.DataFrame(rows)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table for `read_table`. Text is quoted: pandas leaves a carriage return bare, which would end the row."""
    table.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Read a table in which any text may be a name, such as NA."""
    table: pd.DataFrame = pd.read_csv(path, keep_default_na=False, **options)
    return table

"""The layouts of `corpus: {name: esc50, root: DIR}`: ESC-50 and ESC-10 (Piczak, 2015), whose folds are the splits.

meta/esc50.csv          filename,fold,target,category,esc10,src_file,take; as ESC-50 is distributed
audio/1-100032-A-0.wav
<class>/1-100032-A.ogg  as ESC-10 was distributed at first; a name is fold-source-take
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from trainables.corpora import folder
from trainables.corpora.files import Recording
from trainables.corpora.splits import Split
from trainables.corpora.tree import Tree
from trainables.errors import InputError

TABLE = Path("meta", "esc50.csv")
COLUMNS = ("filename", "category", "esc10")


def find_recordings(tree: Tree, *, esc10_only: bool) -> list[Recording]:
    """Return the recordings, sorted by class; takes of one source are one group.

    Args:
        tree: the folder of the data set, in one of the two layouts.
        esc10_only: whether only the ten classes of ESC-10 are read. Without the table, all classes are.

    Raises:
        InputError: there is no ESC-50 at the root, or a file of its table is missing.
    """
    root = tree.roots[0]
    if not (root / TABLE).is_file():
        return [_name_source(recording) for recording in folder.find_recordings(tree)]
    with (root / TABLE).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
            raise InputError(
                f"corpus.root: {root / TABLE}: has no column {', '.join(missing)}; take ESC-50's own table"
            )
        rows = [row for row in reader if not esc10_only or row["esc10"] == "True"]
    rows.sort(key=lambda row: (row["category"], row["filename"]))
    return [tree.check(_name_source(_read_row(root, row))) for row in rows]


def split_by_fold(recordings: Iterable[Recording], *, validation_fold: int, test_fold: int) -> dict[str, Split]:
    """Return the split of each group: the two folds are held out, and the others are for training.

    Raises:
        InputError: a fold has no recording, or none is left for training.
    """
    held_out: dict[int, Split] = {validation_fold: "validation", test_fold: "test"}
    splits: dict[str, Split] = {}
    for recording in recordings:
        splits[recording.group] = held_out.get(_read_fold(recording.group), "train")
    folds = ", ".join(map(str, sorted({_read_fold(group) for group in splits})))
    for key, fold in (("validation_fold", validation_fold), ("test_fold", test_fold)):
        if held_out[fold] not in splits.values():
            raise InputError(f"corpus.{key}: {fold} has no recording; the folds here are {folds}")
    if "train" not in splits.values():
        raise InputError(f"corpus: the folds here are {folds}, and none is left for training; three are needed")
    return splits


def _read_row(root: Path, row: dict[str, str]) -> Recording:
    path = root / "audio" / row["filename"]
    if not path.is_file():
        raise InputError(
            f"corpus.root: {path}: is missing, and {TABLE} lists it; copy ESC-50's folder audio completely"
        )
    return Recording(row["filename"], path, row["category"], group=path.stem)


def _name_source(recording: Recording) -> Recording:
    """Return a recording whose group is its source, such as 1-100032.

    Raises:
        InputError: its file is not named as those of ESC-50.
    """
    match = folder.ESC_NAME.fullmatch(recording.path.stem)
    if match is None:
        raise InputError(
            f"corpus.root: {recording.path}: no file of ESC-50, whose names are like 1-100032-A-0.wav"
            " (fold-source-take); use corpus: {name: folder} for other files"
        )
    return Recording(recording.name, recording.path, recording.class_name, match["source"])


def _read_fold(group: str) -> int:
    return int(group.partition("-")[0])

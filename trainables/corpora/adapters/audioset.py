"""`corpus: {name: audioset, root: DIR}`: AudioSet (Gemmeke et al., ICASSP 2017).

*_segments.csv                 # comments, then: YTID, start second, end second, "label,label"
class_labels_indices.csv       index,mid,display_name
**/YTID.mp4                    or YTID_000010.mp4, YTID_10000_20000.mp4, YYTID.wav
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from trainables.corpora.adapters.tables import (
    find_sound_and_picture,
    index_media,
    index_pictures,
    parse_seconds,
    read_classes,
    read_rows,
    require_columns,
)
from trainables.corpora.base import CORPORA, RootedCorpus
from trainables.corpora.files import Recording
from trainables.corpora.tree import Tree
from trainables.errors import InputError
from trainables.support.progress import Progress

LABELS = "class_labels_indices.csv"
SEGMENTS = "*_segments.csv"
EVALUATION = "eval_segments.csv"
COLUMNS = "YTID, start second, end second, labels"


@CORPORA.register("audioset")
class AudioSet(RootedCorpus):
    """AudioSet, as much of it as there is."""

    name: Literal["audioset"] = "audioset"
    root: Path = Field(description="folder with AudioSet's csv files and the recordings, also in folders below it")
    classes: str = Field(
        "vegas",
        description="vegas: VEGAS's ten; all: the first label of a segment is its class; or a csv file of labels "
        "(display names) and their classes. A segment with labels of several classes is left out",
    )
    cut: bool = Field(True, description="whether the files are the segments alone, and not the videos they are from")
    official_test: bool = Field(True, description="whether the test split is AudioSet's evaluation set")

    def check_root(self) -> None:
        """Check that the tables are there."""
        root = self.root.expanduser()
        if not (root / LABELS).is_file() or not any(root.glob(SEGMENTS)):
            raise InputError(
                f"corpus.root: {self.root}: has no {LABELS}, or no {SEGMENTS}; AudioSet's tables are needed"
            )

    def find_recordings(self, tree: Tree, home: Path, progress: Progress) -> list[Recording]:
        """Return the segments of the tables whose file is there."""
        self.check_root()
        root = self.root.expanduser()
        media, pictures = index_media(tree), index_pictures(tree)
        name_of = {fields[1]: fields[2] for _, fields in read_rows(root / LABELS) if len(fields) > 2}
        class_of = read_classes(root, self.classes)
        recordings: dict[str, Recording] = {}
        for table in sorted(root.glob(SEGMENTS)):
            for video, start_s, end_s, labels in _read_segments(table):
                class_name = _find_class([name_of.get(label, label) for label in labels], class_of)
                stems = _stems(video, start_s, end_s)
                files = next(filter(None, (find_sound_and_picture(stem, media, pictures) for stem in stems)), None)
                if class_name and files:
                    name = f"{class_name}/{video}_{start_s:g}"
                    section = (0.0, None) if self.cut else (start_s, end_s)
                    recordings[name] = Recording(name, files[0], class_name, video, files[1], *section)
        return [recordings[name] for name in sorted(recordings)]

    def list_test_groups(self, recordings: Sequence[Recording]) -> set[str] | None:
        """Return the videos of the evaluation set."""
        path = self.root.expanduser() / EVALUATION
        if not self.official_test or not path.is_file():
            return None
        return {video for video, *_ in _read_segments(path)}


def _read_segments(path: Path) -> Iterator[tuple[str, float, float, list[str]]]:
    for number, fields in read_rows(path):
        if fields[0].startswith("#"):
            continue
        require_columns(path, number, fields, 4, COLUMNS)
        times_s = [
            parse_seconds(path, number, text, name)
            for text, name in zip(fields[1:3], ("the start", "the end"), strict=True)
        ]
        yield fields[0], times_s[0], times_s[1], fields[3].split(",")


def _find_class(labels: Sequence[str], class_of: Mapping[str, str] | None) -> str | None:
    """Return the class of a segment; None if it has none, or more than one."""
    if class_of is None:
        return labels[0]
    classes = {class_of[label.lower()] for label in labels if label.lower() in class_of}
    return classes.pop() if len(classes) == 1 else None


def _stems(video: str, start_s: float, end_s: float) -> Iterator[str]:
    """Yield the names that downloaders give to a segment."""
    for name in (video, f"Y{video}"):
        yield f"{name}_{int(start_s):06d}"
        yield f"{name}_{1000 * start_s:.0f}_{1000 * end_s:.0f}"
        yield f"{name}_{start_s:g}_{end_s:g}"
        yield name

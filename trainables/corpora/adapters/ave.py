"""`corpus: {name: ave, root: DIR}`: AVE (Tian et al., ECCV 2018).

Annotations.txt                      Category&VideoID&Quality&StartTime&EndTime, with a header
trainSet.txt valSet.txt testSet.txt  the same rows without one
AVE/VIDEOID.mp4                      or the videos in any other folder below the root
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from trainables.corpora.adapters.tables import (
    find_sound_and_picture,
    index_media,
    index_pictures,
    parse_seconds,
    read_rows,
    require_columns,
)
from trainables.corpora.base import CORPORA, RootedCorpus
from trainables.corpora.files import Recording
from trainables.corpora.splits import Split
from trainables.corpora.tree import Tree
from trainables.errors import InputError
from trainables.support.progress import Progress

ANNOTATIONS = "Annotations.txt"
LISTS: dict[str, Split] = {"trainSet.txt": "train", "valSet.txt": "validation", "testSet.txt": "test"}
COLUMNS = "Category&VideoID&Quality&StartTime&EndTime"
HEADER = "Category"


@CORPORA.register("ave")
class Ave(RootedCorpus):
    """AVE, with its own splits."""

    name: Literal["ave"] = "ave"
    root: Path = Field(description="folder with AVE's lists and videos")
    events_only: bool = Field(False, description="whether only the section of a video with its event is used")
    official_splits: bool = Field(True, description="whether the splits are AVE's own")

    def check_root(self) -> None:
        """Check that the lists are there."""
        root = self.root.expanduser()
        missing = [name for name in (ANNOTATIONS, *LISTS) if not (root / name).is_file()]
        if missing:
            raise InputError(
                f"corpus.root: {self.root}: has no {', '.join(missing)}; the folder with AVE's lists is needed"
            )

    def find_recordings(self, tree: Tree, home: Path, progress: Progress) -> list[Recording]:
        """Return the annotated videos that are there."""
        self.check_root()
        root = self.root.expanduser()
        media, pictures = index_media(tree), index_pictures(tree)
        recordings: dict[str, Recording] = {}
        for number, fields in read_rows(root / ANNOTATIONS, delimiter="&"):
            if fields[0] == HEADER:
                continue
            require_columns(root / ANNOTATIONS, number, fields, 5, COLUMNS)
            class_name, video = fields[:2]
            start_s, end_s = (parse_seconds(root / ANNOTATIONS, number, text, "the time") for text in fields[3:5])
            section = (start_s, end_s) if self.events_only else (0.0, None)
            if files := find_sound_and_picture(video, media, pictures):
                name = f"{class_name}/{video}"
                recordings.setdefault(name, Recording(name, files[0], class_name, video, files[1], *section))
        return [recordings[name] for name in sorted(recordings)]

    def fixed_splits(self, recordings: Sequence[Recording]) -> dict[str, Split]:
        """Return AVE's splits."""
        if not self.official_splits:
            return {}
        root = self.root.expanduser()
        splits: dict[str, Split] = {}
        for name, split in LISTS.items():
            for number, fields in read_rows(root / name, delimiter="&"):
                require_columns(root / name, number, fields, 2, COLUMNS)
                splits.setdefault(fields[1], split)
        return {recording.group: splits.get(recording.group, "train") for recording in recordings}

"""`corpus: {name: vggsound, root: DIR}`: VGGSound (Chen et al., ICASSP 2020).

vggsound.csv                   YTID,start_second,label,split; without a header
**/YTID_000010.mp4             the name as the authors' script writes it: the start second, with six digits
**/YTID_10000_20000.mp4        or the start and the end, in ms
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

TABLE = "vggsound.csv"
SEGMENT_S = 10
COLUMNS = "YTID, start second, label, split"


@CORPORA.register("vggsound")
class VggSound(RootedCorpus):
    """VGGSound, as much of it as there is."""

    name: Literal["vggsound"] = "vggsound"
    root: Path = Field(description="folder with vggsound.csv and the videos, also in folders below it")
    classes: str = Field(
        "all", description="all: each label is a class; vegas: VEGAS's ten; or a csv file of labels and their classes"
    )
    official_test: bool = Field(True, description="whether the test split is VGGSound's own")

    def check_root(self) -> None:
        """Check that the table is there."""
        if not (self.root.expanduser() / TABLE).is_file():
            raise InputError(
                f"corpus.root: {self.root}: has no {TABLE}; the folder with VGGSound's own table is needed"
            )

    def find_recordings(self, tree: Tree, home: Path, progress: Progress) -> list[Recording]:
        """Return the rows of the table whose file is there."""
        self.check_root()
        root = self.root.expanduser()
        media, pictures, class_of = index_media(tree), index_pictures(tree), read_classes(root, self.classes)
        recordings: dict[str, Recording] = {}
        for number, (video, start, label, _) in self._read():
            class_name = label if class_of is None else class_of.get(label.lower())
            start_s = int(parse_seconds(root / TABLE, number, start, "the start second"))
            for stem in (f"{video}_{start_s:06d}", f"{video}_{1000 * start_s}_{1000 * (start_s + SEGMENT_S)}"):
                files = find_sound_and_picture(stem, media, pictures)
                if class_name and files:
                    name = f"{class_name}/{stem}"
                    recordings[name] = Recording(name, files[0], class_name, video, files[1])
        return [recordings[name] for name in sorted(recordings)]

    def list_test_groups(self, recordings: Sequence[Recording]) -> set[str] | None:
        """Return the videos of VGGSound's test split."""
        if not self.official_test:
            return None
        return {video for _, (video, _, _, split) in self._read() if split == "test"}

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        path = self.root.expanduser() / TABLE
        for number, fields in read_rows(path):
            require_columns(path, number, fields, 4, COLUMNS)
            yield number, fields[:4]

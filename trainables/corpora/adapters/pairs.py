"""`corpus: {name: pairs, root: DIR}`: sounds with a picture each, by class.

<class>/a.wav           a recording, in any folder below its class
<class>/a.jpg           its picture, beside it or below `images` at the same place
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from pydantic import Field

from trainables.corpora import folder as folder_layout
from trainables.corpora.base import CORPORA, RootedCorpus
from trainables.corpora.files import VIDEO_SUFFIXES, Recording
from trainables.corpora.tree import Tree
from trainables.errors import InputError
from trainables.support.progress import Progress


@CORPORA.register("pairs")
class Pairs(RootedCorpus):
    """Sounds that have a picture, or videos; what has no picture is left out, and with `images` videos are, too."""

    name: Literal["pairs"] = "pairs"
    root: Path = Field(description="folder with one sub-folder of sounds or videos per class")
    images: Path | None = Field(
        None, description="folder of the pictures, with the same sub-folders and names [default: beside the sounds]"
    )

    def check_root(self) -> None:
        """Check that both folders have sub-folders."""
        for setting, folder in zip(("root", "images"), self.list_roots(), strict=False):
            if not folder_layout.visible_folders(folder, setting):
                raise InputError(f"corpus.{setting}: {folder}: has no sub-folder; one per class is needed")

    def find_recordings(self, tree: Tree, home: Path, progress: Progress) -> list[Recording]:
        """Return the sounds that have a picture."""
        recordings = folder_layout.find_recordings(tree)
        if self.images is not None:
            images = self.list_roots()[1]
            pictures = tree.list_files(images)
            recordings = [
                dataclasses.replace(recording, picture=folder_layout.find_picture(images, recording.name, pictures))
                for recording in recordings
                if recording.path.suffix.lower() not in VIDEO_SUFFIXES
            ]
        paired = [recording for recording in recordings if recording.picture is not None]
        if recordings and not paired:
            raise InputError(
                f"corpus.root: {self.root}: none of {len(recordings)} sounds has a picture of the same name; use"
                " corpus: {name: folder} for sounds alone"
            )
        return paired

    def list_roots(self) -> list[Path]:
        """Return the root, and the folder of the pictures if it is another one."""
        root = self.root.expanduser()
        return [root] if self.images is None else [root, root / self.images.expanduser()]

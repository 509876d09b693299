"""The settings `corpus:` of a search space: a class for each corpus name, which lists the recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from trainables.corpora import esc50 as esc50_layout
from trainables.corpora import folder as folder_layout
from trainables.corpora import vegas as vegas_layout
from trainables.corpora.base import CORPORA, CorpusSettings, RootedCorpus
from trainables.corpora.files import MEDIA_SUFFIXES, Recording
from trainables.corpora.splits import Split
from trainables.corpora.tree import Tree
from trainables.errors import InputError
from trainables.support.progress import Progress

__all__ = ["CORPORA", "CorpusSettings", "corpus_model"]


@CORPORA.register("demo")
class Demo(CorpusSettings):
    """The demo corpus, which is synthesized when it is first used."""

    name: Literal["demo"] = "demo"
    recordings_per_class: int = Field(10, ge=3, description="synthetic recordings of each of the ten classes")
    seed: int = Field(0, ge=0, description="other seeds give other recordings")
    # A demo of ten recordings a class must have the same splits everywhere, even if one of forty was opened before.
    keeps_splits = False

    def source(self) -> str:
        """Return the name with the seed."""
        return f"{self.name} {self.seed}"

    def recordings(self, home: Path, progress: Progress) -> list[Recording]:
        """Write the recordings that are missing, and return the first ones of each class."""
        from trainables.corpora.demo.write import write_demo

        root = home / "corpora" / ("demo" if self.seed == 0 else f"demo-seed{self.seed}")
        write_demo(root, recordings_per_class=self.recordings_per_class, seed=self.seed, progress=progress)
        # The folder has more recordings if a larger corpus was written before.
        written = vegas_layout.find_recordings(Tree([root]))
        recordings: list[Recording] = []
        for _, members in groupby(written, key=lambda recording: recording.class_name):
            recordings += list(members)[: self.recordings_per_class]
        return recordings


@CORPORA.register("folder")
class Folder(RootedCorpus):
    """A folder with one sub-folder per class."""

    name: Literal["folder"] = "folder"
    root: Path = Field(description="folder with one sub-folder of audio or video files per class")

    def check_root(self) -> None:
        """Check that the root has a sub-folder."""
        if not folder_layout.visible_folders(self.root.expanduser()):
            raise InputError(
                f"corpus.root: {self.root}: has no sub-folder; one of audio or video files per class is needed"
            )

    def describe_need(self) -> str:
        """Return that there must be sub-folders, with the suffixes of files."""
        return f"one sub-folder per class with files of {' '.join(sorted(MEDIA_SUFFIXES))} is needed"

    def find_recordings(self, tree: Tree, home: Path, progress: Progress) -> list[Recording]:
        """Return every audio or video file below the sub-folders."""
        return folder_layout.find_recordings(tree)


@CORPORA.register("vegas")
class Vegas(RootedCorpus):
    """The VEGAS data set."""

    name: Literal["vegas"] = "vegas"
    root: Path = Field(description="folder of the VEGAS data set")
    test_list: Path | None = Field(
        None,
        description="file of the recordings of the test split, such as the 128 of each class in the paper, one in each"
        " line (dog/video_00012); relative to the root [default: a tenth of each class]",
    )

    def check_root(self) -> None:
        """Check that there are folders of classes."""
        vegas_layout.class_folders(self.root.expanduser())

    def find_recordings(self, tree: Tree, home: Path, progress: Progress) -> list[Recording]:
        """Return every recording of the data set."""
        return vegas_layout.find_recordings(tree)

    def list_test_groups(self, recordings: Sequence[Recording]) -> set[str] | None:
        """Return the groups that the test list names."""
        if self.test_list is None:
            return None
        return vegas_layout.read_test_groups(self.root.expanduser() / self.test_list.expanduser(), recordings)


@CORPORA.register("esc50")
class Esc50(RootedCorpus):
    """ESC-50 or ESC-10, with two of their folds held out."""

    name: Literal["esc50"] = "esc50"
    root: Path = Field(description="folder of ESC-50, or of ESC-10 with one sub-folder per class")
    esc10: bool = Field(False, description="whether only the ten classes of ESC-10 are read from ESC-50")
    validation_fold: int = Field(4, ge=1, le=5, description="the fold that is the validation split")
    test_fold: int = Field(5, ge=1, le=5, description="the fold that is the test split")
    # The folds are the splits, whatever was opened before.
    keeps_splits = False

    @model_validator(mode="after")
    def _check_folds(self) -> Esc50:
        if self.validation_fold == self.test_fold:
            raise ValueError(f"validation_fold and test_fold are both {self.test_fold}; hold out two different folds")
        return self

    def check_root(self) -> None:
        """Check that the root can be read as a folder."""
        folder_layout.visible_folders(self.root.expanduser())

    def find_recordings(self, tree: Tree, home: Path, progress: Progress) -> list[Recording]:
        """Return the recordings of the table, or those of the sub-folders where there is none."""
        return esc50_layout.find_recordings(tree, esc10_only=self.esc10)

    def fixed_splits(self, recordings: Sequence[Recording]) -> dict[str, Split]:
        """Return the splits that follow from the folds."""
        return esc50_layout.split_by_fold(recordings, validation_fold=self.validation_fold, test_fold=self.test_fold)


def corpus_model(settings: Mapping[str, Any]) -> type[CorpusSettings]:
    """Return the class of settings for a `corpus:`, by its `name`.

    Raises:
        InputError: no corpus has that name.
    """
    return CORPORA[settings.get("name", "")]


# They register themselves, after the corpora above.
from trainables.corpora import adapters as adapters  # noqa: E402

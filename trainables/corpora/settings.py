"""`corpus:` in a search space: its settings, by its name, and the recordings that they mean."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from trainables.corpora import folder as folder_layout
from trainables.corpora import vegas as vegas_layout
from trainables.corpora.recordings import Recording
from trainables.errors import InputError
from trainables.support.progress import Progress
from trainables.support.registry import Registry


class CorpusSettings(BaseModel):
    """The `corpus:` of a search space; a sub-class for every `name`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    keeps_splits: ClassVar[bool] = True
    """Whether recordings keep their splits when others are added."""
    name: str

    def check_root(self) -> None:
        """Check, at the cost of a look into a folder, that there is something to read.

        Raises:
            InputError: there isn't.
        """

    @abstractmethod
    def source(self) -> str:
        """Return what names the place that recordings come from: of one source the same name is the same recording."""

    @abstractmethod
    def recordings(self, home: Path, progress: Progress) -> list[Recording]:
        """The recordings that these settings mean, sorted by class."""


CORPORA: Registry[type[CorpusSettings]] = Registry("corpus")


@CORPORA.register("demo")
class Demo(CorpusSettings):
    name: Literal["demo"] = "demo"
    recordings_per_class: int = Field(10, ge=3, description="synthetic recordings of each of the ten classes")
    seed: int = Field(0, ge=0, description="other seeds give other recordings")
    # One of ten recordings a class is the same everywhere, whether one of forty was made there before or not.
    keeps_splits = False

    def source(self) -> str:
        return f"{self.name} {self.seed}"

    def recordings(self, home: Path, progress: Progress) -> list[Recording]:
        from trainables.corpora.demo.write import write_demo

        root = home / "corpora" / ("demo" if self.seed == 0 else f"demo-seed{self.seed}")
        write_demo(root, recordings_per_class=self.recordings_per_class, seed=self.seed, progress=progress)
        written = vegas_layout.find_recordings(root)
        of_classes = (list(members) for _, members in groupby(written, key=lambda recording: recording.class_name))
        return [recording for members in of_classes for recording in members[: self.recordings_per_class]]


@CORPORA.register("folder")
class Folder(CorpusSettings):
    name: Literal["folder"] = "folder"
    root: Path = Field(description="folder with one sub-folder of audio or video files per class")

    def check_root(self) -> None:
        if not folder_layout.visible_folders(self.root.expanduser()):
            raise InputError(
                f"corpus.root: {self.root}: has no sub-folder; one of audio or video files per class is needed"
            )

    def source(self) -> str:
        return _name_source(self.name, self.root)

    def recordings(self, home: Path, progress: Progress) -> list[Recording]:
        return folder_layout.find_recordings(self.root.expanduser())


@CORPORA.register("vegas")
class Vegas(CorpusSettings):
    name: Literal["vegas"] = "vegas"
    root: Path = Field(description="folder of the VEGAS data set")

    def check_root(self) -> None:
        vegas_layout.class_folders(self.root.expanduser())

    def source(self) -> str:
        return _name_source(self.name, self.root)

    def recordings(self, home: Path, progress: Progress) -> list[Recording]:
        return vegas_layout.find_recordings(self.root.expanduser())


def _name_source(name: str, root: Path) -> str:
    return f"{name} {root.expanduser().resolve()}"


def corpus_model(settings: Mapping[str, Any]) -> type[CorpusSettings]:
    """Return what checks a `corpus:`, by its name.

    Raises:
        InputError: unknown name.
    """
    return CORPORA[settings.get("name", "")]

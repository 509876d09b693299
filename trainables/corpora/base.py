"""The interface of corpora: a class of settings that lists recordings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainables.components.audio.clip import (
    CLIP_SAMPLES,
    HIGHEST_HZ,
    LEAST_FRAMES,
    LONGEST_S,
    LOWEST_HZ,
    RATE_HZ,
    Channels,
    ClipFormat,
    count_samples,
)
from trainables.corpora.files import Recording, make_printable
from trainables.corpora.splits import Split, hold_out_validation
from trainables.corpora.tree import Tree
from trainables.support.progress import Progress
from trainables.support.registry import Registry

SMALLEST_HOP_S = 0.1
IN_MEMORY_GIB = 1.0


class CorpusSettings(BaseModel):
    """The `corpus:` of a search space; a sub-class for every `name`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    keeps_splits: ClassVar[bool] = True
    """Whether recordings keep their splits when others are added (see `split_record`)."""
    name: str
    rate_hz: int = Field(
        RATE_HZ,
        ge=LOWEST_HZ,
        le=HIGHEST_HZ,
        description="samples per second that recordings are converted to; without clip_s a clip has 44,100 samples, so"
        " that it lasts 2 s at 22050, 1 s at 44100 and 4 s at 11025",
    )
    clip_s: float | None = Field(
        None,
        gt=0,
        le=LONGEST_S,
        description="length of a clip, to within 920 samples (0.04 s at 22050) [default: 44,100 samples]",
    )
    hop_s: float | None = Field(
        None,
        ge=SMALLEST_HOP_S,
        allow_inf_nan=False,
        description="time from the beginning of a clip to that of the next one of its recording [default: clip_s]",
    )
    channels: Channels = Field(
        "mix", description="what of a stereo recording is heard: the mean of its channels, the left or the right one"
    )
    in_memory_gib: float = Field(
        IN_MEMORY_GIB,
        ge=0,
        allow_inf_nan=False,
        description="GiB up to which a split's features, pictures or waveforms fit into memory; features that fit are"
        " kept on the training device, and training streams from the disk what does not; 0 streams everything",
    )

    @model_validator(mode="after")
    def _check_clip_length(self) -> CorpusSettings:
        if self.clip_format.frames < LEAST_FRAMES:
            least_s = count_samples(LEAST_FRAMES) / self.rate_hz
            raise ValueError(
                f"clip_s: {self.clip_s:g}: a clip needs {LEAST_FRAMES} frames, {least_s:.2f} s at rate_hz:"
                f" {self.rate_hz}; use {least_s:.2f} or more"
            )
        return self

    @property
    def clip_format(self) -> ClipFormat:
        """The format of the clips, and how recordings are cut into them."""
        return ClipFormat(
            self.rate_hz,
            CLIP_SAMPLES if self.clip_s is None else round(self.clip_s * self.rate_hz),
            0 if self.hop_s is None else round(self.hop_s * self.rate_hz),
            self.channels,
        )

    def check_root(self) -> None:
        """Check quickly, without reading files, that there is a corpus at the root.

        Raises:
            InputError: there is none.
        """

    def describe_need(self) -> str:
        """Return what this corpus reads, for the message that it has no recording: what its `root` is described as."""
        root = type(self).model_fields.get("root")
        if root is None or not root.description:
            return f"{type(self).__name__}.recordings has to list some"
        return f"corpus.root needs: {root.description}"

    @abstractmethod
    def source(self) -> str:
        """Return the name of the source: within one source, recordings of the same name are the same recording."""

    @abstractmethod
    def recordings(self, home: Path, progress: Progress) -> list[Recording]:
        """Return the recordings, sorted by class.

        Args:
            home: the folder of caches; a generated corpus is written below it.
            progress: is called while files are written.
        """

    def list_recordings(self, home: Path, progress: Progress) -> list[Recording]:
        """Return the recordings with names that can be written anywhere; arguments are those of `recordings`."""
        return [make_printable(recording) for recording in self.recordings(home, progress)]

    def fixed_splits(self, recordings: Sequence[Recording]) -> dict[str, Split]:
        """Return the split of each group, where the data set defines them.

        Without fixed splits, which the empty result means, they follow from the names of the groups.
        """
        test_groups = self.list_test_groups(recordings)
        if test_groups is None:
            return {}
        return hold_out_validation([(recording.class_name, recording.group) for recording in recordings], test_groups)

    def list_test_groups(self, recordings: Sequence[Recording]) -> Collection[str] | None:
        """Return the groups of the test split, where the data set defines this split only; None for other corpora.

        The validation split is held out of the other groups, which keep their splits when recordings are added.
        """
        return None


class RootedCorpus(CorpusSettings):
    """A corpus of files below a root."""

    root: Path
    follow_links: bool = Field(False, description="whether symbolic links that lead out of the root are followed")

    @abstractmethod
    def find_recordings(self, tree: Tree, home: Path, progress: Progress) -> list[Recording]:
        """Return the recordings.

        Args:
            tree: lists the files below the root, and checks those that a table names.
            home: the folder of caches.
            progress: is called while files are written.

        Raises:
            InputError: there is no such corpus at the root.
        """

    def list_roots(self) -> list[Path]:
        """Return the folders that the settings name, the root first."""
        return [self.root.expanduser()]

    def source(self) -> str:
        """Return the name with the resolved root."""
        return f"{self.name} {self.root.expanduser().resolve()}"

    def recordings(self, home: Path, progress: Progress) -> list[Recording]:
        """Return the recordings, and after them the links that are left out."""
        tree = Tree(self.list_roots(), follow_links=self.follow_links)
        return [*self.find_recordings(tree, home, progress), *tree.list_left_out()]


CORPORA: Registry[type[CorpusSettings]] = Registry("corpus")

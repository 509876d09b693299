"""A corpus: recordings of several classes as clips, split by recording and cached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.components.audio.clip import USUAL_CLIP, ClipFormat
from trainables.corpora.additions import NO_ADDITIONS, Additions
from trainables.corpora.base import IN_MEMORY_GIB
from trainables.corpora.shards.array import ShardedArray, open_places
from trainables.corpora.shards.waveforms import open_store
from trainables.corpora.splits import Split
from trainables.corpora.table import read_table
from trainables.errors import InputError
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.components.audio.feature import Feature

CLIPS, SKIPPED = "clips.csv", "skipped.csv"
"""In the corpus's folder: the table of clips, and that of recordings without one."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Clips with their classes and splits.

    Attributes:
        name: the name in `corpus:`, such as `demo`.
        classes: the names of the classes.
        fingerprint: the id of this list of files with these splits.
        folder: the folder in the cache, with everything that was computed from this corpus.
        clips: a row a clip: `clip` (its name, such as dog_1), `recording`, `class`, `label` (position in `classes`),
            `split`, `start_s`.
        skipped: files without a clip, each with the reason.
        pictures: the video or picture of each recording whose file is there, by the recording's name.
        additions: the judges and metrics that the search space adds to those of its trainable.
        source: the name of the source of the recordings (see `CorpusSettings.source`).
        clip_format: the format of every clip, and how recordings are cut into clips.
        pictures_digest: what `digest_pictures` returned where the files of the pictures are; empty where they are here.
        in_memory_bytes: the size up to which features or pictures of a split fit into memory (`in_memory_gib`).
    """

    name: str
    classes: tuple[str, ...]
    fingerprint: str
    folder: Path
    clips: pd.DataFrame
    skipped: tuple[str, ...]
    pictures: Mapping[str, Path] = field(default_factory=dict)
    additions: Additions = NO_ADDITIONS
    source: str = ""
    clip_format: ClipFormat = USUAL_CLIP
    pictures_digest: str = ""
    in_memory_bytes: int = int(IN_MEMORY_GIB * 2**30)

    @property
    def rate_hz(self) -> int:
        """The samples per second of every clip."""
        return self.clip_format.rate_hz

    @property
    def clip_s(self) -> float:
        """The length of a clip in seconds."""
        return self.clip_format.clip_s

    def waveforms(self) -> ShardedArray:
        """Return the samples of every clip, int16 of shape (clips, samples); 32767 is full scale.

        They are read from memory maps when they are used.
        """
        return self._waveforms

    @cached_property
    def _waveforms(self) -> ShardedArray:
        store = open_store(self.folder.parents[1], self.source, self.clip_format)
        waveforms = open_places(store.places_of(self.folder), store)
        if waveforms is None:
            raise InputError(f"{self.folder.parent}: the clips of corpus {self.name} are gone; start again")
        return waveforms

    def features(self, feature: Feature, progress: Progress = silent) -> NDArray[np.float16]:
        """Return a feature of every clip as a memory map of shape (clips, frames, bins)."""
        from trainables.corpora.features import open_features

        return open_features(self.folder, self.waveforms(), feature, progress)

    def frames(self, size: int, progress: Progress = silent) -> ShardedArray:
        """Return a picture of every clip, uint8 of shape (clips, 3, size, size); black if there is none."""
        from trainables.corpora.pictures import open_pictures

        return open_pictures(self, size, progress)

    def digest_pictures(self) -> str:
        """Return a digest of the names, sizes and times of the pictures and videos; empty if there are none."""
        from trainables.corpora.pictures import digest_sources

        return digest_sources(self) if self.pictures else ""

    def read_skipped(self) -> pd.DataFrame:
        """Return a row for each recording without a clip: `recording`, `class` and `reason`."""
        return read_table(self.folder / SKIPPED, dtype=str)

    def indices(self, split: Split) -> NDArray[np.int64]:
        """Return the rows of the clips of a split."""
        return np.flatnonzero(self.clips["split"] == split).astype(np.int64)

    def labels(self, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the classes of some clips, as positions in `classes`."""
        return self.clips["label"].to_numpy(np.int64)[clips]

    def probes(self, count: int) -> NDArray[np.int64]:
        """Return the rows of validation clips that every trial renders.

        The classes take turns: first the first clip of a recording of each class, then that of a second recording of
        each, and so on; then the second clips.
        """
        validation = self.clips[self.clips["split"] == "validation"]
        clip_number = validation.groupby("recording").cumcount()
        first_clips = validation[clip_number == 0]
        number_by_recording = dict(zip(first_clips["recording"], first_clips.groupby("label").cumcount(), strict=True))
        recording_number = validation["recording"].map(number_by_recording)
        turns = pd.DataFrame({"clip": clip_number, "recording": recording_number, "label": validation["label"]})
        return turns.sort_values(["clip", "recording", "label"]).index[:count].to_numpy(np.int64, copy=True)


def require_corpus(corpus: Corpus | None, trainable: type) -> Corpus:
    """Return the corpus, for a trainable that needs one.

    Args:
        corpus: the corpus of the search space.
        trainable: the class, which the error message names.

    Raises:
        InputError: the search space names no corpus.
    """
    if corpus is None:
        # The name in YAML is that of the trainable's folder or, for a user's own trainable, of its file.
        name = trainable.__module__.removesuffix(".trainable").rpartition(".")[2]
        raise InputError(f"trainable {name} needs a corpus; add `corpus: {{name: demo}}` to the search space")
    return corpus


def read_splits(home: Path, fingerprint: str) -> dict[str, Split] | None:
    """Return the split of each recording of a corpus that was opened in this home; None if its cache was deleted."""
    path = home / "cache" / fingerprint / CLIPS
    if not path.is_file():
        return None
    clips = read_table(path, usecols=["recording", "split"], dtype=str)
    return dict(zip(clips["recording"], clips["split"], strict=True))

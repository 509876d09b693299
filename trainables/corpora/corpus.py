"""A corpus: recordings of several classes as clips of 2 s, split by recording and cached."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.components.audio.clip import CLIP_SAMPLES
from trainables.corpora.files import MEDIA_SUFFIXES, Recording
from trainables.corpora.recordings import Decoded, decode
from trainables.corpora.settings import CorpusSettings, corpus_model
from trainables.corpora.split_record import edit_record, extend_fingerprint, read_record
from trainables.corpora.splits import Split, digest, split_groups
from trainables.errors import InputError
from trainables.support.cache import write_once
from trainables.support.parallel import map_in_parallel
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.components.audio.feature import Feature

CACHE_VERSION = 1
"""Raise it with any change that changes the clips of a recording: it is part of every fingerprint."""
CLIPS = "clips.csv"
"""The table of clips in the corpus's folder. It is written last: a folder that has it is complete."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Clips of 2 s with their classes and splits.

    Attributes:
        name: the name in `corpus:`, such as `demo`.
        classes: the names of the classes.
        fingerprint: the id of this list of files with these splits.
        folder: the folder in the cache, with everything that was computed from this corpus.
        clips: a row a clip: `clip` (its name, such as dog_1), `recording`, `class`, `label` (position in `classes`),
            `split`, `start_s`.
        skipped: files without a clip, each with the reason.
        pictures: the video or picture of each recording that has one, by the recording's name.
    """

    name: str
    classes: tuple[str, ...]
    fingerprint: str
    folder: Path
    clips: pd.DataFrame
    skipped: tuple[str, ...]
    pictures: Mapping[str, Path] = field(default_factory=dict)

    def waveforms(self) -> NDArray[np.int16]:
        """Return the samples of every clip as a memory map of shape (clips, 44100); 32767 is full scale."""
        waveforms: NDArray[np.int16] = np.load(self.folder / "waveforms.npy", mmap_mode="r")
        return waveforms

    def features(self, feature: Feature, progress: Progress = silent) -> NDArray[np.float16]:
        """Return a feature of every clip as a memory map of shape (clips, frames, bins)."""
        from trainables.corpora.features import open_features

        return open_features(self.folder, self.waveforms(), feature, progress)

    def frames(self, size: int, progress: Progress = silent) -> NDArray[np.uint8]:
        """Return a picture of every clip as a memory map of shape (clips, 3, size, size); black if there is none."""
        from trainables.corpora.pictures import open_pictures

        return open_pictures(self, size, progress)

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


def open_corpus(settings: Mapping[str, Any], home: Path, progress: Progress = silent) -> Corpus:
    """Open a corpus; the first time, it is written (demo), decoded, split and cached.

    Args:
        settings: the `corpus:` of the search space.
        home: the folder of caches.
        progress: is called while files are written and decoded.

    Raises:
        InputError: no corpus has that name, the files can't be used for training, or the home can't be written.
        ValidationError: the settings are wrong.
    """
    corpus_settings = corpus_model(settings)(**settings)
    recordings = corpus_settings.recordings(home, progress)
    files, source = _fingerprint(corpus_settings.name, recordings), corpus_settings.source()
    if not corpus_settings.keeps_splits:
        fixed_splits = corpus_settings.fixed_splits(recordings)
        folder = home / "cache" / extend_fingerprint(files, fixed_splits)
        return _open_cached(corpus_settings, recordings, folder, fixed_splits, progress)
    # A corpus that is recorded and cached is opened without the lock, which another process may hold for long.
    fingerprint = read_record(home, source).fingerprints.get(files, "")
    if not (home / "cache" / fingerprint / CLIPS).is_file():
        with edit_record(home, source) as record:
            earlier_splits = record.find_splits(recording.group for recording in recordings)
            fingerprint = record.fingerprints.get(files) or extend_fingerprint(files, earlier_splits)
            corpus = _open_cached(corpus_settings, recordings, home / "cache" / fingerprint, earlier_splits, progress)
            record.add(files, fingerprint, _collect_splits(corpus, recordings))
            return corpus
    return _open_cached(corpus_settings, recordings, home / "cache" / fingerprint, {}, progress)


def _open_cached(
    settings: CorpusSettings,
    recordings: Sequence[Recording],
    folder: Path,
    earlier_splits: Mapping[str, Split],
    progress: Progress,
) -> Corpus:
    """Read a corpus from its folder in the cache; build it there first if it is missing."""
    write_once(folder / CLIPS, lambda path: _build(settings, recordings, earlier_splits, folder, path, progress))
    clips = pd.read_csv(folder / CLIPS, keep_default_na=False)
    classes = clips.drop_duplicates("label").sort_values("label")["class"].astype(str)
    skipped = json.loads((folder / "skipped.json").read_text(encoding="utf-8"))
    pictures = {recording.name: recording.picture for recording in recordings if recording.picture is not None}
    return Corpus(settings.name, tuple(classes), folder.name, folder, clips, tuple(skipped), pictures)


def _collect_splits(corpus: Corpus, recordings: Sequence[Recording]) -> dict[str, Split]:
    """Return the split of each group."""
    split_of_recording = dict(zip(corpus.clips["recording"].astype(str), corpus.clips["split"], strict=True))
    return {
        recording.group: split_of_recording[recording.name]
        for recording in recordings
        if recording.name in split_of_recording
    }


def read_splits(home: Path, fingerprint: str) -> dict[str, Split] | None:
    """Return the split of each recording of a corpus that was opened in this home; None if its cache was deleted."""
    path = home / "cache" / fingerprint / CLIPS
    if not path.is_file():
        return None
    clips = pd.read_csv(path, keep_default_na=False, usecols=["recording", "split"], dtype=str)
    return dict(zip(clips["recording"], clips["split"], strict=True))


def _fingerprint(name: str, recordings: Sequence[Recording]) -> str:
    stats = ((recording, recording.path.stat()) for recording in recordings)
    lines = [f"{recording.name} {recording.group} {stat.st_size} {stat.st_mtime_ns}" for recording, stat in stats]
    return digest("\n".join([f"{name} {CACHE_VERSION}", *lines]))[:12]


def _build(
    settings: CorpusSettings,
    recordings: Sequence[Recording],
    earlier_splits: Mapping[str, Split],
    folder: Path,
    clips_path: Path,
    progress: Progress,
) -> None:
    """Decode every recording into `waveforms.npy` in `folder`, and write the table of clips to `clips_path` last."""
    where = f"corpus {settings.name} ({getattr(settings, 'root', 'generated')})"
    _check_classes(where, recordings)
    kept: list[tuple[Recording, Decoded]] = []
    skipped: list[str] = []
    with WaveformWriter(folder / "waveforms.npy") as waveforms:
        paths = [recording.path for recording in recordings]
        work = map_in_parallel(decode, paths, "reading the corpus", progress)
        for recording, decoded in zip(recordings, work, strict=True):
            waveforms.append(decoded.clips)
            if decoded.problem:
                skipped.append(f"{recording.name}: {decoded.problem}")
            else:
                # The samples are in the file now; only the starts are needed for the table.
                kept.append((recording, Decoded(decoded.clips[:0], decoded.starts_s)))
    _check_classes(where, [recording for recording, _ in kept], skipped)
    (folder / "skipped.json").write_text(json.dumps(skipped), encoding="utf-8")
    _make_table(kept, earlier_splits).to_csv(clips_path, index=False)


def _check_classes(where: str, recordings: Sequence[Recording], skipped: Sequence[str] = ()) -> None:
    groups = {(recording.class_name, recording.group) for recording in recordings}
    num_groups = Counter(class_name for class_name, _ in groups)
    lost = f"; {len(skipped)} files can't be used, such as {skipped[0]}" if skipped else ""
    if not num_groups:
        suffixes = " ".join(sorted(MEDIA_SUFFIXES))
        raise InputError(f"{where} has no recording{lost}; one sub-folder per class with files of {suffixes} is needed")
    if len(num_groups) == 1:
        raise InputError(f"{where} has one class only, {next(iter(num_groups))!r}{lost}; the judge needs two or more")
    if max(num_groups.values()) < 3:
        raise InputError(
            f"{where} has {max(num_groups.values())} independent recordings in its largest class{lost};"
            " 3 or more are needed, so that one can be kept for validation and one for the test"
        )


def _make_table(kept: Sequence[tuple[Recording, Decoded]], earlier_splits: Mapping[str, Split]) -> pd.DataFrame:
    classes = sorted({recording.class_name for recording, _ in kept})
    groups_of_class: dict[str, list[str]] = {name: [] for name in classes}
    for recording, _ in kept:
        groups_of_class[recording.class_name].append(recording.group)
    splits = split_groups(groups_of_class, earlier_splits)
    numbers: Counter[str] = Counter()
    rows = []
    for recording, decoded in kept:
        # A clip's name becomes that of files, such as dog_1.wav.
        stem = re.sub(r"\W+", "_", recording.class_name).strip("_") or "class"
        for start_s in decoded.starts_s:
            numbers[stem] += 1
            rows.append(
                {
                    "clip": f"{stem}_{numbers[stem]}",
                    "recording": recording.name,
                    "class": recording.class_name,
                    "label": classes.index(recording.class_name),
                    "split": splits[recording.group],
                    "start_s": start_s,
                }
            )
    return pd.DataFrame(rows)


class WaveformWriter:
    """A writer of a .npy file of shape (clips, 44100) that appends clips, since a corpus may be larger than memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0

    def __enter__(self) -> WaveformWriter:
        self._file = self._path.open("wb")
        self._write_header()
        return self

    def append(self, clips: NDArray[np.int16]) -> None:
        """Append clips of shape (clips, 44100)."""
        self._file.write(clips.tobytes())
        self._count += len(clips)

    def __exit__(self, *error: object) -> None:
        # numpy pads the header, so that a larger first axis fits in its place.
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "<i2", "fortran_order": False, "shape": (self._count, CLIP_SAMPLES)}
        )

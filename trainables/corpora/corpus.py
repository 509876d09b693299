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
from trainables.corpora.recordings import MEDIA_SUFFIXES, Decoded, Recording, decode
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
"""Raise it when recordings become other clips than before: it is part of every fingerprint."""
CLIPS = "clips.csv"
"""The table of clips, in the corpus's folder; the last file that is written."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Clips of 2 s and what is known of them.

    Attributes:
        folder: where everything that was computed from this corpus is kept.
        clips: a row a clip: `clip` (its name, such as dog_1), `recording`, `class`, `label` (position in `classes`),
            `split`, `start_s`.
        skipped: files that gave no clip, each with the reason.
        pictures: the video or picture that shows each recording, where there is one.
    """

    name: str
    classes: tuple[str, ...]
    fingerprint: str
    folder: Path
    clips: pd.DataFrame
    skipped: tuple[str, ...]
    pictures: Mapping[str, Path] = field(default_factory=dict)

    def waveforms(self) -> NDArray[np.int16]:
        """Every clip's samples as a memory map of shape (clips, 44100); 32767 is full scale."""
        waveforms: NDArray[np.int16] = np.load(self.folder / "waveforms.npy", mmap_mode="r")
        return waveforms

    def features(self, feature: Feature, progress: Progress = silent) -> NDArray[np.float16]:
        """A feature of every clip as a memory map of shape (clips, frames, bins); computed the first time."""
        from trainables.corpora.features import open_features

        return open_features(self.folder, self.waveforms(), feature, progress)

    def frames(self, size: int, progress: Progress = silent) -> NDArray[np.uint8]:
        """A picture of every clip as a memory map of shape (clips, 3, size, size); black where there is none."""
        from trainables.corpora.pictures import open_pictures

        return open_pictures(self, size, progress)

    def indices(self, split: Split) -> NDArray[np.int64]:
        """The clips of a split, as rows of `clips`."""
        return np.flatnonzero(self.clips["split"] == split).astype(np.int64)

    def labels(self, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """The classes of some clips, as positions in `classes`."""
        return self.clips["label"].to_numpy(np.int64)[clips]

    def probes(self, count: int) -> NDArray[np.int64]:
        """The validation clips that every trial renders: one recording of each class in turn."""
        validation = self.clips[self.clips["split"] == "validation"]
        clip_of_recording = validation.groupby("recording").cumcount()
        first = validation[clip_of_recording == 0]
        recording_of_class = validation["recording"].map(
            dict(zip(first["recording"], first.groupby("label").cumcount(), strict=True))
        )
        turns = pd.DataFrame({"clip": clip_of_recording, "turn": recording_of_class, "label": validation["label"]})
        return turns.sort_values(["clip", "turn", "label"]).index[:count].to_numpy(np.int64, copy=True)


def require_corpus(corpus: Corpus | None, trainable: type) -> Corpus:
    """The corpus that a trainable can't do without.

    Raises:
        InputError: its search space names none.
    """
    if corpus is None:
        # Its name in YAML is that of its folder or, of one of your own, of its file.
        name = trainable.__module__.removesuffix(".trainable").rpartition(".")[2]
        raise InputError(f"trainable {name} needs a corpus; add `corpus: {{name: demo}}` to the search space")
    return corpus


def open_corpus(settings: Mapping[str, Any], home: Path, progress: Progress = silent) -> Corpus:
    """Open a corpus; the first time, it is written (demo), decoded, split and cached under `home`.

    Raises:
        InputError: unknown name, files that can't be learnt from, a home that can't be written.
        ValidationError: wrong settings.
    """
    wanted = corpus_model(settings)(**settings)
    recordings = wanted.recordings(home, progress)
    files, source = _fingerprint(wanted.name, recordings), wanted.source()
    if not wanted.keeps_splits:
        return _open_cached(wanted, recordings, home / "cache" / files, {}, progress)
    fingerprint = read_record(home, source).fingerprints.get(files, "")
    if not (home / "cache" / fingerprint / CLIPS).is_file():
        with edit_record(home, source) as record:
            earlier_splits = record.find_splits(recording.group for recording in recordings)
            fingerprint = record.fingerprints.get(files) or extend_fingerprint(files, earlier_splits)
            corpus = _open_cached(wanted, recordings, home / "cache" / fingerprint, earlier_splits, progress)
            record.add(files, fingerprint, _collect_splits(corpus, recordings))
            return corpus
    return _open_cached(wanted, recordings, home / "cache" / fingerprint, {}, progress)


def _open_cached(
    settings: CorpusSettings,
    recordings: Sequence[Recording],
    folder: Path,
    earlier_splits: Mapping[str, Split],
    progress: Progress,
) -> Corpus:
    """Read a corpus from its folder in the cache, where it is built if it is not there."""
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
    """Return the split of each recording of a corpus that was opened here; None if its cache was deleted."""
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
    """Decode every recording into `waveforms.npy`, and write the table of clips, which makes the corpus whole.

    Args:
        earlier_splits: the splits of groups that keep theirs.
    """
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
                kept.append((recording, Decoded(decoded.clips[:0], decoded.starts_s)))
    _check_classes(where, [recording for recording, _ in kept], skipped)
    (folder / "skipped.json").write_text(json.dumps(skipped), encoding="utf-8")
    _make_table(kept, earlier_splits).to_csv(clips_path, index=False)


def _check_classes(where: str, recordings: Sequence[Recording], skipped: Sequence[str] = ()) -> None:
    groups = Counter(class_name for class_name, _ in {(item.class_name, item.group) for item in recordings})
    lost = f"; {len(skipped)} files can't be used, such as {skipped[0]}" if skipped else ""
    if not groups:
        suffixes = " ".join(sorted(MEDIA_SUFFIXES))
        raise InputError(f"{where} has no recording{lost}; one sub-folder per class with files of {suffixes} is needed")
    if len(groups) == 1:
        raise InputError(f"{where} has one class only, {next(iter(groups))!r}{lost}; the judge needs two or more")
    if max(groups.values()) < 3:
        raise InputError(
            f"{where} has {max(groups.values())} independent recordings in its largest class{lost};"
            " 3 or more are needed, so that one can be kept for validation and one for the test"
        )


def _make_table(kept: Sequence[tuple[Recording, Decoded]], earlier_splits: Mapping[str, Split]) -> pd.DataFrame:
    classes = sorted({recording.class_name for recording, _ in kept})
    groups = {name: [recording.group for recording, _ in kept if recording.class_name == name] for name in classes}
    splits = split_groups(groups, earlier_splits)
    numbers: Counter[str] = Counter()
    rows = []
    for recording, decoded in kept:
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
    """A .npy file of shape (clips, 44100) that grows: a corpus may be larger than memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0

    def __enter__(self) -> WaveformWriter:
        self._file = self._path.open("wb")
        self._write_header()
        return self

    def append(self, clips: NDArray[np.int16]) -> None:
        self._file.write(clips.tobytes())
        self._count += len(clips)

    def __exit__(self, *error: object) -> None:
        # numpy leaves room in a header for its first axis to grow.
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "<i2", "fortran_order": False, "shape": (self._count, CLIP_SAMPLES)}
        )

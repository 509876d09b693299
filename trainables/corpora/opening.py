"""Opening a corpus: its recordings are listed, decoded where no shard has them, split, and written as a table."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from trainables.corpora.base import CorpusSettings
from trainables.corpora.corpus import CLIPS, SKIPPED, Corpus
from trainables.corpora.estimate import check_hop
from trainables.corpora.files import Recording
from trainables.corpora.settings import corpus_model
from trainables.corpora.shards.array import open_places, write_places
from trainables.corpora.shards.store import Observe, Placed
from trainables.corpora.shards.waveforms import open_store, prepare_recordings
from trainables.corpora.split_record import (
    SplitRecord,
    drop_test,
    edit_record,
    extend_fingerprint,
    read_record,
    record_path,
)
from trainables.corpora.splits import Split, digest, hold_out_validation
from trainables.corpora.table import check_classes, check_counts, find_empty_split, make_table, read_table, write_table
from trainables.errors import InputError
from trainables.support.cache import write_once
from trainables.support.progress import Progress, silent

CACHE_VERSION = 1
"""Raise it with any change that changes the clips of a recording: it is part of every fingerprint."""
NAMES = dict.fromkeys(("clip", "recording", "class", "split"), str)
"""The types of the columns with names: a class may be called 01."""


def open_corpus(
    settings: Mapping[str, Any], home: Path, progress: Progress = silent, observe: Observe | None = None
) -> Corpus:
    """Open a corpus; recordings that were never opened are decoded, and the corpus is split and cached.

    Args:
        settings: the `corpus:` of the search space.
        home: the folder of caches.
        progress: is called while files are written and decoded.
        observe: is called instead of `progress` while files are decoded, with all counts.

    Raises:
        InputError: no corpus has that name, the files can't be used for training, or the home can't be written.
        ValidationError: the settings are wrong.
    """
    corpus_settings = corpus_model(settings)(**settings)
    recordings = corpus_settings.list_recordings(home, progress)
    test_groups = corpus_settings.list_test_groups(recordings)
    source = corpus_settings.source()
    opening = _Opening(
        corpus_settings,
        recordings,
        home,
        observe or _report_to(progress),
        record=source if test_groups is None else official_test(source),
    )
    files = _fingerprint(corpus_settings, recordings)
    if test_groups is not None:
        return _open_with_test_split(opening, files, recordings, test_groups, home)
    fixed_splits = corpus_settings.fixed_splits(recordings)
    # The list of files together with those splits that are fixed; without any, the list alone.
    listed = extend_fingerprint(files, fixed_splits)
    is_fixed = bool(fixed_splits) and all(recording.group in fixed_splits for recording in recordings)
    if is_fixed or not corpus_settings.keeps_splits:
        return opening.read(listed) or opening.build(listed, fixed_splits)
    # A corpus that is recorded and cached is opened without the lock.
    fingerprint = read_record(home, opening.record).fingerprints.get(listed, "")
    if fingerprint and (corpus := opening.read(fingerprint)):
        return corpus
    # The recordings are decoded before the lock is taken, which is then held for a moment.
    opening.prepare()
    with edit_record(home, opening.record) as record:
        earlier_splits = record.find_splits(recording.group for recording in recordings) | fixed_splits
        fingerprint = record.fingerprints.get(listed) or extend_fingerprint(files, earlier_splits)
        corpus = opening.build(fingerprint, earlier_splits)
        record.add(listed, fingerprint, _collect_splits(corpus, recordings))
    return corpus


def open_cached(settings: Mapping[str, Any], home: Path, fingerprint: str, source: str) -> Corpus | None:
    """Open a corpus that was opened before, without its recordings; None unless all of it is in the cache.

    Args:
        settings: the `corpus:` of the search space.
        home: the folder of caches.
        fingerprint: its fingerprint.
        source: the name of its source, in which links in its root were followed where the recordings are.
    """
    return _Opening(corpus_model(settings)(**settings), (), home, _report_to(silent), source=source).read(fingerprint)


def official_test(source: str) -> str:
    """Return the source under which splits are recorded that keep an official test split: another record."""
    return f"{source} official test"


def _open_with_test_split(
    opening: _Opening, files: str, recordings: Sequence[Recording], test_groups: Collection[str], home: Path
) -> Corpus:
    """Open a corpus whose data set defines the test split only: the others keep train and validation."""
    groups = [(recording.class_name, recording.group) for recording in recordings]

    def split(record: SplitRecord) -> dict[str, Split]:
        return hold_out_validation(groups, test_groups, record.find_splits(group for _, group in groups))

    record = read_record(home, opening.record)
    splits = split(record)
    if record.find_splits(splits) == drop_test(splits) and (corpus := opening.read(extend_fingerprint(files, splits))):
        return corpus
    opening.prepare()
    with edit_record(home, opening.record) as record:
        splits = split(record)
        fingerprint = extend_fingerprint(files, splits)
        corpus = opening.read(fingerprint) or opening.build(fingerprint, splits)
        # An official list may change. What leaves it gets a split that it keeps, so "test" is not recorded.
        record.splits = drop_test(record.splits)
        record.add(files, fingerprint, drop_test(splits))
    return corpus


def _report_to(progress: Progress) -> Observe:
    return lambda counts: progress("reading the corpus", counts.files, counts.total)


class _Opening:
    """What opening a corpus needs: its recordings, the shards of their source, and the name of its record of splits."""

    def __init__(
        self,
        settings: CorpusSettings,
        recordings: Sequence[Recording],
        home: Path,
        observe: Observe,
        *,
        record: str = "",
        source: str | None = None,
    ) -> None:
        self.source = source or settings.source()
        self.record = record
        self._settings = settings
        self._recordings = recordings
        self._home = home
        self._observe = observe
        self._store = open_store(home, self.source, settings.clip_format)
        self._places: dict[str, Placed] | None = None

    def read(self, fingerprint: str) -> Corpus | None:
        """Return the corpus from its folder in the cache; None if it, or a shard of it, is missing.

        Raises:
            InputError: a split has no recording.
        """
        folder = self._home / "cache" / fingerprint
        if not (folder / CLIPS).is_file() or open_places(self._store.places_of(folder), self._store) is None:
            return None
        clips = read_table(folder / CLIPS, dtype=NAMES)
        if (split := find_empty_split(clips)) is not None:
            raise InputError(f"{self._where} has no recording in the {split} split; {self._advise_on_splits()}")
        classes = clips.drop_duplicates("label").sort_values("label")["class"]
        pictures = {
            item.name: item.picture
            for item in self._recordings
            if item.picture is not None and os.path.isfile(item.picture)
        }
        skipped = read_table(folder / SKIPPED, dtype=str)
        return Corpus(
            self._settings.name,
            tuple(classes),
            folder.name,
            folder,
            clips,
            tuple(f"{name}: {reason}" for name, reason in zip(skipped["recording"], skipped["reason"], strict=True)),
            pictures,
            source=self.source,
            clip_format=self._settings.clip_format,
            in_memory_bytes=int(self._settings.in_memory_gib * 2**30),
        )

    def prepare(self) -> dict[str, Placed]:
        """Decode the recordings that are in no shard, and return where each one is."""
        if self._places is None:
            self._check_classes(self._recordings, {})
            check_hop(self._recordings, self._settings.clip_format)
            self._places = prepare_recordings(self._store, self._recordings, self._settings.clip_format, self._observe)
        return self._places

    def build(self, fingerprint: str, earlier_splits: Mapping[str, Split]) -> Corpus:
        """Write the corpus's folder in the cache, and return the corpus."""
        folder = self._home / "cache" / fingerprint
        places = self.prepare()
        problems = {name: place.entry.problem for name, place in places.items() if place.entry.problem}
        usable = [recording for recording in self._recordings if recording.name not in problems]
        self._check_classes(usable, problems)
        class_of = {recording.name: recording.class_name for recording in self._recordings}
        rows = [(name, class_of[name], problem) for name, problem in problems.items()]
        skipped = pd.DataFrame(rows, columns=["recording", "class", "reason"])
        write_once(folder / SKIPPED, lambda path: write_table(skipped, path))
        starts_s = {recording.name: places[recording.name].entry.starts_s for recording in usable}
        clips = make_table(usable, starts_s, earlier_splits)
        write_once(folder / CLIPS, lambda path: write_table(clips, path))
        # The table may be older than the shards: its rows count.
        names = read_table(folder / CLIPS, usecols=["recording"], dtype=str)["recording"]
        check_counts(folder, names, places)
        numbers = names.groupby(names).cumcount()
        by_clip = [(places[name], number) for name, number in zip(names, numbers, strict=True)]
        write_places(self._store.places_of(folder), by_clip)
        corpus = self.read(fingerprint)
        assert corpus is not None
        return corpus

    def _check_classes(self, recordings: Sequence[Recording], problems: Mapping[str, str]) -> None:
        check_classes(self._where, self._settings.describe_need(), recordings, problems)

    def _advise_on_splits(self) -> str:
        """Return why a split may have no recording, and what to do."""
        kept = read_record(self._home, self.record).find_splits({recording.group for recording in self._recordings})
        if not kept:
            return "more of its recordings are needed, or splits that do not follow its lists"
        return (
            f"{record_path(self._home, self.record)} keeps the splits that {len(kept)} groups of its recordings got"
            " earlier; bring deleted recordings back, or add others, or move that file away and train all models anew,"
            " since the earlier ones have learnt from recordings that would be held out"
        )

    @property
    def _where(self) -> str:
        root = getattr(self._settings, "root", "generated")
        is_missing = isinstance(root, Path) and not root.expanduser().exists()
        return f"corpus {self._settings.name} ({root}{', which does not exist' if is_missing else ''})"


def _collect_splits(corpus: Corpus, recordings: Sequence[Recording]) -> dict[str, Split]:
    """Return the split of each group."""
    split_of_recording = dict(zip(corpus.clips["recording"].astype(str), corpus.clips["split"], strict=True))
    return {
        recording.group: split_of_recording[recording.name]
        for recording in recordings
        if recording.name in split_of_recording
    }


def _fingerprint(settings: CorpusSettings, recordings: Sequence[Recording]) -> str:
    lines = [f"{recording.name} {recording.group} {recording.key}" for recording in recordings]
    return digest("\n".join([f"{settings.name} {CACHE_VERSION}{settings.clip_format.name}", *lines]))[:12]

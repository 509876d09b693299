"""The part of `loader` that is about corpora: their settings, their files, and leaks between them.

An `InputError` of trainables is raised as a `UserError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UserError
from trainables.components.audio.clip import ClipFormat
from trainables.errors import InputError
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus
    from trainables.corpora.estimate import Estimate
    from trainables.corpora.settings import CorpusSettings
    from trainables.corpora.shards.store import Observe
    from trainables.corpora.shards.verification import Verified

SAMPLE_BYTES = 2
"""The size of a sample in the cache: it has 16 bits."""


@contextmanager
def user_errors() -> Iterator[None]:
    """Raise an `InputError` of the block as a `UserError`; also usable as a decorator."""
    try:
        yield
    except InputError as error:
        raise UserError(str(error)) from error


@user_errors()
def corpus_model(settings: Mapping[str, Any]) -> type[CorpusSettings]:
    """Return the model of a corpus's settings, by the `name` in them.

    Raises:
        UserError: there is no corpus of this name.
    """
    from trainables.corpora.settings import corpus_model as model_of

    return model_of(settings)


def clip_format_of(settings: Mapping[str, Any] | None) -> ClipFormat:
    """Return the format of the clips of a corpus, by its settings; the usual one without a corpus."""
    return corpus_model(settings)(**settings).clip_format if settings else ClipFormat()


@user_errors()
def check_corpus(settings: Mapping[str, Any] | None) -> None:
    """Check that the folder of a corpus exists and has classes, without reading recordings.

    Raises:
        UserError: the folder is missing, or has no classes.
    """
    if settings:
        corpus_model(settings)(**settings).check_root()


@user_errors()
def open_corpus(
    settings: Mapping[str, Any], home: Path, progress: Progress = silent, observe: Observe | None = None
) -> Corpus:
    """Return a corpus; the first call makes it and caches it in `home`.

    Args:
        settings: the settings of the corpus.
        home: the folder of caches.
        progress: is called while files are written and decoded.
        observe: is called instead of `progress` while files are decoded, with all counts.

    Raises:
        UserError: the corpus can't be used.
    """
    from trainables.corpora.opening import open_corpus as open_

    return open_(settings, home, progress, observe)


@user_errors()
def open_prepared(settings: Mapping[str, Any], description: Path, home: Path) -> Corpus:
    """Return a corpus that was prepared on another machine, which has the recordings.

    Args:
        settings: the settings of the corpus.
        description: the file that `share_corpus` has named on that machine.
        home: the folder of caches.

    Raises:
        UserError: a file of it is missing.
    """
    from trainables.corpora.shards.prepared import open_prepared as open_

    return open_(settings, description, home)


def share_corpus(corpus: Corpus) -> tuple[Path, list[Path]]:
    """Return the file by which other machines open a prepared corpus, and all files that they need of it."""
    from trainables.corpora.shards.prepared import list_prepared_files, write_description

    description = write_description(corpus)
    return description, list_prepared_files(corpus)


def is_split_record(name: str) -> bool:
    """Return whether a file has the splits of recordings, by its path in the home."""
    from trainables.corpora.split_record import is_record

    return is_record(name)


@user_errors()
def merge_split_record(home: Path, text: bytes) -> None:
    """Add the splits of recordings in another home to those in this one.

    Args:
        home: this home.
        text: the contents of a file of the other one, for which `is_split_record` holds.

    Raises:
        UserError: recordings have other splits there.
    """
    from trainables.corpora.split_record import merge_record

    merge_record(home, text)


@user_errors()
def verify_cache(settings: Mapping[str, Any], home: Path) -> Verified:
    """Compare the cache of a corpus with its files.

    Raises:
        UserError: the corpus can't be used.
    """
    from trainables.corpora.pictures import find_stores
    from trainables.corpora.shards.verification import verify
    from trainables.corpora.shards.waveforms import open_store

    model = corpus_model(settings)(**settings)
    recordings = model.list_recordings(home, silent)
    source, clip_format = model.source(), model.clip_format
    return verify([open_store(home, source, clip_format), *find_stores(home, source, clip_format)], recordings)


@user_errors()
def estimate_clips(settings: Mapping[str, Any], home: Path) -> Estimate:
    """Estimate the number of clips of a corpus.

    Raises:
        UserError: the corpus can't be used.
    """
    from trainables.corpora.estimate import estimate_clips as estimate

    model = corpus_model(settings)(**settings)
    return estimate(model.list_recordings(home, silent), model.clip_format)


def evict_features(home: Path, max_gib: float | None, say: Callable[[str], None]) -> None:
    """Delete the features of a home that were used least recently, until the others fit; those in use stay.

    Args:
        home: the folder of caches.
        max_gib: the largest size of all features; None for no limit.
        say: is called with a line if features were deleted, or don't fit.
    """
    if max_gib is None:
        return
    from trainables.corpora.features import list_feature_sets
    from trainables.support.evictable import evict

    evicted, size_bytes = evict(list_feature_sets(home), int(max_gib * 2**30))
    if evicted:
        names = ", ".join(f"{path.parent.name}/{path.stem}" for path in evicted)
        say(f"Deleted from the cache, since cache.max_gib is {max_gib:g}: {names}")
    if size_bytes > max_gib * 2**30:
        say(f"The cache has {size_bytes / 2**30:.2f} GiB of features in use, more than cache.max_gib ({max_gib:g})")


@dataclass(frozen=True)
class ClassCounts:
    """What a corpus has of a class.

    Attributes:
        name: the name of the class.
        recordings: the number of recordings with a clip.
        clips: the number of clips.
        hours: the duration of the clips.
        splits: the number of recordings of each split.
        skipped: the number of recordings without a clip.
    """

    name: str
    recordings: int
    clips: int
    hours: float
    splits: Mapping[str, int]
    skipped: int


def count_clips(corpus: Corpus) -> list[ClassCounts]:
    """Return what a corpus has of each class; a class without usable files is the last."""
    skipped = corpus.read_skipped()["class"].value_counts()
    counts = []
    # The class of some files that were left out, such as links, isn't known.
    for name in (*corpus.classes, *sorted(set(skipped.index) - {*corpus.classes, ""})):
        clips = corpus.clips[corpus.clips["class"].astype(str) == name]
        splits = clips.drop_duplicates("recording")["split"].value_counts()
        recordings = int(clips["recording"].nunique())
        hours = len(clips) * corpus.clip_s / 3600
        counts.append(ClassCounts(name, recordings, len(clips), hours, splits.to_dict(), int(skipped.get(name, 0))))
    return counts


def skip_reasons(corpus: Corpus) -> list[tuple[str, list[str]]]:
    """Return the reasons why recordings have no clip, the most frequent first, each with the recordings' names."""
    names_by_reason: dict[str, list[str]] = {}
    skipped = corpus.read_skipped()
    for name, reason in zip(skipped["recording"], skipped["reason"], strict=True):
        names_by_reason.setdefault(reason, []).append(name)
    return sorted(names_by_reason.items(), key=lambda item: -len(item[1]))


@user_errors()
def describe_leak(
    settings: Mapping[str, Any], corpus: Corpus, home: Path, other: Mapping[str, Any], fingerprint: str
) -> str:
    """Return why a model that was trained on another corpus may have seen held-out recordings of this one; "" if not.

    Args:
        settings: the settings of this corpus.
        corpus: this corpus.
        home: the folder of all sweeps.
        other: the settings of the corpus that the model was trained on.
        fingerprint: the fingerprint of the corpus that the model was trained on.
    """
    from trainables.corpora.leaks import describe_leak as describe

    return describe(settings, corpus, home, other, fingerprint)

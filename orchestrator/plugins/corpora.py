"""The part of `loader` that is about corpora: their settings, their files, and leaks between them.

An `InputError` of trainables is raised as a `UserError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UserError
from trainables.errors import InputError
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus
    from trainables.corpora.settings import CorpusSettings


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


@user_errors()
def check_corpus(settings: Mapping[str, Any] | None) -> None:
    """Check that the folder of a corpus exists and has classes, without reading recordings.

    Raises:
        UserError: the folder is missing, or has no classes.
    """
    if settings:
        corpus_model(settings)(**settings).check_root()


@user_errors()
def open_corpus(settings: Mapping[str, Any], home: Path, progress: Progress = silent) -> Corpus:
    """Return a corpus; the first call makes it and caches it in `home`.

    Raises:
        UserError: the corpus can't be used.
    """
    from trainables.corpora.corpus import open_corpus as open_

    return open_(settings, home, progress)


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

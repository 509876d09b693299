"""Whether a model that was trained on one corpus has seen what another one holds out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.corpora.corpus import Corpus, read_splits
from trainables.corpora.settings import corpus_model

SEEN = {"test": ("train", "validation"), "validation": ("train",)}
"""Of each split that is held out, the splits of another corpus from which a model knows a recording: it was trained on
them, or selected by them."""


def describe_leak(
    settings: Mapping[str, Any], corpus: Corpus, home: Path, other: Mapping[str, Any], fingerprint: str
) -> str:
    """Say why a model of another corpus may know what this one holds out; nothing if it does not.

    Args:
        settings: of this corpus.
        corpus: this one.
        home: where both were opened.
        other: settings of the other one.
        fingerprint: of the other one.
    """
    if fingerprint == corpus.fingerprint:
        return ""
    mine, theirs = (corpus_model(corpus_settings)(**corpus_settings).source() for corpus_settings in (settings, other))
    other_splits = read_splits(home, fingerprint)
    if mine != theirs or other_splits is None:
        return "it may have seen recordings that are held out here"
    splits = dict(zip(corpus.clips["recording"].astype(str), corpus.clips["split"], strict=True))
    held_out = {name: SEEN[split] for name, split in splits.items() if split in SEEN}
    count = sum(other_splits.get(name) in leaking_splits for name, leaking_splits in held_out.items())
    return f"it has seen {count} of the {len(held_out)} recordings that are held out here" if count else ""

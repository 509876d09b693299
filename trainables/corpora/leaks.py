"""Leaks: recordings that one corpus holds out and that a model of another corpus was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.corpora.corpus import Corpus, read_splits
from trainables.corpora.settings import corpus_model

SEEN = {"test": ("train", "validation"), "validation": ("train",)}
"""For each held-out split, the splits of the other corpus that leak into it.

A model was trained on its train split and selected on its validation split.
"""


def describe_leak(
    settings: Mapping[str, Any], corpus: Corpus, home: Path, other: Mapping[str, Any], fingerprint: str
) -> str:
    """Return why a model of another corpus can't be evaluated on this one; an empty string if it can.

    Args:
        settings: the settings of this corpus.
        corpus: this corpus.
        home: the home in which both corpora were opened.
        other: the settings of the corpus that the model was trained on.
        fingerprint: the fingerprint of that corpus.
    """
    if fingerprint == corpus.fingerprint:
        return ""
    here, there = (corpus_model(corpus_settings)(**corpus_settings) for corpus_settings in (settings, other))
    if here.rate_hz != there.rate_hz:
        return f"its sounds have {there.rate_hz} samples per second, and those here have {here.rate_hz}"
    if here.clip_format.samples != there.clip_format.samples:
        return f"its clips have {there.clip_format.samples} samples, and those here have {here.clip_format.samples}"
    other_splits = read_splits(home, fingerprint)
    if here.source() != there.source() or other_splits is None:
        return "it may have seen recordings that are held out here"
    splits = dict(zip(corpus.clips["recording"].astype(str), corpus.clips["split"], strict=True))
    leaking_splits = {name: SEEN[split] for name, split in splits.items() if split in SEEN}
    count = sum(other_splits.get(name) in leaking for name, leaking in leaking_splits.items())
    return f"it has seen {count} of the {len(leaking_splits)} recordings that are held out here" if count else ""

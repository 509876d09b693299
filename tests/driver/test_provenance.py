"""What a sweep's record says about its data and its machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.driver.provenance import describe_corpus, read_hardware

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


def test_the_record_has_the_size_of_each_split(corpus: Corpus) -> None:
    described = describe_corpus(corpus)
    assert (described["name"], described["fingerprint"], described["classes"]) == ("folder", corpus.fingerprint, 3)
    splits = described["splits"]
    assert list(splits) == ["train", "validation", "test"]
    assert sum(size["recordings"] for size in splits.values()) == corpus.clips["recording"].nunique()
    assert described["source"] == corpus.source and corpus.source.startswith("folder /")
    assert splits["test"]["clips"] == np.count_nonzero(corpus.clips["split"] == "test") > 0


def test_the_record_has_the_machine() -> None:
    hardware = read_hardware()
    assert hardware["cores"] == os.cpu_count() and hardware["memory_gib"] > 0 and hardware["processor"]
    assert isinstance(hardware["gpus"], list)

"""A short run of `tests/benchmarks/chaos.py`: the promise of exact resume, tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.chaos import make_corpus, run_ours

KINDS = ("killed in a checkpoint", "raylet killed", "killed in an outbox line")
"""The others have tests of their own, or are for the benchmark."""


@pytest.mark.timeout(3000)
def test_a_sweep_that_is_killed_thrice_is_the_sweep_that_never_was(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    verdict = run_ours(tmp_path / "ours", corpus, kills=3, seed=1, at_once=1, kinds=KINDS, epochs=5)
    assert not verdict.wrong
    assert verdict.figures["kills"] == "4 of 4"
    assert verdict.figures["metrics of every epoch"] == "equal"
    assert list((tmp_path / "ours" / "mlflow" / "artifacts").rglob("*_reconstruction.wav"))

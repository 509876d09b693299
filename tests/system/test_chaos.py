"""A short run of `tests/benchmarks/chaos.py`: the promise of exact resume, tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.chaos import make_corpus, run_ours

KINDS = ("killed in a checkpoint", "killed in an outbox line")
"""The others have tests of their own, as a raylet's death in `test_recovery.py`, or are for the benchmark."""


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_a_sweep_that_is_killed_twice_and_loses_mlflow_is_the_sweep_that_never_was(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    verdict = run_ours(tmp_path / "ours", corpus, kills=2, seed=1, at_once=1, kinds=KINDS, epochs=4)
    assert not verdict.wrong
    assert verdict.figures["kills"] == "3 of 3"
    assert verdict.figures["metrics of every epoch"] == "equal"
    assert list((tmp_path / "ours" / "mlflow" / "artifacts").rglob("*_reconstruction.wav"))

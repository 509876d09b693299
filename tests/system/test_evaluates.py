"""Trials are evaluated where their trainable can judge or render, whichever of the two it does."""

from __future__ import annotations

from pathlib import Path

from orchestrator.commands.plan import make_plan
from orchestrator.driver.sweep import run_sweep
from orchestrator.overview.screen import Screen
from orchestrator.plugins.loader import load_trainable
from tests.support.spaces import NOOP, noop_sweep

JUDGED = """
import pandas as pd
from tests.benchmarks.noop import Noop

class Judged(Noop):
    def evaluate(self, split):
        return pd.DataFrame({"recording": ["a", "b"], "class": ["dog", "dog"], "score": [self.config.x, 1.0]})
"""
SEEDS = {"budget": {"seeds": 3, "max_epochs": 1}, "pruning": "none", "params": {"x": 0.5}, "search": None}


def test_a_trainable_that_judges_and_renders_nothing_is_judged_on_the_test_split(tmp_path: Path, home: Path) -> None:
    (tmp_path / "judged.py").write_text(JUDGED)
    sweep = noop_sweep(tmp_path, **SEEDS, trainable=str(tmp_path / "judged.py"))
    ledger = run_sweep(sweep, home, Screen())
    assert [trial.test for trial in ledger.trials.values()] == [{"test/score": 0.75}] * 6


def test_a_trainable_that_judges_nothing_is_said_to_be_tested_by_nothing(tmp_path: Path) -> None:
    noop = load_trainable(str(NOOP), Path())
    assert not noop.can_render() and not noop.can_evaluate()
    notes = make_plan(noop_sweep(tmp_path, **SEEDS)).notes
    assert any("Noop has no evaluate(): no trial is evaluated on the test split" in note for note in notes)

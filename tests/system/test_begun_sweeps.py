"""A sweep whose trials begin from a trial of another one, which is deleted meanwhile."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.commands.resume import ResumeOptions, resume
from orchestrator.driver.sweep import run_sweep
from orchestrator.models.champion import load_best
from orchestrator.overview.screen import Screen
from orchestrator.tracking.sender import is_behind
from tests.support import begun
from tests.support.begun import write_trained
from tests.support.spaces import noop_sweep
from tests.system.test_sweep import trial_runs


@pytest.mark.long
def test_the_other_sweep_and_the_variable_may_change_and_go(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resumed without `MLFLOW_TRACKING_URI`, the sweep stays in the MLflow that has it."""
    path, uri = write_trained(home), f"sqlite:///{tmp_path / 'all.db'}"
    shutil.copy(home / "mlflow.db", tmp_path / "all.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    sweep = noop_sweep(
        tmp_path,
        trainable=begun.__file__,
        params={"model": "other/1", "x": {"uniform": [0.0, 1.0]}},
        budget={"trials_per_arm": 1, "max_epochs": 1},
        pruning="none",
        resources={"cpu": 2},
    )
    run_sweep(sweep, home, Screen())
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    path.unlink()
    path.write_bytes(b"another model")
    resume("tiny", home, Screen(), ResumeOptions(trials=1), ())
    shutil.rmtree(home / "other")
    _, ledger = resume("tiny", home, Screen(), ResumeOptions(epochs=1), ())
    assert [(trial.outcome, trial.epochs) for trial in ledger.trials.values()] == [("completed", 2)] * 4
    assert ledger.destination["tracking_uri"] == uri
    sizes = {row["metrics"]["train/bytes"] for trial in ledger.trials.values() for row in ledger.read_rows(trial)}
    assert sizes == {len(b"first")}
    assert vars(load_best("tiny", home))["size"] == len(b"first")
    # Named again, another MLflow gets all of the finished sweep.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    shown = io.StringIO()
    _, ledger = resume("tiny", home, Screen(Console(file=shown, width=1000)), ResumeOptions(), ())
    assert f"MLflow: all of tiny is sent to sqlite:///{home / 'mlflow.db'} (" in shown.getvalue()
    assert ledger.destination["tracking_uri"] == f"sqlite:///{home / 'mlflow.db'}" and not is_behind(home / "tiny")
    assert len(trial_runs(home, "tiny")) == 4

"""Whoever constructs a trainable closes it, also after an error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.check import check
from orchestrator.commands.try_out import try_out
from orchestrator.driver.tasks import make_spec
from orchestrator.errors import UserError
from orchestrator.models.champion import export_trial, load_best
from orchestrator.overview.screen import Screen
from orchestrator.state.events.drivers import Started
from orchestrator.state.home import keep_search_space
from orchestrator.worker.attempt import TrialRun
from orchestrator.worker.evaluation import evaluate
from tests.support import held
from tests.support.engine_rig import EngineRig
from tests.support.spaces import noop_sweep, trial_spec, write_space


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "held"
    path.mkdir()
    return path


def settings(folder: Path, **params: Any) -> dict[str, Any]:
    return {
        "trainable": held.__file__,
        "params": {"folder": str(folder), **params},
        "compare": None,
        "search": None,
        "pruning": None,
        "budget": {"seeds": 1, "max_epochs": 1},
    }


def count(folder: Path) -> tuple[int, int]:
    """How many trainables were constructed, and how many of them are open."""
    return len((folder / "held.log").read_text().splitlines()), len(list(folder.iterdir())) - 1


def train(home: Path, folder: Path, **params: Any) -> None:
    """Train the only trial of the sweep `tiny`."""
    home.mkdir(exist_ok=True)
    sweep = noop_sweep(home, **settings(folder, **params))
    rig = EngineRig(sweep, home / "tiny")
    keep_search_space(home / "tiny", sweep)
    rig.ledger.write(Started(record={"objective": {"metric": "val/score", "mode": "max"}}))
    trial = rig.hand_out()
    assert trial is not None
    run = TrialRun(replace(make_spec(sweep, home, trial, gpu=0, threads=1), max_epochs=1))
    report = {"row": json.dumps(run.step()), "remarks": json.dumps(run.remarks)}
    assert rig.engine.handle_report(rig.name, report)
    run.close()


def test_an_evaluation_closes_its_trainable(tmp_path: Path, folder: Path) -> None:
    spec = trial_spec(tmp_path, trainable=held.__file__, config={"folder": str(folder)}, splits=("test",))
    run = TrialRun(spec)
    run.step()
    run.close()
    assert evaluate(spec)["metrics"] == {"test/score": 1.0}
    assert count(folder) == (2, 0)
    with pytest.raises(KeyError):
        evaluate(replace(spec, config={"folder": str(folder), "refuses": True}))
    assert count(folder) == (3, 0)


def test_try_and_check_close_theirs(tmp_path: Path, folder: Path, home: Path) -> None:
    path = write_space(tmp_path / "held.yaml", **settings(folder))
    try_out(noop_sweep(tmp_path, **settings(folder)), home, Screen(), None)
    assert count(folder) == (1, 0)
    check(path, home, (), None, lambda line: None)
    constructed, still_open = count(folder)
    assert constructed > 5 and still_open == 0


def test_what_can_not_be_exported_or_loaded_is_closed(tmp_path: Path, folder: Path) -> None:
    home = tmp_path / "runs"
    train(home, folder)
    assert count(folder) == (1, 0)
    with pytest.raises(UserError, match="tiny/1: nothing to export"):
        export_trial(home, "tiny", print)
    assert count(folder) == (2, 0)
    best = load_best("tiny", home)
    assert count(folder) == (3, 1)
    best.close()
    train(tmp_path / "others", folder, refuses=True)
    with pytest.raises(UserError, match="tiny/1: its checkpoint is of another version of this program"):
        load_best("tiny", tmp_path / "others")
    assert count(folder) == (5, 0)

"""Ranges that change when a sweep is resumed: what was trained stays, and samplers learn from what lies inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from orchestrator.commands.exports.optuna_journal import write_journal
from orchestrator.policy.agenda import Agenda
from orchestrator.policy.ranges import describe_changes
from orchestrator.search_space.reader import Sweep
from orchestrator.state.events.drivers import Started
from orchestrator.state.home import keep_search_space
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports.runs.importance import find_edges, importances
from tests.support.driving import drive, ledger_of, told
from tests.support.spaces import noop_sweep

FIRST = {"uniform": [0.2, 0.6]}


def sweep_of(folder: Path, x: dict[str, Any], sampler: str, trials: int = 8) -> Sweep:
    return noop_sweep(
        folder,
        compare=None,
        params={"x": x, "epoch_s": {"uniform": [0.0, 1.0]}},
        search={"startup_trials": 3, "sampler": sampler},
        budget={"trials_per_arm": trials, "max_epochs": 2},
        pruning="none",
    )


def near_the_edge(trial: Trial, epoch: int) -> float:
    return float(trial.params["x"]) - abs(float(trial.params["epoch_s"]) - 0.5)


def xs(ledger: Ledger) -> list[float]:
    return [float(trial.params["x"]) for trial in ledger.trials.values()]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "sobol"])
@pytest.mark.parametrize("x", [{"uniform": [0.0, 1.0]}, {"uniform": [0.3, 0.5]}], ids=["wider", "narrower"])
def test_the_search_goes_on_in_the_new_range_and_a_kill_changes_nothing(
    tmp_path: Path, sampler: str, x: dict[str, Any]
) -> None:
    low, high = x["uniform"]
    results = []
    for name, steps in (("whole", []), ("killed", [1, 3, 2])):
        drive(sweep_of(tmp_path, FIRST, sampler), tmp_path / name, near_the_edge)
        changed = sweep_of(tmp_path, x, sampler, trials=14)
        for count in steps:
            drive(changed, tmp_path / name, near_the_edge, steps=count)
        results.append(drive(changed, tmp_path / name, near_the_edge))
    whole, killed = results
    assert told(whole) == told(killed)
    assert all(low <= value <= high for value in xs(whole)[8:])
    assert any(not low <= value <= high for value in xs(whole)[:8]) == (high == 0.5)
    # What was trained outside stays data, and may be the best.
    assert len(whole.trials) == 14 and all(trial.outcome == "completed" for trial in whole.trials.values())


def test_tpe_goes_where_the_wider_range_is_better(tmp_path: Path) -> None:
    drive(sweep_of(tmp_path, FIRST, "tpe"), tmp_path / "sweep", near_the_edge)
    ledger = drive(sweep_of(tmp_path, {"uniform": [0.0, 1.0]}, "tpe", trials=20), tmp_path / "sweep", near_the_edge)
    assert {trial.source for trial in list(ledger.trials.values())[8:]} == {"tpe"}
    assert max(xs(ledger)[8:]) > 0.75


def test_a_wider_grid_takes_its_new_points_only(tmp_path: Path) -> None:
    params: dict[str, Any] = {"x": {"quniform": [0.25, 0.75, 0.25]}}
    search = {"sampler": "grid"}
    before = noop_sweep(
        tmp_path, compare=None, params=params, search=search, budget={"trials_per_arm": 3, "max_epochs": 2}
    )
    drive(before, tmp_path / "sweep")
    after = noop_sweep(
        tmp_path,
        compare=None,
        params={"x": {"quniform": [0.0, 1.0, 0.25]}},
        search=search,
        budget={"trials_per_arm": 5, "max_epochs": 2},
    )
    ledger = drive(after, tmp_path / "sweep")
    assert sorted(xs(ledger)[:3]) == [0.25, 0.5, 0.75] and sorted(xs(ledger)[3:]) == [0, 1]


def test_a_change_is_told_with_the_trials_that_lie_outside(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, FIRST, "tpe")
    ledger = drive(sweep, tmp_path / "sweep", near_the_edge)
    searched = {name: {domain.kind: list(domain.edges())} for name, domain in sweep.arms[0].searched.items()}
    ledger.write(Started(record={"arms": {"all": {"searched": searched}}}))
    assert describe_changes(sweep, ledger) == []
    num_outside = sum(not 0.3 <= value <= 0.5 for value in xs(ledger))
    (line,) = describe_changes(sweep_of(tmp_path, {"uniform": [0.3, 0.5]}, "tpe"), ledger)
    assert line == (
        f"x: uniform [0.2, 0.6] is now uniform [0.3, 0.5]; {num_outside} trials outside of it, for tables and reports, "
        "but for no sampler."
    )
    (line,) = describe_changes(sweep_of(tmp_path, {"uniform": [0.0, 1.0]}, "tpe"), ledger)
    assert line == "x: uniform [0.2, 0.6] is now uniform [0, 1]."


def test_an_unfinished_trial_outside_goes_on(tmp_path: Path) -> None:
    drive(sweep_of(tmp_path, FIRST, "tpe"), tmp_path / "sweep", near_the_edge, steps=1)
    changed = sweep_of(tmp_path, {"uniform": [0.8, 0.9]}, "tpe")
    task = Agenda(changed, ledger_of(changed, tmp_path / "sweep"), evaluates=False).next_task(set())
    assert task is not None and task.trial.number == 1


def test_exports_and_importances_have_a_place_for_trials_outside(tmp_path: Path) -> None:
    drive(sweep_of(tmp_path, {"uniform": [0.0, 1.0]}, "tpe"), tmp_path / "tiny", near_the_edge)
    changed = sweep_of(tmp_path, {"uniform": [0.3, 0.8]}, "tpe")
    keep_search_space(tmp_path / "tiny", changed)
    write_journal(tmp_path, "tiny", tmp_path / "journal.log")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
    (study,) = optuna.study.get_all_study_summaries(optuna.storages.JournalStorage(backend))
    assert study.n_trials == 8

    searched = {"x": {"uniform": [0.3, 0.8]}, "y": {"uniform": [0.0, 1.0]}}
    rows = [{"outcome": "completed", "x": index / 20, "y": index % 3 / 3, "best": index % 5} for index in range(20)]
    shares = importances(pd.DataFrame(rows), searched, "best")
    assert shares is not None and set(shares.index) == {"x", "y"}
    assert find_edges({"x": 0.1}, searched) == ["x = 0.1 lies outside of 0.3 to 0.8, its range since it was changed"]

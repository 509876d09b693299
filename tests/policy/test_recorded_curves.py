"""The benchmark of recorded learning curves: what is written is read; pruning and searches are replayed on it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from orchestrator.state.curve import Objective
from orchestrator.state.events.drivers import Started
from orchestrator.state.trial import Trial
from tests.benchmarks.curves import PEERS, Table, make_grids, read, replay, search_all, write
from tests.benchmarks.curves_search import Grid, Trainings, read_sweep, search
from tests.support.driving import drive, ledger_of
from tests.support.spaces import noop_sweep


@pytest.mark.parametrize("mode", ["max", "min"])
def test_curves_are_recorded_and_replayed(tmp_path: Path, mode: str) -> None:
    sign = 1 if mode == "max" else -1

    def score(trial: Trial, epoch: int) -> float:
        return sign * (trial.index * 0.37 % 1) * (1 - 0.5**epoch)

    objective = {"metric": "val/score" if mode == "max" else "val/error", "mode": mode}
    sweep = noop_sweep(tmp_path, pruning="none", objective=objective, budget={"trials_per_arm": 6, "max_epochs": 9})
    ledger = ledger_of(sweep, tmp_path / "sweep")
    ledger.write(Started(record={"objective": Objective.of(sweep.space).to_record()}))
    drive(sweep, tmp_path / "sweep", score)
    assert write(tmp_path / "sweep", tmp_path / "curves.jsonl") == 12
    table = read(tmp_path / "curves.jsonl")
    assert {arm: len(curves) for arm, curves in table.curves.items()} == {"arm=a": 6, "arm=b": 6}
    first = next(iter(ledger_of(sweep, tmp_path / "sweep").trials.values()))
    assert list(table.curves["arm=a"][0]) == pytest.approx(first.curve.values(), abs=1e-4)

    everything = replay(table, "none", seed=0)
    assert everything.epochs == 12 * 9 and everything.regret == 0
    pruned = replay(table, {"kind": "pasha", "grace_epochs": 1, "reduction_factor": 2}, seed=0)
    # The ranking is that of the first epoch, so that pruning finds the best trial of both arms.
    assert pruned.epochs < everything.epochs / 2 and pruned.regret == pytest.approx(0, abs=1e-4)


def make_table(mode: str = "max", lr_of_best: float = 1e-3) -> Table:
    """Thirteen learning rates in each of two arms, of which one in the middle is the best."""
    sign = 1 if mode == "max" else -1
    rates = [1e-4 * 10 ** (index / 6) for index in range(13)]
    curves = [
        [sign * (1 - 0.2 * abs(math.log10(lr / lr_of_best))) * (1 - 0.5**epoch) for epoch in range(1, 9)]
        for lr in rates
    ]
    configurations = [{"lr": lr} for lr in rates]
    return Table(mode, {"a": curves, "b": curves}, {"a": configurations, "b": configurations})


def test_the_nearest_configuration_that_is_left_answers_and_its_epochs_count() -> None:
    trainings = Trainings(Grid("max", [{"lr": 1e-4}, {"lr": 1e-3}, {"lr": 1e-2}], [[0.1, 0.2], [0.4, 0.5], [0.3, 0.6]]))
    # 4e-3 is nearer to 1e-3 than to 1e-2, but not in logarithms.
    assert [trainings.begin({"lr": lr}) for lr in (4e-3, 4e-3, 4e-3)] == [2, 1, 0]
    assert trainings.train(1, 1) == 0.4 and trainings.regret == pytest.approx(0.2)
    # The budget is a quarter of six epochs.
    assert trainings.train(1, 2) == 0.5 and trainings.regret == pytest.approx(0.2)
    assert trainings.epochs_until_found == 6 and not trainings.is_over
    assert trainings.train(2, 2) == 0.6 and trainings.is_over
    assert trainings.epochs_until_found == 3


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_sampler_finds_the_best_recorded_configuration(mode: str) -> None:
    grid, _ = make_grids(make_table(mode))
    found = {}
    for sampler in ("tpe", "sobol"):
        sweep = read_sweep(grid, sampler, "none", 3)
        found[sampler] = [search(grid, sweep, seed).epochs_until_found for seed in range(8)]
        assert found[sampler] == [search(grid, sweep, seed).epochs_until_found for seed in range(8)]
        assert len(set(found[sampler])) > 1
    assert sum(found["tpe"]) < sum(found["sobol"]) < 8 * grid.values.size
    halved = read_sweep(grid, "sobol", {"kind": "asha", "reduction_factor": 2}, 3)
    # The first epoch ranks them as the last one does.
    assert sum(search(grid, halved, seed).epochs_until_found for seed in range(8)) < sum(found["sobol"])


@pytest.mark.parametrize("peer", PEERS)
def test_peers_search_the_same_curves(peer: str) -> None:
    for grid in (*make_grids(make_table("min")), *make_grids(make_table("max", lr_of_best=1e-4))):
        runs = [PEERS[peer](grid, seed, 3) for seed in range(6)]
        assert sum(run.found_after is not None for run in runs) >= 3
        again = [PEERS[peer](grid, seed, 3).epochs_until_found for seed in range(6)]
        assert again == [run.epochs_until_found for run in runs]


def test_the_table_has_a_row_for_each_pair_and_peer(capsys: pytest.CaptureFixture[str]) -> None:
    search_all(make_table(), ["gp", "auto", "random"], ["none", "wilcoxon"], 2)
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == [
        "gp, none", "gp, wilcoxon", "auto, none", "auto, wilcoxon", "random, none", "random, wilcoxon", *PEERS,
    ]  # fmt: skip
    # The parameter is a number, so that `auto` is the GP.
    assert rows[0][1:] == rows[2][1:] and rows[0][1:] != rows[4][1:]
    assert all(len(row) == 5 for row in rows)


def test_only_numbers_above_0_are_searched() -> None:
    table = Table("max", {"a": [[0.1] * 5] * 2}, {"a": [{"width": 3}, {"width": "wide"}]})
    with pytest.raises(SystemExit, match="a: width is 'wide', and only numbers above 0 can be searched"):
        make_grids(table)

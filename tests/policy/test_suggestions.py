from pathlib import Path

import pytest

from orchestrator.policy.suggestions import Studies
from orchestrator.policy.without_results import derive_seed
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, score_of_x, told
from tests.support.spaces import noop_sweep

WIDE = {"budget": {"trials_per_arm": 24, "max_epochs": 1}, "pruning": "none"}


def xs(ledger: Ledger, arm: str) -> list[float]:
    return [float(trial.params["x"]) for trial in ledger.of_arm(arm, "search")]


def test_the_first_points_are_the_same_in_every_arm_and_spread(tmp_path: Path) -> None:
    ledger = drive(noop_sweep(tmp_path), tmp_path / "sweep")
    first, second = (xs(ledger, arm)[:3] for arm in ("arm=a", "arm=b"))
    assert first == second
    assert len({int(x * 4) for x in first}) == 3
    assert {trial.source for trial in ledger.trials.values() if trial.index < 3} == {"startup"}


def test_suggestions_after_the_first_points_depend_on_results(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, **WIDE)
    low = xs(drive(sweep, tmp_path / "low", lambda trial, epoch: -abs(float(trial.params["x"]) - 0.1)), "arm=a")
    high = xs(drive(sweep, tmp_path / "high", lambda trial, epoch: -abs(float(trial.params["x"]) - 0.9)), "arm=a")
    assert low[:3] == high[:3]
    assert sum(low[8:]) / 16 < 0.4 < 0.6 < sum(high[8:]) / 16


def test_the_same_log_gives_the_same_next_suggestion(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, **WIDE)
    live = drive(sweep, tmp_path / "sweep", steps=11)
    read_again = ledger_of(sweep, tmp_path / "sweep")
    for arm in sweep.arms:
        here, there = (Studies(sweep, ledger).suggest(arm, 6) for ledger in (live, read_again))
        assert here == there
        assert here[1] == "tpe"


def test_one_trial_at_a_time_repeats_exactly_from_its_seed(tmp_path: Path) -> None:
    once, again = (told(drive(noop_sweep(tmp_path), tmp_path / name)) for name in ("once", "again"))
    other = told(drive(noop_sweep(tmp_path, seed=8), tmp_path / "other"))
    assert once == again
    assert once != other


@pytest.mark.parametrize("kill_after", [1, 4, 9, 16])
def test_a_killed_sweep_goes_on_as_if_it_had_not_been(tmp_path: Path, kill_after: int) -> None:
    sweep = noop_sweep(tmp_path)
    undisturbed = told(drive(sweep, tmp_path / "undisturbed"))
    drive(sweep, tmp_path / "killed", steps=kill_after)
    assert told(drive(sweep, tmp_path / "killed")) == undisturbed


def test_tpe_stays_away_from_where_trials_diverge(tmp_path: Path) -> None:
    """The optimum lies beside a cliff; a trial over it reports NaN."""

    def cliff(trial: Trial, epoch: int) -> float:
        x = float(trial.params["x"])
        return float("nan") if x > 0.5 else x

    sweep = noop_sweep(tmp_path, budget={"trials_per_arm": 30, "max_epochs": 1}, pruning="none", compare=None)
    ledger = drive(sweep, tmp_path / "sweep", cliff)
    over = [trial.outcome == "diverged" for trial in ledger.trials.values()]
    assert any(over)
    assert sum(over[10:]) <= 14


def test_conditions_on_searched_parameters_are_followed(tmp_path: Path) -> None:
    params = {"arm": {"choice": ["a", "b"]}, "x": {"uniform": [0.0, 1.0], "when": {"arm": "a"}}}
    sweep = noop_sweep(tmp_path, params=params, compare=None, **WIDE)
    ledger = drive(sweep, tmp_path / "sweep", lambda trial, epoch: float(trial.params.get("x", 0.5)))
    assert {trial.params["arm"] for trial in ledger.trials.values()} == {"a", "b"}
    for trial in ledger.trials.values():
        assert ("x" in trial.params) == (trial.params["arm"] == "a")


def test_seeds_depend_on_every_part() -> None:
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert len({derive_seed(0, "a", 1), derive_seed(1, "a", 1), derive_seed(0, "b", 1), derive_seed(0, "a", 2)}) == 4


def test_score_of_x_is_best_at_its_optimum(tmp_path: Path) -> None:
    ledger = drive(noop_sweep(tmp_path, **WIDE), tmp_path / "sweep", score_of_x)
    best = max(ledger.trials.values(), key=lambda trial: trial.curve.best_row["metrics"]["val/score"])
    assert abs(float(best.params["x"]) - 0.3) < 0.1

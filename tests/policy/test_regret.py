"""`budget.stop_when.regret_below`: an arm ends when a model of its trials says that little is left to gain."""

from __future__ import annotations

import io
import random
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.terminator import RegretBoundEvaluator
from rich.console import Console

from orchestrator.commands.planning.plan import make_plan
from orchestrator.commands.resume import ResumeOptions, grant
from orchestrator.errors import SearchSpaceError
from orchestrator.overview.screen import Screen
from orchestrator.policy.regret import bound_improvement, bound_regret
from orchestrator.search_space.reader import Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.events.sweep import Bounded
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from tests.support.driving import drive, told
from tests.support.spaces import noop_sweep


def regret_sweep(folder: Path, limit: float = 0.05, trials: int = 23, **changes: Any) -> Sweep:
    """Two arms of Sobol points, which cost less than those of a model."""
    budget = {"trials_per_arm": trials, "max_epochs": 2, "stop_when": {"regret_below": limit}}
    return noop_sweep(folder, **{"budget": budget, "pruning": "none", "search": {"sampler": "sobol"}} | changes)


def smooth_and_rough(trial: Trial, epoch: int) -> float:
    """In arm a every point says what its neighbours are worth; in arm b none does."""
    x = float(trial.params["x"])
    if trial.arm == "arm=a":
        return 1 - (x - 0.3) ** 2
    return (trial.index * 0.618) % 1


def bounds_in(ledger: Ledger, arm: str) -> list[Bounded]:
    return [event for event in ledger.read_events() if isinstance(event, Bounded) and event.arm == arm]


def test_an_arm_ends_when_its_model_has_little_to_gain_also_after_kills(tmp_path: Path) -> None:
    sweep = regret_sweep(tmp_path)
    ledger = drive(sweep, tmp_path / "whole", smooth_and_rough)
    assert [len(ledger.of_arm(arm.name, "search")) for arm in sweep.arms] == [20, 23]
    (bound,) = bounds_in(ledger, "arm=a")
    assert bound.trials == 20 and 0 < bound.regret < bound.limit == 0.05
    # Each trial that ends gives the other arm another bound, but for the last one, after which there is no decision.
    assert [event.trials for event in bounds_in(ledger, "arm=b")] == [20, 21, 22]
    assert all(event.regret > 0.05 for event in bounds_in(ledger, "arm=b"))
    limit = Budget(sweep, ledger)
    assert limit.has_ended_early("arm=a") and not limit.has_ended_early("arm=b")
    assert limit.trials("arm=a") == 20 and limit.most_trials("arm=a") == 23

    for steps in (77, 2, 1, 1):
        drive(sweep, tmp_path / "killed", smooth_and_rough, steps=steps)
    killed = drive(sweep, tmp_path / "killed", smooth_and_rough)
    assert told(killed) == told(ledger)
    assert [event.regret for event in bounds_in(killed, "arm=b")] == pytest.approx(
        [event.regret for event in bounds_in(ledger, "arm=b")]
    )


def test_the_plan_and_the_results_say_why_an_arm_ends(tmp_path: Path) -> None:
    sweep = regret_sweep(tmp_path, compare={"arm": ["a"]})
    note = "an arm gets no more trials once a model of 20 trials or more says that val/score can still improve by less"
    assert f"{note} than 0.05 (budget.stop_when)" in make_plan(sweep).notes
    ledger = drive(sweep, tmp_path / "sweep", smooth_and_rough)
    output = io.StringIO()
    Screen(Console(file=output, width=300)).print_results(sweep, ledger)
    (bound,) = bounds_in(ledger, "arm=a")
    assert (
        "arm=a: ended after 20 of 23 trials, since by a model of 20 trials, val/score can still improve by at most "
        f"{bound.regret:.2g} (budget.stop_when)."
    ) in output.getvalue()


def test_an_arm_has_the_trials_that_it_is_granted_and_then_ends_again(tmp_path: Path) -> None:
    sweep = regret_sweep(tmp_path, compare={"arm": ["a"]})
    ledger = drive(sweep, tmp_path / "sweep", smooth_and_rough)
    assert ledger.final_bound("arm=a") is not None
    grant(sweep, ledger, Screen(), ResumeOptions(trials=2), ["arm=a"])
    assert ledger.final_bound("arm=a") is None
    ledger = drive(sweep, tmp_path / "sweep", smooth_and_rough)
    assert len(ledger.trials) == 22 and Budget(sweep, ledger).has_ended_early("arm=a")
    stricter = regret_sweep(tmp_path, limit=1e-12, compare={"arm": ["a"]})
    assert not Budget(stricter, ledger).has_ended_early("arm=a")


def test_the_bound_counts_trials_in_both_directions_and_those_that_were_pruned(tmp_path: Path) -> None:
    bounds = []
    for mode, sign in (("max", 1), ("min", -1)):
        metric = "val/score" if mode == "max" else "val/error"
        changes = {"objective": {"metric": metric, "mode": mode}, "compare": {"arm": ["a"]}}
        pruning = {"grace_epochs": 1, "reduction_factor": 2}
        sweep = regret_sweep(tmp_path, 1e-12, 22, pruning=pruning, **changes)

        def score(trial: Trial, epoch: int, sign: int = sign) -> float:
            return sign * (smooth_and_rough(trial, epoch) - 0.5**epoch)

        ledger = drive(sweep, tmp_path / mode, score)
        assert {trial.outcome for trial in ledger.trials.values()} == {"completed", "pruned"}
        bounds.append([event.regret for event in bounds_in(ledger, "arm=a")])
        assert bound_regret(sweep, ledger, sweep.arms[0]) is not None
    assert len(bounds[0]) == 2 and bounds[0] == pytest.approx(bounds[1])


@pytest.mark.parametrize("direction", [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE])
@pytest.mark.parametrize("count", [30, 250])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_bound_is_not_below_what_is_left_to_gain(size: int, count: int, direction: StudyDirection) -> None:
    sign = 1 if direction == StudyDirection.MAXIMIZE else -1
    distributions: dict[str, BaseDistribution] = {f"p{index}": FloatDistribution(0, 1) for index in range(size)}
    optuna_holds = []
    for seed in range(2):
        draw = random.Random(f"{size} {count} {seed}")
        points = [{name: draw.random() for name in distributions} for _ in range(count)]
        values = [-sum((value - 0.5) ** 2 for value in point.values()) for point in points]
        trials = [
            optuna.trial.create_trial(params=point, distributions=distributions, value=sign * value)
            for point, value in zip(points, values, strict=True)
        ]
        regret = -max(values)
        assert regret <= bound_improvement(trials, direction, seed=seed) < 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            evaluator = RegretBoundEvaluator(seed=seed)
        optuna_holds.append(regret <= evaluator.evaluate(trials, direction))
    if (size, count) == (4, 250):
        assert not any(optuna_holds), "if its bounds hold, its public evaluator can replace ours"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"params": {f"x{index}": {"uniform": [0.0, 1.0]} for index in range(5)}},
            "needs 4 searched parameters at most, since its bound does not hold for more, and arm arm=a has 5",
        ),
        (
            {"budget": {"trials_per_arm": 20, "max_epochs": 2, "stop_when": {"regret_below": 0.1}}},
            "needs more than 20 trials an arm and at most 250, got budget.trials_per_arm 20; use no_better_for",
        ),
        ({"search": {"sampler": "grid"}, "params": {"x": {"quniform": [0, 1, 0.01]}}}, "grid tries its own points"),
        (
            {"objective": {"metric": "val/score", "mode": "max", "beside": {"val/error": "min"}}, "search": {}},
            "bounds one objective, and there are 2",
        ),
        ({"params": {"x": {"choice": [0.1, 0.2]}}}, "needs parameters that are numbers, and x is a choice"),
        ({"params": {"x": 0.1}}, "needs a searched parameter, and nothing is searched in arm arm=a"),
        (
            {"params": {"epoch_s": {"int": [0, 1]}, "x": {"uniform": [0.0, 1.0], "when": {"epoch_s": 1}}}},
            "needs parameters that every trial has, and x exists under a condition only",
        ),
        (
            {"budget": {"trials_per_arm": 30, "max_epochs": 2, "stop_when": {}}},
            "needs no_better_for or regret_below, such as {no_better_for: 12}",
        ),
        ({"budget": {"trials_per_arm": 30, "max_epochs": 2, "stop_when": {"regret_below": 0}}}, "regret_below"),
    ],
)
def test_a_space_without_a_model_is_refused_before_anything_starts(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        regret_sweep(tmp_path, **changes)
    assert [line for line in raised.value.lines if "budget.stop_when" in line and message in line], raised.value.lines

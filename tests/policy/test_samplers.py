"""Every sampler: what it proposes, that a kill changes nothing, and what it refuses."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.planning.plan import make_plan
from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import SearchSpaceError, UserError
from orchestrator.overview.screen import Screen
from orchestrator.policy import forecast
from orchestrator.policy.evolution import propose
from orchestrator.policy.forecast import forecast_values
from orchestrator.policy.suggestions import Studies
from orchestrator.search_space.domains import Int, LogInt, LogUniform, QUniform, Uniform
from orchestrator.search_space.reader import Sweep
from orchestrator.search_space.sampler_choice import choose_sampler
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, told
from tests.support.spaces import noop_sweep

SAMPLER_FILE = """
import optuna

class Middle(optuna.samplers.BaseSampler):
    '''Proposes the mean of the best two trials.'''

    def __init__(self, seed=None):
        self.seed = seed

    def infer_relative_search_space(self, study, trial):
        return optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(self, study, trial, search_space):
        complete = [other for other in study.get_trials(deepcopy=False) if other.state.name == "COMPLETE"]
        best = sorted(complete, key=lambda other: -other.value)[:2]
        return {name: sum(other.params[name] for other in best) / len(best) for name in search_space}

    def sample_independent(self, study, trial, name, distribution):
        return distribution.low
"""
NUMBERS = {"x": {"uniform": [0.0, 1.0]}, "epoch_s": {"loguniform": [1e-6, 1e-4]}}
STEPS = {"x": {"quniform": [0.0, 1.0, 0.1]}, "arm": {"choice": ["a", "b"]}}
FAST = {"budget": {"trials_per_arm": 10, "max_epochs": 3}, "pruning": {"grace_epochs": 1, "reduction_factor": 2}}


def sampler_sweep(folder: Path, sampler: str, **changes: Any) -> Sweep:
    params = STEPS if sampler == "grid" else NUMBERS
    compare = None if sampler == "grid" else {"arm": ["a", "b"]}
    if sampler == "custom":
        sampler = str(folder / "middle.py")
        (folder / "middle.py").write_text(SAMPLER_FILE)
    search = {"sampler": sampler, "startup_trials": 3}
    return noop_sweep(folder, **{"search": search, "params": params, "compare": compare} | FAST | changes)


def sources(ledger: Ledger) -> list[str]:
    return [trial.source for trial in ledger.trials.values()]


@pytest.mark.parametrize("sampler", ["auto", "gp", "cmaes", "sobol", "random", "grid", "custom"])
def test_a_kill_changes_no_suggestion(tmp_path: Path, sampler: str) -> None:
    sweep = sampler_sweep(tmp_path, sampler)
    undisturbed = told(drive(sweep, tmp_path / "undisturbed"))
    drive(sweep, tmp_path / "killed", steps=14)
    drive(sweep, tmp_path / "killed", steps=6)
    assert told(drive(sweep, tmp_path / "killed")) == undisturbed
    by_source = {"auto": "gp"}.get(sampler, sampler)
    assert {source for _, _, source, *_ in undisturbed} == {by_source} | (
        set() if sampler in ("sobol", "random", "grid") else {"startup"}
    )


@pytest.mark.parametrize("sampler", ["gp", "cmaes"])
def test_suggestions_are_drawn_to_where_trials_were_better(tmp_path: Path, sampler: str) -> None:
    budget = {"trials_per_arm": 30, "max_epochs": 1}
    sweep = sampler_sweep(tmp_path, sampler, budget=budget, pruning="none", compare=None)
    for optimum in (0.15, 0.85):
        folder = tmp_path / f"{sampler} {optimum}"
        ledger = drive(sweep, folder, lambda trial, epoch, best=optimum: -abs(float(trial.params["x"]) - best))
        late = [float(trial.params["x"]) for trial in ledger.trials.values()][20:]
        assert abs(sum(late) / len(late) - optimum) < 0.12


def test_a_later_trial_of_the_users_does_not_move_where_cmaes_began(tmp_path: Path) -> None:
    """It began anew around each new best of the other trials, and was told of generations around the old one."""
    budget = {"trials_per_arm": 14, "max_epochs": 1}
    sweep = sampler_sweep(tmp_path, "cmaes", budget=budget, pruning="none", compare=None)
    ledger = drive(sweep, tmp_path / "sweep", lambda trial, epoch: -abs(float(trial.params["x"]) - 0.4))
    (arm,) = sweep.arms
    trials = ledger.of_arm(arm.name, "search")
    values = {trial.number: trial.best_value or 0.0 for trial in trials}
    before = propose(arm, trials, values, ledger.objective, arm_seed=1, seed=2)
    later = replace(trials[0], number=99, searched={**trials[0].searched, "x": 0.9}, asked_ms=2**60, ended_ms=2**60)
    assert propose(arm, [*trials, later], values | {99: 1.0}, ledger.objective, arm_seed=1, seed=2) == before
    earlier = replace(later, asked_ms=0, ended_ms=0)
    assert propose(arm, [earlier, *trials], values | {99: 1.0}, ledger.objective, arm_seed=1, seed=2) != before


def test_points_without_results_are_the_same_in_every_arm(tmp_path: Path) -> None:
    for sampler in ("sobol", "random"):
        ledger = drive(sampler_sweep(tmp_path, sampler), tmp_path / sampler)
        first, second = ([trial.params["x"] for trial in ledger.of_arm(f"arm={arm}", "search")] for arm in "ab")
        assert first == second and len(set(first)) == 10
    startup = drive(sampler_sweep(tmp_path, "tpe"), tmp_path / "tpe")
    sobol = drive(sampler_sweep(tmp_path, "sobol"), tmp_path / "sobol")
    for number in range(1, 7):
        assert startup.trials[number].params == sobol.trials[number].params


def test_a_grid_has_every_point_once(tmp_path: Path) -> None:
    params = STEPS | {"epoch_s": {"quniform": [0.0, 0.001, 0.001], "when": {"arm": "b"}}}
    sweep = sampler_sweep(
        tmp_path, "grid", params=params, budget={"trials_per_arm": 33, "max_epochs": 1}, pruning="none"
    )
    ledger = drive(sweep, tmp_path / "grid")
    points = [tuple(sorted(trial.searched.items())) for trial in ledger.trials.values()]
    assert len(set(points)) == 33
    assert sum("epoch_s" in trial.searched for trial in ledger.trials.values()) == 22
    # A part of the grid is spread over it.
    assert len({trial.searched["x"] for trial in list(ledger.trials.values())[:12]}) >= 6


def test_a_grid_has_every_point_beside_trials_of_ones_own(tmp_path: Path) -> None:
    budget = {"trials_per_arm": 23, "max_epochs": 1}
    sweep = sampler_sweep(tmp_path, "grid", trials=[{"x": 0.5, "arm": "a"}], budget=budget, pruning="none")
    ledger = drive(sweep, tmp_path / "killed", steps=9)
    ledger = drive(sweep, tmp_path / "killed")
    assert sources(ledger) == ["own"] + ["grid"] * 22
    assert len({tuple(trial.searched.items()) for trial in list(ledger.trials.values())[1:]}) == 22


def test_what_a_users_sampler_raises_ends_the_sweep_with_its_name(empty_database: Path, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    (tmp_path / "broken.py").write_text(SAMPLER_FILE.replace("complete = [", "complete = undefined + ["))
    sweep = sampler_sweep(tmp_path, "./broken.py", compare=None)
    with pytest.raises(UserError) as raised:
        run_sweep(sweep, tmp_path, Screen())
    assert f"{tmp_path / 'broken.py'}: raised NameError: name 'undefined' is not defined" in str(raised.value)
    assert "in sample_relative" in (tmp_path / "tiny" / "driver.log").read_text()


def test_the_gp_knows_of_the_trials_that_run(tmp_path: Path) -> None:
    sweep = sampler_sweep(tmp_path, "gp", compare=None)
    ledger = drive(sweep, tmp_path / "sweep", steps=12)
    arm, studies = sweep.arms[0], Studies(sweep, ledger)
    index = len(ledger.of_arm("all", "search"))
    first, _ = studies.suggest(arm, index)
    fields = {"arm": "all", "index": index, "stage": "search", "source": "gp", "of": None, "seed": 1, "compared": {}}
    ledger.ask(**fields, searched=first, params=first)
    second, _ = studies.suggest(arm, index + 1)
    assert second != first
    assert Studies(sweep, ledger_of(sweep, tmp_path / "sweep")).suggest(arm, index + 1)[0] == second


def test_a_pruned_trial_counts_as_what_it_would_have_reached(tmp_path: Path) -> None:
    curves = {0: [0.1, 0.5, 0.6], 1: [0.2, 0.55, 0.8], 2: [0.05], 3: [float("nan")], 4: [0.08]}

    def score(trial: Trial, epoch: int) -> float:
        return curves[trial.index][epoch - 1]

    sweep = sampler_sweep(tmp_path, "sobol", compare=None, budget={"trials_per_arm": 5, "max_epochs": 3})
    ledger = drive(sweep, tmp_path / "sweep", score)
    outcomes = [trial.outcome for trial in ledger.trials.values()]
    assert outcomes == ["completed", "completed", "pruned", "diverged", "pruned"]
    values = forecast_values(list(ledger.trials.values()), ledger.objective)
    # After the first epoch the complete trials gained 0.5 and 0.6. The trial that diverged counts as the worst.
    assert values == pytest.approx({1: 0.6, 2: 0.8, 3: 0.05 + 0.55, 4: 0.6, 5: 0.08 + 0.55})


def test_the_median_gain_is_computed_once_for_each_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = {"trials_per_arm": 60, "max_epochs": 9}
    sweep = sampler_sweep(tmp_path, "sobol", compare=None, budget=budget)
    ledger = drive(sweep, tmp_path / "sweep", lambda trial, epoch: (trial.index * 0.37 % 1) * (1 - 0.6**epoch))
    trials = list(ledger.trials.values())
    curves = [
        {epoch: best for epoch, _, best in trial.curve.best_so_far(ledger.objective)}
        for trial in trials
        if trial.outcome == "completed"
    ]
    best = max(curve[9] for curve in curves)
    expected = {}
    for trial in trials:
        assert trial.best_value is not None
        gain = statistics.median(curve[9] - curve[trial.epochs] for curve in curves)
        expected[trial.number] = min(trial.best_value + gain, best)
    counted: list[int] = []

    def count(gains: list[float]) -> float:
        counted.append(len(gains))
        return statistics.median(gains)

    monkeypatch.setattr(forecast, "median", count)
    values = forecast_values(trials, ledger.objective)
    # To the last bit.
    assert values == expected
    epochs = {trial.epochs for trial in trials if trial.outcome == "pruned"}
    assert len(epochs) > 1 and counted == [len(curves)] * len(epochs)


@pytest.mark.parametrize(
    "domain",
    [
        Uniform(low=-2, high=3),
        LogUniform(low=1e-4, high=1),
        QUniform(low=0.1, high=0.9, q=0.2),
        Int(low=-3, high=5),
        LogInt(low=1, high=300),
    ],
    ids=str,
)
def test_the_quantile_of_a_value_gives_the_value(domain: Any) -> None:
    from orchestrator.policy.evolution import _quantile

    for u in (0.0, 0.2, 0.5, 0.77, 0.999):
        value = domain.at(u)
        assert domain.at(min(_quantile(domain, value), 0.999999)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("changes", "chosen", "why"),
    [
        ({}, "GP", "its parameters are few and numeric"),
        ({"params": {"x": {"choice": [0.1, 0.2]}}}, "TPE", "x is a choice"),
        (
            {
                "params": {"arm": {"choice": ["a", "b"]}, "x": {"uniform": [0.0, 1.0], "when": {"arm": "a"}}},
                "compare": None,
            },
            "TPE",
            "x exists under a condition only",
        ),
        ({"budget": {"trials_per_arm": 300, "max_epochs": 3}}, "TPE", "300 trials an arm are more than 250"),
    ],
)
def test_a_plan_says_what_auto_chooses_and_why(tmp_path: Path, changes: dict[str, Any], chosen: str, why: str) -> None:
    plan = make_plan(sampler_sweep(tmp_path, "auto", **changes))
    assert f"search.sampler auto chooses {chosen}: {why}" in plan.notes
    assert {arm.sampler for arm in plan.arms} == {chosen}
    assert chosen in str(plan)


def test_an_arm_keeps_the_sampler_that_auto_has_chosen(tmp_path: Path) -> None:
    few, many = {"trials_per_arm": 5, "max_epochs": 1}, {"trials_per_arm": 251, "max_epochs": 1}
    small = sampler_sweep(tmp_path, "auto", compare=None, budget=few, pruning="none")
    drive(small, tmp_path / "sweep")
    large = sampler_sweep(tmp_path, "auto", compare=None, budget=many, pruning="none")
    assert choose_sampler(large.space, large.arms[0]).name == "tpe"
    # The budget in the file has grown, and GP goes on.
    assert sources(drive(large, tmp_path / "sweep", steps=2)) == ["startup"] * 3 + ["gp"] * 5
    assert sources(drive(large, tmp_path / "afresh", steps=4)) == ["startup"] * 3 + ["tpe"] * 2
    # A sweep that has changed its sampler before goes on with the one that it has now.
    assert sources(drive(small, tmp_path / "afresh")) == ["startup"] * 3 + ["tpe"] * 2
    larger = sampler_sweep(tmp_path, "auto", compare=None, budget=few | {"trials_per_arm": 7}, pruning="none")
    assert sources(drive(larger, tmp_path / "afresh"))[3:] == ["tpe"] * 4


def test_a_plan_has_no_startup_trials_where_nothing_is_learned(tmp_path: Path) -> None:
    plan = make_plan(sampler_sweep(tmp_path, "sobol"))
    assert [(arm.startup, arm.proposed, arm.sampler) for arm in plan.arms] == [(0, 10, "Sobol")] * 2


@pytest.mark.parametrize(
    ("sampler", "changes", "message"),
    [
        ("gaussian", {}, "unknown sampler 'gaussian'"),
        (
            "gp",
            {
                "params": {"arm": {"choice": ["a", "b"]}, "x": {"uniform": [0.0, 1.0], "when": {"arm": "a"}}},
                "compare": None,
            },
            "gp can't search x, which exists under a condition only; use tpe or auto",
        ),
        ("cmaes", {"params": {"x": {"uniform": [0.0, 1.0]}}}, "cmaes needs two parameters or more, got x in arm arm=a"),
        (
            "cmaes",
            {"params": NUMBERS | {"x": {"choice": [0.0, 1.0]}}},
            "cmaes searches numbers, and x in arm arm=a is a choice",
        ),
        ("grid", {"params": NUMBERS}, "grid needs choice, quniform, int or logint, and epoch_s, x can have any number"),
        (
            "grid",
            {"budget": {"trials_per_arm": 23, "max_epochs": 3}},
            "the grid has 22 points, fewer than budget.trials_per_arm (23)",
        ),
        (
            "grid",
            {"budget": {"trials_per_arm": 24, "max_epochs": 3}, "trials": [{"x": 0.5}]},
            "the grid has 22 points and trials has 1 more, fewer than budget.trials_per_arm (24)",
        ),
        ("./none.py", {}, "none.py: no such file"),
    ],
)
def test_a_sampler_that_can_t_search_the_space_is_one_message(
    tmp_path: Path, sampler: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        sampler_sweep(tmp_path, sampler, **changes)
    assert [message in line for line in raised.value.lines] == [True]
    assert "search.sampler" in raised.value.lines[0]


def test_a_file_without_a_sampler_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("import optuna\n")
    (tmp_path / "wants.py").write_text(SAMPLER_FILE.replace("seed=None", "seed, more"))
    for name, message in (
        ("empty", "must define exactly one subclass of optuna.samplers.BaseSampler, got none"),
        ("wants", "every other argument needs a default"),
    ):
        with pytest.raises(SearchSpaceError, match=message):
            sampler_sweep(tmp_path, str(tmp_path / f"{name}.py"))

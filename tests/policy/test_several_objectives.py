"""`objective.beside`: a search for a front, its suggestions after a kill, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.planning.plan import make_plan
from orchestrator.errors import SearchSpaceError
from orchestrator.policy.forecast import forecast_points, forecast_values
from orchestrator.policy.suggestions import Studies
from orchestrator.search_space.reader import Sweep
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import trial_folder
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, told
from tests.support.engine_rig import EngineRig
from tests.support.spaces import NOOP, noop_sweep

BOTH = {"metric": "val/score", "mode": "max", "beside": {"val/error": "min"}}
SILENT_NOOP = (
    NOOP.read_text()
    + """
    @classmethod
    def reported(cls, config):
        return [name for name in cls.METRICS if config.arm == "a" or name == "val/score"]
"""
)
NUMBERS = {"x": {"uniform": [0.0, 1.0]}, "epoch_s": {"loguniform": [1e-6, 1e-4]}}


def front_sweep(folder: Path, sampler: str = "tpe", **changes: Any) -> Sweep:
    given = {
        "objective": BOTH,
        "params": NUMBERS,
        "search": {"sampler": sampler, "startup_trials": 3},
        "budget": {"trials_per_arm": 9, "max_epochs": 3},
    }
    return noop_sweep(folder, **given | changes)


def opposed(trial: Trial, epoch: int) -> tuple[float, float]:
    """The score is best at x = 1, the error at x = 0; every value of x is on the front if the rest is right."""
    x, effort = float(trial.params["x"]), float(trial.params["epoch_s"])
    waste = abs(effort - 1e-5) * 1e4
    return x - waste - 0.5**epoch, x**2 + waste


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_kill_changes_no_suggestion(tmp_path: Path, sampler: str) -> None:
    sweep = front_sweep(tmp_path, sampler, budget={"trials_per_arm": 6, "max_epochs": 3})
    undisturbed = drive(sweep, tmp_path / "undisturbed", opposed)
    for steps in (14, 11):
        drive(sweep, tmp_path / "killed", opposed, steps=steps)
    killed = drive(sweep, tmp_path / "killed", opposed)
    assert told(killed) == told(undisturbed)
    assert killed.front_places() == undisturbed.front_places() != {}
    assert "pruned" in {trial.outcome for trial in killed.trials.values()}


def test_a_study_that_ran_on_suggests_what_one_from_the_log_does(tmp_path: Path) -> None:
    sweep = front_sweep(tmp_path)
    ledger = drive(sweep, tmp_path / "sweep", opposed, steps=30)
    arm = sweep.arms[0]
    index = len(ledger.of_arm(arm.name, "search"))
    studies = Studies(sweep, ledger)
    first = studies.suggest(arm, index)
    assert (
        studies.suggest(arm, index) == first == Studies(sweep, ledger_of(sweep, tmp_path / "sweep")).suggest(arm, index)
    )
    assert first[1] == "tpe"


def hypervolume(ledger: Ledger, worst: tuple[float, float] = (-1.0, 2.0)) -> float:
    """The area that the front dominates, down to a point that is worse than all."""
    points = sorted((-x, e) for x, e in (opposed(trial, trial.epochs) for trial in ledger.trials.values()))
    area, height = 0.0, worst[1]
    for negative_score, error in points:
        if error < height and -negative_score > worst[0]:
            area += (-negative_score - worst[0]) * (height - error)
            height = error
    return area


def test_tpe_searches_for_the_whole_front(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "compare": None,
        "pruning": "none",
        "budget": {"trials_per_arm": 30, "max_epochs": 1},
        "params": NUMBERS | {"epoch_s": {"uniform": [1e-6, 1e-4]}},
    }
    searched = drive(front_sweep(tmp_path, **changes), tmp_path / "tpe", opposed)
    drawn = drive(front_sweep(tmp_path, "random", **changes), tmp_path / "random", opposed)
    assert hypervolume(searched) > hypervolume(drawn)
    late = [float(searched.trials[number].params["x"]) for number in searched.front_places() if number > 10]
    # Not only one end of it.
    assert min(late) < 0.35 and max(late) > 0.65


def test_a_pruned_trial_counts_with_its_forecast_and_a_diverged_one_with_the_worst(tmp_path: Path) -> None:
    def score(trial: Trial, epoch: int) -> tuple[float, float]:
        if trial.index == 4:
            return (10.0, opposed(trial, 1)[1]) if epoch == 1 else (float("nan"), 0.0)
        return opposed(trial, epoch)

    sweep = front_sweep(tmp_path, compare=None)
    ledger = drive(sweep, tmp_path / "sweep", score)
    trials = list(ledger.trials.values())
    points = forecast_points(trials, ledger.objective)
    assert {number: point[0] for number, point in points.items()} == forecast_values(trials, ledger.objective)
    errors = {trial.number: opposed(trial, 1)[1] for trial in trials}
    assert trials[4].outcome == "diverged"
    for trial in trials:
        is_ranked = trial.outcome in ("completed", "pruned")
        ranked = [errors[other.number] for other in trials if other.outcome in ("completed", "pruned")]
        assert points[trial.number][1] == pytest.approx(errors[trial.number] if is_ranked else max(ranked))
    assert 5 not in ledger.front_places()


def test_a_trial_that_is_never_feasible_is_not_on_the_front(tmp_path: Path) -> None:
    constrained = BOTH | {"constraints": {"val/error": {"max": 0.5}}}
    sweep = front_sweep(tmp_path, objective=constrained, pruning="none", compare=None)
    ledger = drive(sweep, tmp_path / "sweep", opposed)
    infeasible = {trial.number for trial in ledger.trials.values() if trial.is_infeasible(ledger.objective)}
    places = ledger.front_places()
    assert infeasible and places and not infeasible & places.keys()
    unbound = drive(front_sweep(tmp_path, pruning="none", compare=None), tmp_path / "unbound", opposed)
    assert max(float(trial.params["x"]) for trial in unbound.trials.values()) > 0.8
    assert set(unbound.front_places()) & {
        number for number, trial in unbound.trials.items() if opposed(trial, 3)[1] > 0.5
    }


def test_the_point_of_a_trial_is_at_one_epoch(tmp_path: Path) -> None:
    """The error is best in the first epoch, the score in the last one; no epoch has both."""

    def score(trial: Trial, epoch: int) -> tuple[float, float]:
        return float(epoch), float(epoch + trial.index)

    sweep = front_sweep(tmp_path, pruning="none", compare=None)
    ledger = drive(sweep, tmp_path / "sweep", score)
    assert ledger.trials[1].point(ledger.objective) == (3.0, -3.0)
    assert ledger.front_places() == {1: "sweep"}


def test_a_pruned_trial_on_the_front_keeps_its_checkpoint(tmp_path: Path) -> None:
    rig = EngineRig(front_sweep(tmp_path, compare=None), tmp_path / "runs" / "tiny")
    # The first trial goes on; the second is weak and has the least error; the third is weak in both.
    kept = []
    for score in ((0.9, 0.9), (0.2, 0.1), (0.1, 0.5)):
        trial = rig.hand_out()
        assert trial is not None
        best = trial_folder(rig.folder, trial.number) / "checkpoint" / "best.pt"
        best.parent.mkdir(parents=True)
        best.touch()
        is_over = rig.epoch(trial, score)
        kept.append((is_over, best.exists()))
    assert kept == [(False, True), (True, True), (True, False)]
    assert rig.ledger.front_places() == {2: "sweep"}


def test_a_plan_warns_that_pruning_goes_by_one_objective(tmp_path: Path) -> None:
    notes = "\n".join(make_plan(front_sweep(tmp_path)).notes)
    assert "goes by val/score alone" in notes
    assert "goes by" not in "\n".join(make_plan(front_sweep(tmp_path, pruning="none")).notes)
    chosen = "\n".join(make_plan(front_sweep(tmp_path, "auto")).notes)
    assert "auto chooses GP" in chosen


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"objective": BOTH | {"beside": {"val/eror": "min"}}},
            "unknown metric 'val/eror' (did you mean 'val/error'?)",
        ),
        ({"objective": BOTH | {"beside": {"val/score": "max"}}}, "has val/score twice"),
        ({"objective": BOTH | {"beside": {"val/error": "max"}}}, "val/error is better when it is min, got max"),
        ({"objective": BOTH | {"beside": {"val/error": "least"}}}, "'least'"),
        (
            {"objective": BOTH | {"beside": {f"val/m{n}": "min" for n in range(3)}}},
            "has 4 objectives, and 3 are allowed",
        ),
        ({"search": {"sampler": "cmaes"}}, "cmaes searches for one objective, and there are 2; use tpe or auto"),
        (
            {"budget": {"seeds": 2, "max_epochs": 2}, "params": {"x": 0.5}, "pruning": "none", "search": {}},
            "makes a front of the trials of a search, and budget.seeds searches nothing",
        ),
    ],
)
def test_what_makes_no_front_is_one_message(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        front_sweep(tmp_path, **changes)
    assert [message in line for line in raised.value.lines] == [True], raised.value.lines


def test_votes_and_further_objectives_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        front_sweep(tmp_path, objective=BOTH | {"preference": True}, pruning="none")
    message = "objective.beside: has values of metrics, and objective.preference orders by votes; leave it out"
    assert any(message in line for line in raised.value.lines)


def test_every_arm_has_to_report_every_objective(tmp_path: Path) -> None:
    (tmp_path / "silent.py").write_text(SILENT_NOOP)
    with pytest.raises(SearchSpaceError) as raised:
        front_sweep(tmp_path, trainable="./silent.py")
    (line,) = raised.value.lines
    assert "objective.beside.val/error: arm arm=b does not report val/error; it reports: val/score" in line

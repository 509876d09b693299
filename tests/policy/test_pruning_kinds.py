"""`pruning.kind`: PASHA's top rung, the median of the others, and patience; a kill changes no decision."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from ray.tune.schedulers import MedianStoppingRule

from orchestrator.commands.planning.plan import make_plan
from orchestrator.errors import SearchSpaceError
from orchestrator.policy import ranking
from orchestrator.policy.agenda import Agenda
from orchestrator.policy.frozen_trials import STATES
from orchestrator.policy.ranking import MAX_TRIALS_OF_NOISE, estimate_noise, is_ranking_stable
from orchestrator.search_space.reader import Sweep
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, told
from tests.support.spaces import noop_sweep

PASHA = {"kind": "pasha", "grace_epochs": 1, "reduction_factor": 2}
MEDIAN = {"kind": "median", "grace_epochs": 2, "min_trials": 3}
PATIENT = {"kind": "patient", "patience": 3}
WILCOXON = {"kind": "wilcoxon"}


def sweep_of(folder: Path, pruning: dict[str, Any], trials: int = 12, epochs: int = 16, **changes: Any) -> Sweep:
    budget = {"trials_per_arm": trials, "max_epochs": epochs}
    return noop_sweep(folder, **{"compare": None, "budget": budget, "pruning": pruning} | changes)


def steady(trial: Trial, epoch: int) -> float:
    """The first epoch ranks the trials as the last one does."""
    return (trial.index * 0.37 % 1) * (1 - 0.5**epoch)


def crossing(trial: Trial, epoch: int) -> float:
    """Every rung has another ranking."""
    return epoch + (trial.index * 0.37 + epoch.bit_length() * 0.29) % 1


def wavy(trial: Trial, epoch: int) -> float:
    return trial.index * 0.61 % 1 + 0.4 * float(np.sin(trial.index + epoch))


def test_pasha_raises_the_top_rung_only_while_the_ranking_changes(tmp_path: Path) -> None:
    calm = drive(sweep_of(tmp_path, PASHA), tmp_path / "calm", steady)
    assert calm.top_rungs == {}
    epochs = sorted(trial.epochs for trial in calm.trials.values())
    # Nobody passes the second rung but the best trial, which trains to the end.
    assert epochs[-1] == 16 and epochs[-2] == 2
    best = max(calm.trials.values(), key=lambda trial: steady(trial, 16))
    assert best.outcome == "completed"
    waiting = [trial for trial in calm.trials.values() if trial.epochs == 2]
    assert waiting and all("waits at the top rung" in trial.reason for trial in waiting)

    wild = drive(sweep_of(tmp_path, PASHA), tmp_path / "wild", crossing)
    assert wild.top_rungs["all"] > 2
    asha = drive(sweep_of(tmp_path, PASHA | {"kind": "asha", "promote": True}), tmp_path / "asha", steady)
    assert sum(epochs) < sum(trial.epochs for trial in asha.trials.values())


def test_arms_have_top_rungs_of_their_own_unless_they_share_all(tmp_path: Path) -> None:
    def score(trial: Trial, epoch: int) -> float:
        return crossing(trial, epoch) if trial.arm == "arm=a" else steady(trial, epoch)

    apart = drive(sweep_of(tmp_path, PASHA, compare={"arm": ["a", "b"]}), tmp_path / "apart", score)
    assert set(apart.top_rungs) == {"arm=a"}
    shared = PASHA | {"across_arms": True}
    together = drive(sweep_of(tmp_path, shared, compare={"arm": ["a", "b"]}), tmp_path / "together", score)
    assert set(together.top_rungs) == {""}


def test_a_ranking_is_stable_apart_from_the_noise_of_crossing_curves() -> None:
    swapped = [[0.5, 0.5, 0.40], [0.4, 0.4, 0.41]]
    assert not is_ranking_stable(swapped, below=1)
    assert is_ranking_stable([[0.5, 0.5, 0.41], [0.4, 0.4, 0.40]], below=1)
    assert is_ranking_stable(swapped[:1], below=1)
    # The second and the third trial cross twice, at a distance of 0.2 in the end.
    noisy = np.array([[9.0, 9.0, 9.0], [1.1, 1.0, 1.2], [1.0, 1.1, 1.0]])
    assert estimate_noise(noisy) == pytest.approx(0.2)
    assert estimate_noise(np.array(swapped)) == 0.0
    assert is_ranking_stable([[1.1, 1.0, 1.2], [1.0, 1.1, 1.0]], below=2)


def noise_of_all_pairs(losses: np.ndarray) -> float:
    """The noise from arrays of all pairs at once."""
    order = np.zeros((len(losses), len(losses)))
    crossings = np.zeros(order.shape, dtype=int)
    for values in losses.T:
        signs = np.sign(values[:, None] - values)
        crossings += (signs * order) < 0
        order = np.where(signs == 0, order, signs)
    distances = np.abs(losses[:, None, -1] - losses[:, -1])[np.triu(crossings >= 2)]
    return float(np.quantile(distances, 0.9)) if distances.size else 0.0


@pytest.mark.parametrize("block", [1, 7, 256])
@pytest.mark.parametrize("levels", [3, 40, 10**9])
def test_the_noise_is_that_of_all_pairs(monkeypatch: pytest.MonkeyPatch, block: int, levels: int) -> None:
    """Few levels make most values equal; the noise is the same to the last bit, however many trials are compared."""
    monkeypatch.setattr(ranking, "BLOCK", block)
    assert estimate_noise(np.empty((0, 3))) == 0.0
    noises = set()
    for seed in range(20):
        generator = np.random.default_rng(seed)
        losses = generator.integers(levels, size=(generator.integers(1, 60), generator.integers(1, 12))) / 7
        if seed % 2:
            losses = np.minimum.accumulate(losses, axis=1)
        noise = estimate_noise(losses)
        assert noise == noise_of_all_pairs(losses)
        noises.add(noise)
    assert len(noises) > 1


@pytest.mark.parametrize("spread", [0.02, 0.2, 1.0])
def test_a_ranking_is_judged_as_with_the_noise_of_all_pairs(spread: float) -> None:
    verdicts = set()
    for seed in range(60):
        generator = np.random.default_rng(seed)
        # Differences between trials, and a noise that is small beside them, or large.
        losses = generator.random((2 + seed % 9, 1)) + spread * generator.random((2 + seed % 9, 9))
        ordered = losses[np.argsort(losses[:, -1], kind="stable"), 2]
        expected = bool(np.all(np.abs(ordered - np.sort(losses[:, 2])) <= noise_of_all_pairs(losses)))
        assert is_ranking_stable(losses.tolist(), below=3) == expected
        verdicts.add(expected)
    assert verdicts == {True, False}


def test_noise_is_estimated_from_the_newest_trials_and_only_where_it_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[np.ndarray] = []

    def note(losses: np.ndarray) -> float:
        compared.append(losses)
        return estimate_noise(losses)

    monkeypatch.setattr(ranking, "estimate_noise", note)
    steady_losses = np.arange(700.0)[:, None] - np.arange(3.0)
    assert is_ranking_stable(steady_losses.tolist(), below=1)
    assert not compared
    swapped = steady_losses.copy()
    swapped[[0, 1], 2] = swapped[[1, 0], 2]
    assert not is_ranking_stable(swapped.tolist(), below=1)
    assert MAX_TRIALS_OF_NOISE == 500
    assert [losses.tolist() for losses in compared] == [swapped[200:].tolist()]


@pytest.mark.parametrize("across_arms", [False, True])
def test_the_median_rule_decides_as_rays_does(tmp_path: Path, across_arms: bool) -> None:
    pruning = MEDIAN | {"across_arms": across_arms}
    sweep = sweep_of(tmp_path, pruning, epochs=8, compare={"arm": ["a", "b"]})
    ledger = drive(sweep, tmp_path / "sweep", wavy)
    rules: dict[str, MedianStoppingRule] = {}
    for trial in ledger.trials.values():
        key = "" if across_arms else trial.arm
        if key not in rules:
            rules[key] = MedianStoppingRule(
                "epoch", "score", "max", grace_period=2, min_samples_required=3, min_time_slice=math.inf
            )
        stub = _Stub()
        stopped = next(
            (
                epoch
                for epoch in range(1, 8)
                if rules[key].on_trial_result(None, stub, {"epoch": epoch, "score": wavy(trial, epoch)}) == "STOP"
            ),
            8,
        )
        if stopped == 8:
            rules[key].on_trial_complete(None, stub, {"epoch": 8, "score": wavy(trial, 8)})
        assert trial.epochs == stopped, trial.number
    pruned = [trial for trial in ledger.trials.values() if trial.outcome == "pruned"]
    assert len(pruned) >= 4
    assert "the median of the running averages of" in pruned[0].reason


class _Stub:
    """A trial as Ray's rule needs it: an object that can be a key."""

    trial_id = 0


def test_a_patient_trial_completes_when_it_no_longer_improves(tmp_path: Path) -> None:
    def plateau(trial: Trial, epoch: int) -> float:
        return min(epoch, 4 + trial.index) + (0.001 * epoch if trial.index == 1 else 0.0)

    ledger = drive(sweep_of(tmp_path, PATIENT, trials=2), tmp_path / "sweep", plateau)
    assert [(trial.outcome, trial.cause, trial.epochs) for trial in ledger.trials.values()] == [
        ("completed", "over", 7),
        ("completed", "none", 16),
    ]
    assert ledger.trials[1].reason == "val/score has not improved for 3 epochs, since epoch 4"
    picky = drive(sweep_of(tmp_path, PATIENT | {"min_delta": 0.01}, trials=2), tmp_path / "picky", plateau)
    assert picky.trials[2].epochs == 8
    # Of more epochs it would make no use.
    longer = sweep_of(tmp_path, PATIENT, trials=2, epochs=20)
    agenda = Agenda(longer, ledger_of(longer, tmp_path / "sweep"), evaluates=False)
    task = agenda.next_task(set())
    assert task is not None and task.trial.number == 2


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_wilcoxon_rule_decides_as_optunas_does(tmp_path: Path, mode: str) -> None:
    """Without a trend over the epochs, a trial counts for both with its level."""
    sign = 1 if mode == "max" else -1

    def score(trial: Trial, epoch: int) -> float:
        return sign * (trial.index * 0.37 % 1 + 0.2 * float(np.sin(5 * trial.index + 3 * epoch)))

    objective = {"metric": "val/score" if mode == "max" else "val/error", "mode": mode}
    ledger = drive(sweep_of(tmp_path, WILCOXON, objective=objective), tmp_path / "sweep", score)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=0.1)
    study = optuna.create_study(direction="maximize" if mode == "max" else "minimize", pruner=pruner)
    for trial in ledger.trials.values():
        optuna_trial = study.ask()
        epochs = 0
        while epochs < 16 and not (epochs and optuna_trial.should_prune()):
            epochs += 1
            optuna_trial.report(score(trial, epochs), epochs)
        assert trial.epochs == epochs, trial.number
        is_pruned = trial.outcome == "pruned"
        study.tell(optuna_trial, None if is_pruned else trial.best_value, state=STATES[trial.outcome])
    reasons = [trial.reason for trial in ledger.trials.values() if trial.outcome == "pruned"]
    assert len(reasons) >= 4 and len({trial.epochs for trial in ledger.trials.values()}) > 2
    assert re.fullmatch(
        r"at epoch \d+, val/\w+ was worse than that of trial \d+, the best of its arm, in the same \d+ epochs: "
        r"p = 0\.\d+ in a one-sided Wilcoxon signed-rank test",
        reasons[0],
    )


def test_the_wilcoxon_rule_spares_a_trial_that_is_not_clearly_worse(tmp_path: Path) -> None:
    curves = [
        [0.1 * epoch for epoch in range(1, 9)],
        # Worse in every epoch but the fourth, with which it is the better trial.
        [0.05, 0.1, 0.2, 0.9, 0.3, 0.35, 0.4, 0.45],
        # Two of its epochs have no value, so that the fourth pair comes with the sixth epoch.
        [0.01, math.nan, math.nan, 0.2, 0.25, 0.3, 0.35, 0.4],
    ]

    def score(trial: Trial, epoch: int) -> float:
        return curves[trial.index][epoch - 1]

    def constrained(trial: Trial, epoch: int) -> tuple[float, float]:
        return (0.0 if math.isnan(score(trial, epoch)) else score(trial, epoch)), float(math.isnan(score(trial, epoch)))

    objective = {"metric": "val/score", "mode": "max", "constraints": {"val/error": {"max": 0.5}}}
    sweep = sweep_of(tmp_path, WILCOXON, trials=3, epochs=8, objective=objective)
    ledger = drive(sweep, tmp_path / "sweep", constrained)
    assert [(trial.outcome, trial.epochs) for trial in ledger.trials.values()] == [
        ("completed", 8),
        ("completed", 8),
        ("pruned", 6),
    ]
    late = drive(sweep_of(tmp_path, WILCOXON | {"grace_epochs": 6}, trials=3, epochs=8), tmp_path / "late", wavy)
    assert all(trial.epochs >= 6 for trial in late.trials.values())
    # A single pair is no reason, whatever the p value may be.
    harsh = drive(sweep_of(tmp_path, WILCOXON | {"p_threshold": 0.6}, epochs=8), tmp_path / "harsh", wavy)
    assert min(trial.epochs for trial in harsh.trials.values()) == 2


@pytest.mark.parametrize(("pruning", "score"), [(PASHA, crossing), (MEDIAN, wavy), (PATIENT, wavy), (WILCOXON, wavy)])
def test_kills_change_no_decision(tmp_path: Path, pruning: dict[str, Any], score: Any) -> None:
    sweep = sweep_of(tmp_path, pruning, trials=6, epochs=8, compare={"arm": ["a", "b"]})
    whole = drive(sweep, tmp_path / "whole", score)
    for steps in (1, 1, 1, 5, 2, 9):
        drive(sweep, tmp_path / "killed", score, steps=steps)
    killed = drive(sweep, tmp_path / "killed", score)
    assert told(killed) == told(whole)
    assert [trial.reason for trial in killed.trials.values()] == [trial.reason for trial in whole.trials.values()]
    assert killed.top_rungs == whole.top_rungs


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ({"kind": "median", "reduction_factor": 3}, "reduction_factor, which is for kind asha and pasha"),
        ({"kind": "pasha", "promote": False}, "promote, which is for kind asha and not for pasha"),
        ({"patience": 3}, "patience, which is for kind patient and not for asha"),
        ({"kind": "patient"}, r"needs patience, the epochs without improvement, such as \{patience: 5\}"),
        ({"kind": "patient", "patience": 16}, r"must be below budget.max_epochs \(16\), got 16"),
        ({"kind": "patient", "patience": 3, "p_threshold": 0.2}, "p_threshold, which is for kind wilcoxon"),
        ({"kind": "wilcoxon", "p_threshold": 0}, "p_threshold"),
        (
            {"kind": "wilcoxon", "p_threshold": 1e-5},
            r"of 1e-05 can stop no trial before epoch 17, and budget.max_epochs is 16; needs a larger one",
        ),
        ({"kind": "hyperband"}, "kind"),
    ],
)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, pruning: dict[str, Any], message: str) -> None:
    with pytest.raises(SearchSpaceError, match=message):
        sweep_of(tmp_path, pruning)


def test_a_plan_says_how_trials_end(tmp_path: Path) -> None:
    plans = {
        pruning["kind"]: str(make_plan(sweep_of(tmp_path, pruning))) for pruning in (PASHA, MEDIAN, PATIENT, WILCOXON)
    }
    # 12 trials of one epoch, six of two, and one that goes on for 14.
    assert "epochs: 192 at most, 32 or more when PASHA prunes" in plans["pasha"]
    assert "the top rung of pruning is epoch 2, and rises" in plans["pasha"]
    assert "epochs: 192 at most, 66 or more when the median rule prunes" in plans["median"]
    assert "epochs: 192 at most, 48 or more when trials stop improving" in plans["patient"]
    # One trial has to complete first, and 4 epochs are the fewest of which a p value can be below 0.1.
    assert "epochs: 192 at most, 60 or more when the Wilcoxon rule prunes" in plans["wilcoxon"]
    assert "from epoch 4 on, a trial stops if its epochs are worse than those of the best" in plans["wilcoxon"]
    off = sweep_of(tmp_path, {"kind": "none", "grace_epochs": 2})
    assert off.space.pruning is None
    assert "(nothing is pruned)" in str(make_plan(off))

"""A study that is kept in memory proposes what one would that is rebuilt from the log for every question."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.policy.agenda import Agenda
from orchestrator.policy.pruning import Rungs
from orchestrator.policy.suggestions import Studies
from orchestrator.search_space.reader import Sweep
from orchestrator.state.event_lines import to_line
from orchestrator.state.events.trials import Asked
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, put_row
from tests.support.spaces import noop_sweep

TRIALS, STARTUP = 16, 3


def wide_sweep(folder: Path, pruning: object, beside: dict[str, str] | None = None) -> Sweep:
    params = {"x": {"uniform": [0.0, 1.0]}, "epoch_s": {"loguniform": [1e-6, 1e-5]}}
    objective = {"metric": "val/score", "mode": "max", "beside": beside or {}}
    budget = {"trials_per_arm": TRIALS, "max_epochs": 3}
    return noop_sweep(folder, budget=budget, pruning=pruning, params=params, objective=objective)


def drive_several(sweep: Sweep, folder: Path, at_once: int) -> Ledger:
    """Run a sweep with several trials at a time, which end in another order than they were asked for."""
    ledger = ledger_of(sweep, folder)
    agenda = Agenda(sweep, ledger, evaluates=False)
    rungs = Rungs(sweep, ledger, agenda.promotion)
    live: list[Trial] = []
    turn = 0
    while True:
        task = agenda.next_task({trial.number for trial in live}) if len(live) < at_once else None
        if task is not None:
            ledger.attempt(task.trial, "code")
            live.append(task.trial)
        elif live:
            turn += 7
            trial = live[turn % len(live)]
            is_over_the_edge = trial.index % 5 == 4 and trial.epochs == 1
            score = float("nan") if is_over_the_edge else 1 - abs(float(trial.params["x"]) - 0.3) + 0.01 * trial.epochs
            ledger.report(trial, put_row(folder, trial, score))
            if rungs.decide(ledger, trial):
                live.remove(trial)
        else:
            return ledger


@pytest.mark.parametrize(
    ("pruning", "beside"),
    [
        ("none", {}),
        ({"grace_epochs": 1, "reduction_factor": 2}, {}),
        ({"grace_epochs": 1, "reduction_factor": 2}, {"val/error": "min"}),
    ],
)
def test_a_study_that_is_kept_proposes_what_one_that_is_rebuilt_does(
    tmp_path: Path, pruning: object, beside: dict[str, str]
) -> None:
    sweep, folder = wide_sweep(tmp_path, pruning, beside), tmp_path / "tiny"
    events = drive_several(sweep, folder, at_once=3).read_events()
    questions = [
        (place, event) for place, event in enumerate(events) if isinstance(event, Asked) and event.source == "tpe"
    ]
    assert len(questions) == 2 * (TRIALS - STARTUP)
    for place, asked in questions[::5]:
        # The log of then; of outboxes, TPE looks at those of ended trials alone, which are as they were.
        cut = tmp_path / f"cut before {place}"
        shutil.copytree(folder, cut)
        (cut / "sweep.jsonl").write_text("".join(json.dumps(to_line(event)) + "\n" for event in events[:place]))
        arm = next(arm for arm in sweep.arms if arm.name == asked.arm)
        rebuilt = Studies(sweep, ledger_of(sweep, cut)).suggest(arm, asked.index)
        assert rebuilt == (asked.searched, "tpe")


def test_a_study_is_rebuilt_after_a_trial_was_opened_again(tmp_path: Path) -> None:
    sweep, folder = wide_sweep(tmp_path, "none"), tmp_path / "tiny"
    ledger = drive(sweep, folder, steps=40)
    arm = sweep.arms[0]
    studies = Studies(sweep, ledger)
    index = len(ledger.of_arm(arm.name, "search"))
    first = studies.suggest(arm, index)
    assert studies.suggest(arm, index) == first
    best = ledger.tally(arm.name).best
    assert best is not None
    ledger.retry(best, "asked for", from_scratch=True)
    assert studies.suggest(arm, index) == Studies(sweep, ledger).suggest(arm, index)


def test_a_trial_that_is_opened_again_leaves_the_studies_of_other_arms(tmp_path: Path) -> None:
    sweep = wide_sweep(tmp_path, "none")
    ledger = drive(sweep, tmp_path / "tiny", steps=40)
    first, second = sweep.arms
    studies = Studies(sweep, ledger)
    places = {arm.name: len(ledger.of_arm(arm.name, "search")) for arm in sweep.arms}
    kept = {arm.name: studies._keep_study(arm, ledger.of_arm(arm.name, "search")) for arm in sweep.arms}
    best = ledger.tally(first.name).best
    assert best is not None
    ledger.retry(best, "asked for")
    for arm in sweep.arms:
        studies.suggest(arm, places[arm.name])
    assert studies._studies[first.name] is not kept[first.name]
    assert studies._studies[second.name] is kept[second.name]

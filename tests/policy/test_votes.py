"""Votes order trials: the sweep waits for them, Optuna is told them, a kill loses none, and mistakes are said first."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.commands.listening import choose_trials, pass_votes_on, read_hearing
from orchestrator.commands.status import collect_status
from orchestrator.errors import UserError
from orchestrator.models.champion import load_best
from orchestrator.overview.preferred import find_preferred, preferred_line
from orchestrator.overview.screen import Screen
from orchestrator.overview.snapshot import read_snapshot
from orchestrator.overview.status_tables import make_sweep_view
from orchestrator.policy.agenda import Agenda
from orchestrator.policy.suggestions import Studies
from orchestrator.search_space.reader import Sweep
from orchestrator.state.events.drivers import Started
from orchestrator.state.events.sweep import Preferred
from orchestrator.state.home import keep_search_space
from orchestrator.state.ledger import Ledger
from orchestrator.state.preferences import Preferences, write_preferences
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of
from tests.support.spaces import noop_sweep

BUDGET = {"trials_per_arm": 16, "max_epochs": 2}
WORST_FOR_EARS = 0.3
"""The metric of the simulated trials is best here, and listeners like the trials that are far from here."""


def preference_sweep(folder: Path, **changes: Any) -> Sweep:
    """A sweep over a trainable without sounds, as if it had some."""
    sweep = noop_sweep(folder, pruning="none", **changes)
    objective = sweep.space.objective.model_copy(update={"preference": True})
    return replace(sweep, space=sweep.space.model_copy(update={"objective": objective}))


def vote(ledger: Ledger, numbers: list[int] | None = None) -> None:
    """Leave the strengths that listeners give to completed trials."""
    chosen = [trial for trial in ledger.trials.values() if numbers is None or trial.number in numbers]
    write_preferences(ledger.folder, Preferences(scores={trial.number: liking(trial) for trial in chosen}, votes=9))


def liking(trial: Trial) -> float:
    return abs(float(trial.params["x"]) - WORST_FOR_EARS)


def test_the_search_waits_for_votes_after_each_batch_and_at_its_end(tmp_path: Path) -> None:
    sweep, folder = preference_sweep(tmp_path), tmp_path / "tiny"
    ledger = drive(sweep, folder)
    agenda = Agenda(sweep, ledger, evaluates=False)
    assert len(ledger.trials) == 6 and agenda.waits_for_votes() and not agenda.is_done()
    vote(ledger, [1, 2, 3, 4, 5])
    ledger = drive(sweep, folder)
    assert len(ledger.of_arm("arm=a", "search")) == 6, "all of this arm's startup trials were heard"
    assert len(ledger.of_arm("arm=b", "search")) == 3, "trial 6 was not"
    vote(ledger, [1, 2, 3, 4, 5, 6])
    ledger = drive(sweep, folder)
    assert len(ledger.trials) == 12
    assert Agenda(sweep, ledger, evaluates=False).waits_for_votes()
    vote(ledger)
    ledger = drive(sweep, folder)
    assert Agenda(sweep, ledger, evaluates=False).is_done()
    assert [event.votes for event in ledger.read_events() if isinstance(event, Preferred)] == [9] * 3


def test_optuna_is_told_the_votes_and_not_the_metric(tmp_path: Path) -> None:
    sweep, folder = preference_sweep(tmp_path, search={"startup_trials": 8}, budget=BUDGET), tmp_path / "tiny"
    vote(drive(sweep, folder))
    ledger = ledger_of(sweep, folder)
    Agenda(sweep, ledger, evaluates=False)
    arm = sweep.arms[0]
    by_votes = [Studies(preference, ledger).suggest(arm, 8)[0]["x"] for preference in reseeded(sweep)]
    by_metric = [Studies(metric, ledger).suggest(arm, 8)[0]["x"] for metric in reseeded(by_metric_only(sweep))]
    liked, scored = ([abs(float(x) - WORST_FOR_EARS) for x in suggested] for suggested in (by_votes, by_metric))
    assert sum(liked) / len(liked) > sum(scored) / len(scored) + 0.1


def test_cma_es_begins_at_what_listeners_like_most_whichever_way_the_metric_goes(tmp_path: Path) -> None:
    params = {"x": {"uniform": [0.0, 1.0]}, "epoch_s": {"loguniform": [1e-6, 1e-4]}}
    search = {"startup_trials": 8, "sampler": "cmaes"}
    sweep, folder = preference_sweep(tmp_path, search=search, params=params, budget=BUDGET), tmp_path / "tiny"
    vote(drive(sweep, folder))
    ledger = ledger_of(sweep, folder)
    Agenda(sweep, ledger, evaluates=False)
    lowest = sweep.space.objective.model_copy(update={"mode": "min"})
    opposite = replace(sweep, space=sweep.space.model_copy(update={"objective": lowest}))
    suggested = Studies(sweep, ledger).suggest(sweep.arms[0], 8)
    assert suggested[1] == "cmaes" and Studies(opposite, ledger).suggest(sweep.arms[0], 8) == suggested


def reseeded(sweep: Sweep) -> list[Sweep]:
    return [replace(sweep, space=sweep.space.model_copy(update={"seed": seed})) for seed in range(12)]


def by_metric_only(sweep: Sweep) -> Sweep:
    objective = sweep.space.objective.model_copy(update={"preference": False})
    return replace(sweep, space=sweep.space.model_copy(update={"objective": objective}))


def test_a_killed_sweep_asks_for_the_same_trials_after_the_same_votes(tmp_path: Path) -> None:
    sweep = preference_sweep(tmp_path)
    vote(drive(sweep, tmp_path / "whole"))
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    whole = drive(sweep, tmp_path / "whole")
    drive(sweep, tmp_path / "killed", steps=5)
    killed = drive(sweep, tmp_path / "killed")
    assert [trial.params for trial in killed.trials.values()] == [trial.params for trial in whole.trials.values()]


def test_new_votes_on_old_trials_change_what_is_proposed_next(tmp_path: Path) -> None:
    sweep, folder = preference_sweep(tmp_path, search={"startup_trials": 8}, budget=BUDGET), tmp_path / "tiny"
    vote(drive(sweep, folder))
    ledger = ledger_of(sweep, folder)
    agenda = Agenda(sweep, ledger, evaluates=False)
    studies = Studies(sweep, ledger)
    arm = sweep.arms[0]
    before = studies.suggest(arm, 8)
    opposite = {trial.number: -liking(trial) for trial in ledger.trials.values()}
    write_preferences(folder, Preferences(scores=opposite, votes=12))
    agenda.hearing.update_preferences()
    assert studies.suggest(arm, 8) != before
    assert studies.suggest(arm, 8) == Studies(sweep, ledger_of(sweep, folder)).suggest(arm, 8)


def test_the_confirm_stage_takes_what_listeners_prefer(tmp_path: Path) -> None:
    sweep, folder = preference_sweep(tmp_path, confirm={"top": 1, "seeds": 1}), tmp_path / "tiny"
    for _ in range(2):
        vote(drive(sweep, folder))
    ledger = drive(sweep, folder)
    for arm in ("arm=a", "arm=b"):
        best = max(ledger.of_arm(arm, "search"), key=liking)
        assert [trial.of for trial in ledger.of_arm(arm, "confirm")] == [best.number]


def test_a_broken_file_of_votes_is_said_with_the_cure(tmp_path: Path) -> None:
    sweep, folder = preference_sweep(tmp_path), tmp_path / "tiny"
    drive(sweep, folder)
    for text in ("{", '{"scores": {"1": NaN}, "votes": 3}', '{"scores": {"x": 1}, "votes": 3}'):
        (folder / "preferences.json").write_text(text)
        with pytest.raises(
            UserError, match=rf"delete it: orchestrate listen tiny --method prefer --home {tmp_path} writes it again"
        ):
            Agenda(sweep, ledger_of(sweep, folder), evaluates=False)


def test_listen_offers_the_trials_that_wait_and_some_that_were_heard(tmp_path: Path) -> None:
    sweep, folder = preference_sweep(tmp_path), tmp_path / "tiny"
    ledger = drive(sweep, folder)
    assert read_hearing(folder) is None, "the sweep was never started as one of preferences"
    ledger.write(Started(record={"preference": True}))
    hearing = read_hearing(folder)
    assert hearing is not None and choose_trials(hearing) == (1, 2, 3, 4, 5, 6)
    said: list[str] = []
    scores = {number: float(number) for number in range(1, 7)}
    pass_votes_on(hearing, scores, dict.fromkeys(range(1, 7), 5) | {6: 3}, said.append)
    assert said == [
        "14 votes order 5 trials of tiny.",
        "These trials have fewer than 4 votes, and wait for more: 6 (3)",
    ]
    drive(sweep, folder)
    hearing = read_hearing(folder)
    assert hearing is not None
    assert {1, 5, 6} <= set(choose_trials(hearing)) and 7 in choose_trials(hearing)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pruning": {"grace_epochs": 1}},
            "would stop trials before listeners have heard them; objective.preference needs pruning",
        ),
        ({"media": {"clips": 0}, "pruning": "none"}, "needs media.clips of 1 or more, got 0"),
        (
            {"pruning": "none", "budget": {"trials_per_arm": 6, "max_epochs": 4, "stop_when": {"no_better_for": 2}}},
            "budget.stop_when: ends an arm by the metric, but objective.preference orders trials by votes; set",
        ),
        ({"pruning": "none"}, "Noop makes no sounds that listeners could prefer"),
    ],
)
def test_what_listeners_can_not_order_is_refused_before_anything_starts(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    objective = {"metric": "val/score", "mode": "max", "preference": True}
    with pytest.raises(UserError, match=message):
        noop_sweep(tmp_path, objective=objective, **changes)


def test_the_trial_that_listeners_prefer_is_named_and_taken(tmp_path: Path) -> None:
    sweep, folder = preference_sweep(tmp_path), tmp_path / "tiny"
    ledger = drive(sweep, folder)
    record = {"objective": {"metric": "val/score", "mode": "max"}, "preference": True}
    ledger.write(Started(record=record))
    assert find_preferred(ledger) is None and preferred_line(ledger) is None
    best = ledger.best_trials()[0].number
    other = next(number for number, trial in ledger.trials.items() if trial.arm == "arm=b" and number != best)
    ledger.write(Preferred(scores={str(best): 0.5, str(other): 1.25, "1": -1.75}, votes=12))
    line = f"Listeners prefer trial {other} (arm=b): its strength is 1.25, the highest of 3."
    snapshot = read_snapshot(tmp_path, "tiny")
    status = collect_status(snapshot)
    assert status["preferred"] == preferred_line(ledger) == line
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(make_sweep_view("tiny", status, most_trials=9))
    Screen(console).print_results(sweep, ledger)
    assert console.export_text().count(line) == 2
    said: list[str] = []
    with pytest.raises(UserError, match=rf"tiny/{other}: its best checkpoint has been deleted"):
        keep_search_space(folder, sweep)
        load_best("tiny", tmp_path, say=said.append)
    assert said == [line]
    with pytest.raises(UserError, match=rf"tiny/{best}: its best checkpoint has been deleted"):
        load_best("tiny", tmp_path, best, said.append)
    ledger.write(Started(record=record | {"preference": False}))
    assert find_preferred(ledger) is None, "the metric orders these trials"

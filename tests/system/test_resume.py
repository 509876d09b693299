"""Going on: failed trials again, more trials, more epochs, and replays that need no clock."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.resume import ResumeOptions, grant, parse_increment, resume
from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import UserError
from orchestrator.overview.screen import Screen
from orchestrator.policy.agenda import Agenda
from orchestrator.policy.asha import AshaRule
from orchestrator.policy.pruning import Rungs
from orchestrator.search_space.arms import select_arms
from orchestrator.state.budget import Budget
from orchestrator.state.events.trials import Decided, Ended
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import trial_folder
from orchestrator.state.trial import Trial
from tests.support.driving import drive, ledger_of, put_row, score_of_x
from tests.support.spaces import noop_sweep
from tests.system.test_sweep import points, trial_runs

MENDED = """
from pathlib import Path
from pydantic import Field
from tests.support.odd import Odd

class Mended(Odd):
    class Config(Odd.Config):
        pass

    def step(self):
        if self.epoch == 1 and {broken}:
            raise ValueError("a shape that does not fit")
        return super().step()
"""


def rung_tables(rungs: Rungs) -> dict[str, dict[int, dict[int, float]]]:
    assert isinstance(rungs.rule, AshaRule)
    return {arm: dict(each._brackets[0]._rungs) for arm, each in rungs.rule.schedulers.items()}


def test_what_is_added_has_a_plus() -> None:
    assert (
        parse_increment("--trials", "+4", int),
        parse_increment("--hours", "+.5", float),
        parse_increment("--epochs", None, int),
    ) == (4, 0.5, 0)
    for wrong in ("4", "+0", "-1", "+1.5", "+x"):
        with pytest.raises(UserError, match=r"--trials .*such as --trials \+4"):
            parse_increment("--trials", wrong, int)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"only": "oom"}, "--only changes what --retry-failed does; add --retry-failed"),
        ({"from_scratch": True}, "--from-scratch changes what --retry-failed does; add --retry-failed"),
        ({"arm": "arm=a"}, "--arm restricts other options to some arms"),
        ({"retry_failed": True, "only": "ooom"}, "did you mean 'oom'"),
    ],
)
def test_options_that_mean_nothing_alone_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ResumeOptions(**given)


def test_an_arm_is_named_by_some_of_its_values(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, compare={"arm": ["a", "b"], "epoch_s": [0.0, 1.0]})

    def names(given: str | None) -> list[str]:
        return [arm.name for arm in select_arms(sweep.arms, given, sweep.name)]

    assert names("arm=a") == ["arm=a, epoch_s=0.0", "arm=a, epoch_s=1.0"]
    assert names("epoch_s=1.0,arm=b") == ["arm=b, epoch_s=1.0"]
    assert len(names(None)) == 4
    with pytest.raises(UserError, match=r"no such arm; it has: arm=a, epoch_s=0\.0"):
        names("arm=c")


def test_more_trials_are_those_that_a_larger_budget_would_have_had(tmp_path: Path) -> None:
    larger = drive(noop_sweep(tmp_path, budget={"trials_per_arm": 6, "max_epochs": 4}), tmp_path / "larger")
    sweep = noop_sweep(tmp_path, budget={"trials_per_arm": 4, "max_epochs": 4})
    folder = tmp_path / "extended"
    drive(sweep, folder)
    ledger = Ledger(folder)
    ledger.grant("arm=a", trials=6)
    extended = drive(sweep, folder)

    def of_arm(ledger: Ledger, arm: str) -> list[dict[str, Any]]:
        return [trial.params for trial in ledger.of_arm(arm, "search")]

    assert len(of_arm(extended, "arm=a")) == 6 and len(of_arm(extended, "arm=b")) == 4
    assert of_arm(extended, "arm=a") == of_arm(larger, "arm=a")


def test_what_was_given_is_never_taken_back(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, budget={"trials_per_arm": 4, "max_epochs": 4, "hours": 2})
    ledger = Ledger(tmp_path / "tiny")
    ledger.grant("arm=a", trials=6)
    ledger.grant("arm=a", trials=5, epochs=8)
    ledger.grant("", hours=3)
    budget = Budget(sweep, Ledger(tmp_path / "tiny", read_only=True))
    assert (budget.trials("arm=a"), budget.epochs("arm=a"), budget.hours) == (6, 8, 3)
    assert (budget.trials("arm=b"), budget.epochs("arm=b")) == (4, 4)


def test_more_epochs_open_completed_trials_again_and_add_rungs_above(tmp_path: Path) -> None:
    sweep, folder = noop_sweep(tmp_path), tmp_path / "tiny"
    before = drive(sweep, folder)
    completed = [trial.number for trial in before.trials.values() if trial.outcome == "completed"]
    below = rung_tables(Rungs(sweep, ledger_of(sweep, folder)))
    ledger = Ledger(folder)
    for arm in ("arm=a", "arm=b"):
        ledger.grant(arm, epochs=8)
    after = drive(sweep, folder)
    for number, trial in after.trials.items():
        assert trial.outcome in ("completed", "pruned")
        if number not in completed:
            assert trial.epochs == before.trials[number].epochs
    assert any(after.trials[number].epochs == 8 for number in completed)
    for arm, rungs in rung_tables(Rungs(sweep, ledger_of(sweep, folder))).items():
        # What was the last epoch, where nothing is judged, is a rung now.
        known = {epoch: table for epoch, table in below[arm].items() if table}
        assert {epoch: rungs[epoch] for epoch in known} == known and max(rungs) > max(below[arm])


def broken_score(trial: Trial, epoch: int) -> float:
    return float("nan") if trial.number == 2 and epoch == 3 else score_of_x(trial, epoch)


def test_a_diverged_trial_that_is_retried_goes_on_from_its_last_good_epoch(tmp_path: Path) -> None:
    sweep, folder = noop_sweep(tmp_path, pruning="none"), tmp_path / "tiny"
    first = drive(sweep, folder, broken_score)
    assert (first.trials[2].outcome, first.trials[2].epochs) == ("diverged", 2)
    ledger = Ledger(folder)
    ledger.retry(ledger.trials[2], "asked for")
    # Nobody has begun the new attempt; a restart must not judge the old divergence again.
    Rungs(sweep, ledger_of(sweep, folder))
    again = drive(sweep, folder)
    trial = again.trials[2]
    assert (trial.outcome, trial.attempts) == ("completed", 2)
    assert [row["attempt"] for row in again.read_rows(trial)] == [1, 1, 2, 2]


def test_a_trial_that_is_started_over_forgets_its_epochs_and_its_rungs(tmp_path: Path) -> None:
    sweep, folder = noop_sweep(tmp_path), tmp_path / "tiny"
    drive(sweep, folder)
    ledger = Ledger(folder)
    number = next(trial.number for trial in ledger.trials.values() if trial.outcome == "completed")
    ledger.retry(ledger.trials[number], "asked for", from_scratch=True)
    reopened = Ledger(folder)
    assert (reopened.trials[number].epochs, reopened.trials[number].since) == (0, 2)
    tables = rung_tables(Rungs(sweep, reopened))
    assert not any(number in values for rungs in tables.values() for values in rungs.values())
    again = drive(sweep, folder)
    assert {row["attempt"] for row in again.read_rows(again.trials[number])} == {2}


def test_a_folder_that_was_deleted_is_said_and_its_trial_trained_again(tmp_path: Path) -> None:
    sweep, folder = noop_sweep(tmp_path), tmp_path / "tiny"
    before = drive(sweep, folder)
    values = [row["metrics"] for row in before.read_rows(before.trials[3])]
    shutil.rmtree(trial_folder(folder, 3))
    agenda = Agenda(sweep, ledger_of(sweep, folder), evaluates=False)
    assert "Trial 3: its folder no longer has" in agenda.remarks[0]
    after = drive(sweep, folder)
    assert [row["metrics"] for row in after.read_rows(after.trials[3])] == values and after.trials[
        3
    ].outcome is not None


def test_replays_go_by_the_order_of_judgement_and_not_by_clocks(tmp_path: Path) -> None:
    """Machines whose clocks disagree, or one whose clock was set back."""
    sweep, folder = noop_sweep(tmp_path), tmp_path / "tiny"
    drive(sweep, folder, steps=17)
    expected = rung_tables(Rungs(sweep, ledger_of(sweep, folder)))
    outcomes = {number: trial.outcome for number, trial in Ledger(folder, read_only=True).trials.items()}
    for path in folder.glob("trials/*/outbox.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text(
            "".join(json.dumps(row | ({"ts": 10**6 - row["ts"]} if "ts" in row else {})) + "\n" for row in rows)
        )
    assert rung_tables(Rungs(sweep, ledger_of(sweep, folder))) == expected
    assert {number: trial.outcome for number, trial in Ledger(folder).trials.items()} == outcomes


def test_a_report_that_nobody_judged_is_judged_once_at_the_next_start(tmp_path: Path) -> None:
    sweep, folder = noop_sweep(tmp_path), tmp_path / "tiny"
    ledger = drive(sweep, folder, steps=2)
    trial = next(trial for trial in ledger.trials.values() if trial.outcome is None)
    put_row(folder, trial, 0.5)
    for _ in range(2):
        reopened = ledger_of(sweep, folder)
        Rungs(sweep, reopened)
    judged = [event for event in reopened.read_events() if isinstance(event, Decided | Ended)]
    assert len([event for event in judged if event.trial == trial.number and event.epochs == trial.epochs + 1]) == 1


@pytest.mark.long
def test_after_a_refusal_a_failed_trial_whose_code_was_mended_keeps_its_number_and_its_run(
    tmp_path: Path, home: Path
) -> None:
    net = tmp_path / "mended.py"
    net.write_text(MENDED.format(broken=True))
    space = {
        "trainable": str(net),
        "compare": None,
        "params": {"behaviour": "good"},
        "budget": {"trials_per_arm": 1, "max_epochs": 3},
        "pruning": "none",
    }
    ledger = run_sweep(noop_sweep(tmp_path, **space), home, Screen())
    assert (ledger.trials[1].outcome, ledger.trials[1].cause) == ("failed", "error")
    (run,) = trial_runs(home)
    net.write_text(MENDED.format(broken=False))
    # In a process of its own a driver would import it anew.
    forget(net)
    more = ResumeOptions(retry_failed=True, only="error", trials=1, epochs=1)
    log = home / "tiny" / "sweep.jsonl"
    before = log.read_bytes()
    with pytest.raises(UserError, match=r"resources\.gpu: 1 is required"):
        resume("tiny", home, Screen(), more, ["resources.gpu=1", "resources.require_gpu=true"])
    # What was refused was not granted: the same request grants it once.
    assert log.read_bytes() == before
    # The search space that was refused is kept, since resources may always change: it is changed back.
    _, ledger = resume("tiny", home, Screen(), more, ["resources.gpu=0", "resources.require_gpu=false"])
    assert [(trial.outcome, trial.epochs, trial.attempts) for trial in ledger.trials.values()] == [
        ("completed", 4, 2),
        ("completed", 4, 1),
    ]
    again, other = trial_runs(home)
    assert again.info.run_id == run.info.run_id and other.info.run_id != run.info.run_id
    assert again.data.tags["orchestrate.attempt"] == "2" and again.info.status == "FINISHED"
    assert points(home, again, "val/score") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]


def forget(path: Path) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith(f"{path.stem}_")]:
        del sys.modules[name]


def test_hours_and_budget_are_given_to_the_arms_that_are_named(tmp_path: Path) -> None:
    sweep = noop_sweep(tmp_path, budget={"trials_per_arm": 4, "max_epochs": 4, "hours": 0.5})
    ledger = Ledger(tmp_path / "tiny")
    grant(
        sweep,
        ledger,
        Screen(),
        ResumeOptions(trials=2, epochs=3, hours=1.5, arm="arm=b"),
        [arm.name for arm in select_arms(sweep.arms, "arm=b", sweep.name)],
    )
    budget = Budget(sweep, Ledger(tmp_path / "tiny", read_only=True))
    assert (budget.trials("arm=a"), budget.epochs("arm=a")) == (4, 4)
    assert (budget.trials("arm=b"), budget.epochs("arm=b"), budget.hours) == (6, 7, 2)
    with pytest.raises(UserError, match=r"--hours: sweep tiny has no budget\.hours"):
        grant(noop_sweep(tmp_path), ledger, Screen(), ResumeOptions(hours=1), [])

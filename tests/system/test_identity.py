"""A log and folders that do not belong together: nothing of one trial is ever taken for another's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.policy.agenda import Agenda
from orchestrator.policy.pruning import Rungs
from orchestrator.state.paths import CHECKPOINT, LAST, OUTBOX, PREVIOUS, trial_folder
from orchestrator.storage.json_lines import read
from orchestrator.worker import checkpoint
from orchestrator.worker.attempt import TrialRun
from orchestrator.worker.failure import NotItsFolder
from orchestrator.worker.outbox import Outbox
from tests.support.driving import drive, ledger_of, told
from tests.support.spaces import noop_sweep, trial_spec

ONE_ARM = {"compare": None, "pruning": "none", "budget": {"trials_per_arm": 3, "max_epochs": 3}}


def cut_log(folder: Path, before: str, trial: int) -> None:
    """Let the sweep log end before an event of a trial, as one that was put back from a backup."""
    lines = (folder / "sweep.jsonl").read_text().splitlines(keepends=True)
    events = [json.loads(line) for line in lines]
    end = next(place for place, event in enumerate(events) if (event["event"], event.get("trial")) == (before, trial))
    (folder / "sweep.jsonl").write_text("".join(lines[:end]))


def test_a_trial_that_is_asked_for_anew_does_not_adopt_the_folder_of_another(tmp_path: Path) -> None:
    sweep, folder = noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny"
    lost = drive(sweep, folder).read_rows(ledger_of(sweep, folder).trials[3])
    cut_log(folder, "asked", 3)
    # It is not the first to be asked for now, so that it has other values.
    again = drive(noop_sweep(tmp_path, **ONE_ARM, seed=8), folder, lambda trial, epoch: -1.0)
    assert any("0003: the sweep log has no such trial" in remark for remark in again.remarks)
    rows = again.read_rows(again.trials[3])
    assert [row["metrics"]["val/score"] for row in rows] == [-1.0] * 3 and len(lost) == 3
    (kept,) = (folder / "set_aside").iterdir()
    assert kept.name.startswith("0003-") and (kept / OUTBOX).exists()


def test_a_folder_of_another_trial_of_the_same_number_is_set_aside(tmp_path: Path) -> None:
    sweep, folder = noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny"
    drive(sweep, folder)
    path = trial_folder(folder, 2) / OUTBOX
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps(json.loads(lines[0]) | {"id": "another"}) + "\n" + "".join(lines[1:]))
    ledger = ledger_of(sweep, folder)
    assert "another trial 2" in ledger.remarks[0] and ledger.trials[2].epochs == 0
    assert "trained again" in Agenda(sweep, ledger, evaluates=False).remarks[0]


def test_a_checkpoint_of_another_trial_is_not_gone_on_from(tmp_path: Path) -> None:
    run = TrialRun(trial_spec(tmp_path, id="one"))
    run.step()
    run.close()
    folder = Path(trial_spec(tmp_path).folder)
    saved, wrong = checkpoint.load_newest(folder / CHECKPOINT, "cpu", 1, ("other",))
    assert saved is None and wrong[0] == "last.pt is of another trial of this number"
    with pytest.raises(NotItsFolder, match="another trial 1"):
        Outbox(folder, 1, "other", 1)


def test_a_sweep_that_was_begun_before_trials_had_an_identity_goes_on(tmp_path: Path) -> None:
    sweep, folder = noop_sweep(tmp_path), tmp_path / "tiny"
    whole = told(drive(sweep, tmp_path / "whole"))
    drive(sweep, folder, steps=9)
    lines = [json.loads(line) for line in (folder / "sweep.jsonl").read_text().splitlines()]
    (folder / "sweep.jsonl").write_text(
        "".join(json.dumps({key: value for key, value in line.items() if key != "id"}) + "\n" for line in lines)
    )
    for path in folder.glob("trials/*/outbox.jsonl"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert told(drive(sweep, folder)) == whole


def train(tmp_path: Path, epochs: int) -> tuple[Path, str]:
    """A sweep's folder whose first trial has been trained by its real worker, and judged; and the trial's id."""
    sweep, folder = noop_sweep(tmp_path, **ONE_ARM), tmp_path / "tiny"
    ledger = ledger_of(sweep, folder)
    agenda, rungs = Agenda(sweep, ledger, evaluates=False), Rungs(sweep, ledger)
    task = agenda.next_task(set())
    assert task is not None
    ledger.attempt(task.trial, "code")
    run = TrialRun(trial_spec(folder, id=task.trial.id))
    for _ in range(epochs):
        ledger.report(task.trial, run.step())
        rungs.decide(ledger, task.trial)
    run.close()
    return folder, task.trial.id


def drop_last_line(folder: Path) -> None:
    path = trial_folder(folder, 1) / OUTBOX
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_lost_line_of_an_outbox_is_found_in_the_checkpoint(tmp_path: Path, epochs: int) -> None:
    folder, _ = train(tmp_path, epochs)
    before = read(trial_folder(folder, 1) / OUTBOX)[0]
    drop_last_line(folder)
    sweep = noop_sweep(tmp_path, **ONE_ARM)
    ledger = ledger_of(sweep, folder)
    agenda = Agenda(sweep, ledger, evaluates=False)
    assert read(trial_folder(folder, 1) / OUTBOX)[0] == before
    assert ledger.trials[1].epochs == epochs and ledger.trials[1].since == 1
    assert "its checkpoints have them" in agenda.remarks[0]


def test_a_lost_line_that_no_checkpoint_has_costs_its_epoch_alone(tmp_path: Path) -> None:
    folder, _ = train(tmp_path, 3)
    drop_last_line(folder)
    for name in (LAST, PREVIOUS, "best.pt"):
        (trial_folder(folder, 1) / CHECKPOINT / name).unlink(missing_ok=True)
    sweep = noop_sweep(tmp_path, **ONE_ARM)
    ledger = ledger_of(sweep, folder)
    assert "those after 2 are lost" in Agenda(sweep, ledger, evaluates=False).remarks[0]
    trial = ledger.trials[1]
    assert (trial.epochs, trial.decided_epochs, trial.since, trial.outcome) == (2, 2, 1, None)
    after = drive(sweep, folder)
    assert (after.trials[1].outcome, after.trials[1].epochs) == ("completed", 3)

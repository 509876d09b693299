"""What a sweep log says, and what nobody should make of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.policy.agenda import Agenda
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import trial_folder
from tests.support.driving import drive, ledger_of
from tests.support.spaces import noop_sweep

MINUTE_MS = 60_000


def log_of(folder: Path, *events: tuple[str, float]) -> Path:
    """Events, each with its minute."""
    lines: list[dict[str, object]] = []
    for name, minute in events:
        line: dict[str, object] = {"event": name.split()[0], "ts": int(minute * MINUTE_MS)}
        line |= {"outcome": "interrupted", "reason": "", "late": "late" in name} if line["event"] == "closed" else {}
        line |= {"ran_s": 60.0 * float(name.split()[-1])} if " ran " in name else {}
        line |= {"trial": 1, "epochs": 1} if line["event"] == "judged" else {}
        line |= {"arm": "", "trials": 0, "epochs": 0, "hours": 3} if line["event"] == "granted" else {}
        lines.append(line)
    folder.mkdir(parents=True)
    (folder / "sweep.jsonl").write_text(
        json.dumps(
            {"event": "asked", "ts": 0, "trial": 1, "arm": "all", "index": 0, "stage": "search", "source": "fixed"}
            | {"of": None, "seed": 0, "compared": {}, "searched": {}, "params": {}}
        )
        + "\n"
        + "".join(json.dumps(line) + "\n" for line in lines)
    )
    return folder


@pytest.mark.parametrize(
    ("events", "minutes"),
    [
        ([("started", 0), ("judged", 12)], 12),
        ([("started", 0), ("judged", 12), ("closed", 13)], 13),
        # Somebody gives it more, ten hours after it was killed.
        ([("started", 0), ("judged", 12), ("granted", 600)], 12),
        ([("started", 0), ("judged", 12), ("granted", 600), ("started", 601), ("judged", 604)], 15),
        ([("started", 0), ("judged", 12), ("started", 601), ("closed", 602), ("started", 900), ("judged", 901)], 14),
        ([("started", 0), ("judged", 12), ("closed late", 600)], 12),
        # The clock was set back by an hour.
        ([("started", 60), ("judged", 72), ("judged", 10), ("closed", 12)], 14),
        # The machine slept for ten hours; the driver has measured the rest. The next one was killed.
        ([("started", 0), ("judged", 12), ("judged", 613), ("closed ran 14", 614)], 14),
        ([("started", 0), ("closed ran 14", 614), ("started", 700), ("judged", 703)], 17),
    ],
)
def test_only_the_time_in_which_a_driver_worked_is_spent(
    tmp_path: Path, events: list[tuple[str, float]], minutes: float
) -> None:
    assert Ledger(log_of(tmp_path / "tiny", *events), read_only=True).seconds_run() == 60 * minutes


def test_a_line_of_another_version_is_said(tmp_path: Path) -> None:
    folder = log_of(tmp_path / "tiny")
    path = folder / "sweep.jsonl"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 0, "fidelity": 3'))
    message = r"sweep\.jsonl: the event 'asked' of trial 1 is in the format of another version .* --name"
    with pytest.raises(UserError, match=message):
        Ledger(folder)


def test_a_trial_that_ended_at_its_first_epoch_is_missed_too(tmp_path: Path) -> None:
    sweep, folder = (
        noop_sweep(tmp_path, budget={"trials_per_arm": 1, "max_epochs": 1}, pruning="none"),
        tmp_path / "tiny",
    )
    drive(sweep, folder)
    shutil.rmtree(trial_folder(folder, 2))
    assert "Trial 2: its folder no longer has" in Agenda(sweep, ledger_of(sweep, folder), evaluates=False).remarks[0]


def test_reports_of_a_trial_that_was_started_over_count_from_then_on(tmp_path: Path) -> None:
    ledger = drive(noop_sweep(tmp_path, pruning="none"), tmp_path / "sweep", steps=10)
    first, *others = list(ledger.decided_reports())
    number = first[0]
    ledger.retry(ledger.trials[number], "asked for", from_scratch=True)
    of_others = [report for report in (first, *others) if report[0] != number]
    assert list(ledger.decided_reports()) == of_others
    ledger.decide(ledger.trials[number], 1)
    assert list(ledger.decided_reports()) == [*of_others, (number, 1)]
    ledger.retry(ledger.trials[number], "asked for", from_scratch=True)
    assert (
        list(ledger.decided_reports())
        == of_others
        == list(ledger_of(noop_sweep(tmp_path), tmp_path / "sweep").decided_reports())
    )

"""The events of a sweep log, typed: what is written is read back, and old logs still open."""

from __future__ import annotations

import inspect
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.state import events
from orchestrator.state.event_lines import KINDS, SUBJECTS, parse, read_events, to_line
from orchestrator.state.events import base
from orchestrator.state.events.base import Event
from orchestrator.state.events.drivers import Closed, Started, Suspected
from orchestrator.state.events.interruptions import Displaced, Released, Yielded
from orchestrator.state.events.reopenings import Promoted, Retried
from orchestrator.state.events.sweep import Bounded, Preferred, Raised, Spent, Warmed
from orchestrator.state.events.trials import Linked
from orchestrator.state.history import History
from orchestrator.state.ledger import Ledger

OLD_LOG = Path(__file__).parent / "old_sweep"
"""Written by version 0.1.0 before events had types: two arms, every kind of event."""
EXPECTED_OUTCOMES = {1: None, 2: None, 3: None, 4: "completed", 5: None}
EXPECTED_JUDGED = {1: 3, 2: 0, 3: 3, 4: 3, 5: 2}
"""As the version that wrote it read them."""


def test_every_kind_of_event_has_a_name_in_the_log() -> None:
    subjects = {f"{events.__name__}.{module.name}" for module in pkgutil.iter_modules(events.__path__)}
    assert {subject.__name__ for subject in SUBJECTS} == subjects - {base.__name__}
    assert set(KINDS.values()) == {kind for kind in _subclasses(Event) if not inspect.isabstract(kind)}


def _subclasses(kind: type[Event]) -> Iterator[type[Event]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


@pytest.mark.parametrize("name", KINDS)
def test_an_event_of_each_kind_comes_back_as_it_was(name: str) -> None:
    kind = KINDS[name]
    required = [each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING]
    event = kind(**{field: 7 for field in required})
    line = json.loads(json.dumps(to_line(event)))
    assert line["event"] == name and parse(line) == event


def test_what_a_driver_says_at_its_start_is_one_record() -> None:
    event = parse({"event": "started", "ts": 5, "judge": "A", "arms": {}})
    assert event == Started(ts=5, record={"judge": "A", "arms": {}})
    assert to_line(event) == {"event": "started", "ts": 5, "judge": "A", "arms": {}}


def test_what_is_as_always_is_left_out() -> None:
    assert to_line(Closed(ts=1, outcome="finished", reason="")) == {
        "event": "closed", "ts": 1, "outcome": "finished", "reason": "",
    }  # fmt: skip
    assert "from_scratch" in to_line(Retried(trial=1, reason="again", from_scratch=True))


@pytest.mark.parametrize("line", [{"event": "renamed", "ts": 1, "trial": 2}, {"event": "held", "ts": 1, "trial": 2}])
def test_an_event_of_another_version_is_refused_with_its_place(tmp_path: Path, line: dict[str, object]) -> None:
    (tmp_path / "sweep.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(UserError, match=r"sweep\.jsonl: the event '\w+' of trial 2 is in the format of another"):
        read_events(tmp_path / "sweep.jsonl")


def test_a_log_from_before_events_had_types_is_read_by_drivers_and_by_readers() -> None:
    ledger = Ledger(OLD_LOG, read_only=True)
    assert {number: trial.outcome for number, trial in ledger.trials.items()} == EXPECTED_OUTCOMES
    assert {number: trial.decided_epochs for number, trial in ledger.trials.items()} == EXPECTED_JUDGED
    history = History(OLD_LOG)
    history.refresh(everywhere=True)
    assert {number: trial.status for number, trial in history.trials.items()} == {
        number: outcome or "interrupted" for number, outcome in EXPECTED_OUTCOMES.items()
    }
    # Newer kinds of events are not in it.
    newer = {Bounded, Displaced, Linked, Spent, Preferred, Promoted, Raised, Released, Suspected, Warmed, Yielded}
    assert {type(event) for event in ledger.read_events()} == set(KINDS.values()) - newer

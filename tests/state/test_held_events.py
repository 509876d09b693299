"""What is asked for when a sweep goes on is written once it really does, and never twice."""

from __future__ import annotations

from pathlib import Path

from orchestrator.state.events.sweep import Granted, Redirected
from orchestrator.state.ledger import Ledger


def test_what_is_held_is_written_when_it_is_released_or_never(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "tiny")
    ledger.hold()
    ledger.grant("all", trials=4)
    assert ledger.granted["all"].trials == 4 and not ledger.read_events()
    ledger.release()
    assert [type(event) for event in ledger.read_events()] == [Granted]
    ledger.hold()
    ledger.grant("all", trials=8)
    ledger.discard()
    assert len(ledger.read_events()) == 1


def test_another_mlflow_is_written_while_other_events_are_held(tmp_path: Path) -> None:
    """The process that sends starts before they are released, and made the database of a lost home anew."""
    ledger = Ledger(tmp_path / "tiny")
    ledger.hold()
    ledger.grant("all", trials=4)
    ledger.redirect({"tracking_uri": "sqlite:////new/mlflow.db", "artifact_root": None})
    assert [type(event) for event in ledger.read_events()] == [Redirected]
    ledger.release()
    assert [type(event) for event in ledger.read_events()] == [Redirected, Granted]

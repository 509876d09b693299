"""What is asked for when a sweep goes on counts once it really does, and never twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.commands.resume import ResumeOptions, resume
from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import UserError
from orchestrator.overview.screen import Screen
from orchestrator.state.events import Granted
from orchestrator.state.ledger import Ledger
from tests.support.spaces import noop_sweep

SMALL = {"compare": None, "pruning": "none", "budget": {"trials_per_arm": 1, "max_epochs": 1}}


def test_more_trials_that_were_refused_can_be_asked_for_again(tmp_path: Path, home: Path) -> None:
    run_sweep(noop_sweep(tmp_path, **SMALL), home, Screen())
    log = home / "tiny" / "sweep.jsonl"
    before = log.read_bytes()
    for _ in range(2):
        with pytest.raises(UserError, match=r"resources\.gpu: 1 is required"):
            resume("tiny", home, Screen(), ResumeOptions(trials=2), ["resources.gpu=1", "resources.require_gpu=true"])
        assert log.read_bytes() == before
    # The search space that was refused is kept, since resources may always change: it is changed back.
    resume("tiny", home, Screen(), ResumeOptions(trials=2), ["resources.gpu=0", "resources.require_gpu=false"])
    assert len(Ledger(home / "tiny", read_only=True).trials) == 3


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

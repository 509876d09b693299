"""A run of a sweep that has nothing left to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.driver.sweep import run_sweep
from orchestrator.overview.screen import Screen
from orchestrator.state.events.drivers import Closed
from tests.exchange.test_driver_side import Rig, files_in


@pytest.mark.parametrize("is_finished", [True, False])
def test_what_is_missing_is_fetched_and_the_end_of_the_log_is_sent(
    home: Path, is_finished: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = Rig(home.parent, home.name, hours=None if is_finished else 0.5)
    trials = [rig.begin() for _ in range(6 if is_finished else 1)]
    for trial in trials:
        folder, writer = rig.worker(trial)
        rig.train(trial, folder, writer, 1)
        rig.ledger.end(trial, "completed")
    outcome, reason = ("finished", "") if is_finished else ("interrupted", "half an hour is over")
    # The store did not answer when the last driver ended.
    rig.ledger.write(Closed(outcome=outcome, reason=reason, ran_s=1800.0))
    run_sweep(rig.sweep, rig.home, Screen())
    assert ("nothing left to do" if is_finished else "budget.hours") in capsys.readouterr().out
    for trial in trials:
        assert {"checkpoint/best.pt", "media/epoch_01/clips.json", "log.txt"} < files_in(rig.folder(trial))
    log = rig.store.read(f"tiny/drivers/{rig.exchange.driver}/sweep.jsonl")
    assert log == (rig.home / "tiny" / "sweep.jsonl").read_bytes()

"""The quickest example twice: what the first sweep has trained, the second one takes over, through a kill."""

from __future__ import annotations

import io
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from orchestrator.commands.report import write_reports
from orchestrator.commands.status import collect_status
from orchestrator.commands.why import explain
from orchestrator.driver.sweep import run_sweep
from orchestrator.driver.tasks import make_spec
from orchestrator.overview.screen import Screen
from orchestrator.overview.snapshot import read_snapshot
from orchestrator.search_space.reader import read_search_space
from orchestrator.state.ledger import Ledger
from orchestrator.worker.attempt import TrialRun
from reports import vocabulary as words
from tests.system.test_sweep import orchestrate, points, trial_runs, wait_for_rows

DIGITS = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"
SMALL = ("budget.trials_per_arm=1", "budget.max_epochs=3", "pruning=none", "confirm=none")
ORIGINS = ["first/1", "first/2", "first/3", None, None, None]
LARGER = ("budget.trials_per_arm=2", *SMALL[1:])


@pytest.mark.long
def test_what_a_deleted_sweep_has_trained_is_not_trained_again(home: Path, tmp_path: Path) -> None:
    run_sweep(read_search_space(DIGITS, overrides=SMALL, name="first"), home, Screen())
    options = [word for setting in LARGER for word in ("--set", setting)]
    driver = orchestrate("sweep", DIGITS, "--home", home, "--name", "second", *options)
    # Nine epochs are taken over; with the next one it has begun to train.
    wait_for_rows(home / "second", 10)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    shutil.rmtree(home / "first")
    shown = io.StringIO()
    screen = Screen(Console(file=shown, width=200))
    sweep = read_search_space(DIGITS, overrides=LARGER, name="second")
    ledger = run_sweep(sweep, home, screen)
    screen.print_results(sweep, ledger)

    trials = ledger.trials
    assert {trial.outcome for trial in trials.values()} == {"completed"} and len(trials) == 6
    assert [trial.origin and trial.origin.name for trial in trials.values()] == ORIGINS
    assert [(tally.epochs, tally.best and tally.best.epochs) for tally in ledger.tallies.values()] == [(3, 3)] * 3
    line = "3 of 6 trials were reused from first: 9 epochs spared."
    assert line in shown.getvalue()
    assert collect_status(read_snapshot(home, "second"))["linked"] == line
    assert "first/1 has trained 3 epochs of it: reused." in list(explain(home, "second/1"))

    # A training again gives these numbers.
    spec = make_spec(sweep, home, trials[1], gpu=0, threads=1)
    again = TrialRun(replace(spec, folder=str(tmp_path / "again"), since=1, reported_epochs=0, attempt=1, max_epochs=3))
    rows = [again.step()["metrics"] for _ in range(3)]
    again.close()
    taken = [row["metrics"] for row in Ledger(home / "second", read_only=True).read_rows(trials[1])]
    assert json.dumps([metrics | {words.EPOCH_S: 0} for metrics in taken]) == json.dumps(
        [metrics | {words.EPOCH_S: 0} for metrics in rows]
    )

    with FileLock(home / "second" / "tracking.lock", timeout=120):
        runs = trial_runs(home, "second")
    assert [run.data.tags.get(words.TAG_ORIGIN) for run in runs] == ORIGINS
    assert points(home, runs[0], "val/accuracy") == [
        (epoch, metrics["val/accuracy"]) for epoch, metrics in enumerate(taken, 1)
    ]
    write_reports(home, ["second"], tmp_path, "md", lambda line: None)
    assert "3 of 6 trials were reused from first" in (tmp_path / "second.md").read_text()
    assert "Trial [first/1](#/experiments/" in runs[0].data.tags[words.TAG_NOTE]

"""A sweep whose trials people order: it waits for votes that come back in a file, goes on with them, and ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from mlflow import MlflowClient
from rich.console import Console

from orchestrator.commands.report import hold_listening_test
from orchestrator.driver.sweep import run_sweep
from orchestrator.overview.screen import Screen
from orchestrator.search_space.reader import Sweep, read_search_space
from orchestrator.state.events.sweep import Preferred
from orchestrator.state.ledger import Ledger
from reports.listening.design import REFERENCE, file_session, is_catch
from reports.listening.preparation import load_test
from reports.listening.session import Options
from tests.support.spaces import TINY_PARAMS, write_space


def few_trials(folder: Path, corpus: Path) -> Sweep:
    space = write_space(
        folder / "voted.yaml",
        name="voted",
        trainable="autoencoder",
        corpus={"name": "folder", "root": str(corpus)},
        objective={"metric": "val/judge_probability", "mode": "max", "preference": True},
        compare={"loss": ["l1"]},
        params=TINY_PARAMS,
        search={"startup_trials": 3},
        budget={"trials_per_arm": 4, "max_epochs": 1},
        pruning="none",
        media={"clips": 3, "epochs": ["best"]},
    )
    return read_search_space(space)


def vote_by_file(home: Path, folder: Path) -> list[str]:
    """Export the test of the trials that wait, prefer those with larger numbers, and import the answers."""
    exported, saved, said = folder / "test.html", folder / "answers.json", list[str]()
    hold_listening_test(home, "voted", Options(method="prefer", export=exported), said.append)
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', exported.read_text(), re.DOTALL)
    assert found
    data = json.loads(found.group(1))
    test = load_test(home / "listening" / "voted" / data["test"])
    steps = {step.item.id: step for step in test.plan(file_session(data["copy"]))}
    votes = []
    for asked in data["steps"]:
        step = steps[asked["item"]]
        order = [REFERENCE] if is_catch(step.item) else [f"s{number}" for number in range(9, -1, -1)]
        better = next(key for key in order if key in step.item.systems)
        slot = next(slot for slot, key in step.slots.items() if key == better)
        votes.append({"item": asked["item"], "token": asked["token"], "answer": slot})
    listener = f"anna {data['copy']}"
    answers = {"test": data["test"], "copy": data["copy"], "listener": listener, "answers": votes}
    saved.write_text(json.dumps(answers))
    hold_listening_test(home, "voted", Options(answers=saved), said.append)
    return said


@pytest.mark.long
def test_a_sweep_waits_for_votes_and_goes_on_with_them(
    tiny_corpus: Path, tiny_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = few_trials(tmp_path, tiny_corpus)
    # Wide enough for a message in one line.
    screen = Screen(Console(width=1000))
    ledger = run_sweep(sweep, tiny_home, screen)
    waits = f"orchestrate listen voted --method prefer --home {tiny_home}"
    assert len(ledger.trials) == 3 and waits in capsys.readouterr().out
    assert ledger.closed is not None and ledger.closed.outcome == "interrupted"
    before = (tiny_home / "voted" / "sweep.jsonl").read_bytes()
    run_sweep(sweep, tiny_home, screen)
    assert (tiny_home / "voted" / "sweep.jsonl").read_bytes() == before, "without votes there is nothing to do"
    assert "trials 1, 2, 3 wait for votes" in capsys.readouterr().out
    said = vote_by_file(tiny_home, tmp_path)
    assert f"All have votes: continue with  orchestrate resume voted --home {tiny_home}" in said
    ledger = run_sweep(sweep, tiny_home, screen)
    assert len(ledger.trials) == 4 and ledger.trials[4].source == "tpe"
    assert sorted(ledger.preferences, key=lambda number: ledger.preferences[number]) == [1, 2, 3]
    vote_by_file(tiny_home, tmp_path)
    ledger = run_sweep(sweep, tiny_home, screen)
    assert ledger.is_finished
    log = Ledger(tiny_home / "voted", read_only=True)
    assert [sorted(event.scores) for event in log.read_events() if isinstance(event, Preferred)] == [
        ["1", "2", "3"],
        ["1", "2", "3", "4"],
    ]
    client = MlflowClient(f"sqlite:///{tiny_home / 'mlflow.db'}")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert sum("listen/preference" in run.data.metrics for run in runs) == 4

"""Sweeps through real Ray processes and a real MLflow."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import UserError
from orchestrator.overview.screen import Screen
from orchestrator.state.events.drivers import Started
from orchestrator.state.events.trials import Attempted, Ended
from orchestrator.state.ledger import Ledger
from orchestrator.storage.json_lines import read
from reports import vocabulary as words
from tests.support.spaces import noop_sweep, write_space

ODD = str(Path(__file__).parents[1] / "support" / "odd.py")
SLOW = {"params": {"x": {"uniform": [0.0, 1.0]}, "epoch_s": 0.15}, "budget": {"trials_per_arm": 4, "max_epochs": 4}}
PATIENCE_S = 600
"""How long a whole sweep may take on a machine that is busy with much else."""
ONE_AT_A_TIME = {"resources": {"cpu": 2}}
"""For what is shown with one trial as well as with two: a second process that imports torch takes seconds."""


def orchestrate(
    *arguments: object,
    start_new_session: bool = False,
    stdout: int | IO[str] = subprocess.PIPE,
    cwd: str | None = None,
    **environment: str,
) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *map(str, arguments)],
        stdout=stdout,
        cwd=cwd,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        start_new_session=start_new_session,
    )


def trial_runs(home: Path, sweep: str = "tiny") -> list[Run]:
    """The MLflow runs of a sweep's trials, by number."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(
        experiments, f"tags.`{words.TAG_SWEEP}` = '{sweep}' AND tags.`{words.TAG_ROLE}` = 'trial'"
    )
    return sorted(found, key=lambda run: int(run.data.tags[words.TAG_TRIAL]))


def points(home: Path, run: Run, key: str) -> list[tuple[int, float]]:
    """(step, value) pairs of a metric."""
    history = MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_metric_history(run.info.run_id, key)
    return sorted((metric.step, metric.value) for metric in history)


def assert_mlflow_has_what_the_outboxes_have(home: Path, ledger: Ledger) -> None:
    """One run a trial, its outcome, and every value once."""
    # After a signal what is left is sent in the background.
    with FileLock(home / "tiny" / "tracking.lock", timeout=120):
        runs = trial_runs(home)
    assert [int(run.data.tags[words.TAG_TRIAL]) for run in runs] == sorted(ledger.trials)
    for run in runs:
        trial = ledger.trials[int(run.data.tags[words.TAG_TRIAL])]
        assert run.data.tags[words.TAG_OUTCOME] == (trial.outcome or words.OUTCOME_INTERRUPTED)
        expected = [(row["epoch"], row["metrics"]["val/score"]) for row in ledger.read_rows(trial)]
        assert points(home, run, "val/score") == expected


def test_a_sweep_runs_to_its_end_and_the_same_command_then_does_nothing(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = noop_sweep(tmp_path, resources={"cpu": 1, "gpu": 0.25})
    ledger = run_sweep(sweep, home, Screen())
    assert "No GPU here: trials run on the CPU." in capsys.readouterr().out
    assert Counter(trial.arm for trial in ledger.trials.values()) == {"arm=a": 6, "arm=b": 6}
    assert {trial.outcome for trial in ledger.trials.values()} == {"completed", "pruned"}
    assert_mlflow_has_what_the_outboxes_have(home, ledger)
    assert_one_name_leads_from_the_file_to_mlflow(home, ledger)
    before = (home / "tiny" / "sweep.jsonl").read_bytes()
    run_sweep(sweep, home, Screen())
    assert (home / "tiny" / "sweep.jsonl").read_bytes() == before
    # Killed in the second before it wrote that it had finished.
    whole = before.splitlines(keepends=True)
    (home / "tiny" / "sweep.jsonl").write_bytes(b"".join(whole[:-1]))
    run_sweep(sweep, home, Screen())
    closed = read(home / "tiny" / "sweep.jsonl")[0][-1]
    assert (closed["event"], closed["outcome"]) == ("closed", "finished")
    parent = MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_run(
        trial_runs(home)[0].data.tags["mlflow.parentRunId"]
    )
    assert parent.info.status == "FINISHED"


def assert_one_name_leads_from_the_file_to_mlflow(home: Path, ledger: Ledger) -> None:
    """The path of one value: YAML, Config, worker, MLflow param."""
    for run, trial in zip(trial_runs(home), ledger.trials.values(), strict=True):
        x = float(run.data.params["x"])
        assert x == trial.params["x"]
        assert ledger.read_rows(trial)[0]["metrics"]["val/score"] == 1 - abs(x - 0.3) - 0.5


def test_a_driver_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path: Path, home: Path) -> None:
    space = write_space(tmp_path / "tiny.yaml", **SLOW)
    driver = orchestrate("sweep", space, "--home", home)
    wait_for_rows(home / "tiny", 7)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    killed = Ledger(home / "tiny")
    rows_before = {number: killed.read_rows(trial) for number, trial in killed.trials.items()}
    assert any(trial.outcome is None for trial in killed.trials.values())

    again = orchestrate("sweep", space, "--home", home)
    output, _ = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0, output
    ledger = Ledger(home / "tiny")
    assert len(ledger.trials) == 8
    for trial in ledger.trials.values():
        assert [row["epoch"] for row in ledger.read_rows(trial)] == list(range(1, trial.epochs + 1))
        assert trial.outcome in ("completed", "pruned")
    for number, trial in killed.trials.items():
        assert ledger.trials[number].params == trial.params
        assert ledger.read_rows(ledger.trials[number])[: trial.epochs] == rows_before[number]
    assert_mlflow_has_what_the_outboxes_have(home, ledger)


def assert_stopped_cleanly(driver: subprocess.Popen[str], folder: Path, number: signal.Signals) -> None:
    """A signal has ended a sweep, whose last words are how to go on."""
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130, output
    assert f"Stopped by {number.name}" in output and "Continue with: orchestrate resume tiny" in output
    assert "Traceback" not in output
    events, _ = read(folder / "sweep.jsonl")
    assert (events[-1]["event"], events[-1]["outcome"]) == ("closed", "interrupted")
    assert not events[-1]["reason"].startswith("Ray")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(each, marks=pytest.mark.long) for each in (signal.SIGINT, signal.SIGHUP))]
)
def test_a_signal_ends_a_sweep_cleanly_and_mlflow_has_all_of_it(
    tmp_path: Path, home: Path, number: signal.Signals
) -> None:
    space = write_space(tmp_path / "tiny.yaml", **SLOW, **ONE_AT_A_TIME)
    driver = orchestrate("sweep", space, "--home", home)
    wait_for_rows(home / "tiny", 3)
    driver.send_signal(number)
    assert_stopped_cleanly(driver, home / "tiny", number)
    assert_mlflow_has_what_the_outboxes_have(home, Ledger(home / "tiny"))


@pytest.mark.long
def test_every_way_to_go_wrong_ends_that_trial_alone_with_its_cause(tmp_path: Path, home: Path) -> None:
    behaviours = [
        "raise",
        "memory",
        "nan",
        "silent",
        "hang",
        "hang_in_c",
        "exit",
        "quit",
        "segfault",
        "kill_once",
        "good",
    ]
    sweep = noop_sweep(
        tmp_path,
        trainable=ODD,
        compare={"behaviour": behaviours},
        params={"folder": str(tmp_path)},
        budget={"trials_per_arm": 1, "max_epochs": 3},
        limits={"minutes_per_epoch": 0.05},
    )
    ledger = run_sweep(sweep, home, Screen())
    found = {str(trial.params["behaviour"]): trial for trial in ledger.trials.values()}
    told = {name: (trial.outcome, trial.cause, trial.epochs) for name, trial in found.items()}
    assert told == {
        "raise": ("failed", "error", 1),
        "memory": ("failed", "oom", 1),
        "nan": ("diverged", "nonfinite", 1),
        "silent": ("diverged", "nonfinite", 1),
        "hang": ("failed", "timeout", 1),
        "hang_in_c": ("failed", "timeout", 1),
        "exit": ("failed", "node", 1),
        "quit": ("failed", "node", 1),
        "segfault": ("failed", "node", 1),
        "kill_once": ("completed", "none", 3),
        "good": ("completed", "none", 3),
    }
    assert "a shape that does not fit" in found["raise"].reason and "odd.py:" in found["raise"].reason
    assert "no epoch within limits.minutes_per_epoch (0.05)" in found["hang"].reason
    assert (found["kill_once"].attempts, found["exit"].attempts) == (2, 2)
    assert "os._exit(3)" in found["exit"].reason and "sys.exit(4)" in found["quit"].reason
    assert "Segmentation fault" in found["segfault"].reason
    # Once more with twice the processors; then it is the trial's own failure.
    assert (found["memory"].attempts, found["memory"].share) == (2, 2)
    status = {run.data.tags["orchestrate.arm"]: run.info.status for run in trial_runs(home)}
    assert status["behaviour=raise"] == "FAILED" and status["behaviour=nan"] == "FAILED"
    assert status["behaviour=kill_once"] == "FINISHED"
    assert "RUNNING" not in status.values()
    # Told as pruned, a diverged trial warns TPE off; see the studies' tests.
    assert "ValueError: a shape that does not fit" in (home / "tiny" / "trials" / "0001" / "log.txt").read_text()


@pytest.mark.long
def test_each_trial_sees_the_card_that_ray_gave_it(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 2})
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    try:
        for gpu, cpu, expected in ((0, 2, {-1.0}), (1, 1, {0.0, 1.0}), (0.5, 1, {0.0, 1.0})):
            sweep = noop_sweep(
                tmp_path,
                name=f"cards-{gpu}",
                repeat=True,
                trainable=ODD,
                compare=None,
                params={"behaviour": "good"},
                budget={"trials_per_arm": 4, "max_epochs": 2},
                pruning="none",
                resources={"cpu": cpu, "gpu": gpu},
            )
            ledger = run_sweep(sweep, home, Screen())
            cards = {
                row["metrics"]["train/card"] for trial in ledger.trials.values() for row in ledger.read_rows(trial)
            }
            # On a busy machine one worker may be done with everything before the other has started.
            assert cards and cards <= expected
            if gpu == 1:
                assert_those_at_a_time_have_cards_of_their_own(ledger)
    finally:
        cluster.shutdown()


def assert_those_at_a_time_have_cards_of_their_own(ledger: Ledger) -> None:
    spans: dict[int, list[int]] = {}
    for event in ledger.read_events():
        if isinstance(event, Attempted | Ended):
            spans.setdefault(event.trial, []).append(event.ts)
    card_of = {number: ledger.read_rows(trial)[0]["metrics"]["train/card"] for number, trial in ledger.trials.items()}
    for one, other in itertools.combinations(spans, 2):
        if spans[one][0] < spans[other][-1] and spans[other][0] < spans[one][-1]:
            assert card_of[one] != card_of[other]


def test_an_address_that_cannot_be_mlflows_is_refused_before_anything_runs(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "foo://here")
    with pytest.raises(UserError, match=r"MLFLOW_TRACKING_URI: 'foo://here' .* sqlite, http, "):
        run_sweep(noop_sweep(tmp_path), home, Screen())
    assert not (home / "tiny").exists()


def wait_for_rows(folder: Path, count: int) -> None:
    """Wait until the outboxes hold so many epochs."""
    deadline = time.monotonic() + 240
    paths = "trials/*/outbox.jsonl"
    while sum("epoch" in line for path in folder.glob(paths) for line in read(path)[0]) < count:
        assert time.monotonic() < deadline, json.dumps([str(path) for path in folder.rglob("*")])
        time.sleep(0.05)


@pytest.mark.long
def test_a_sweep_whose_judge_has_changed_is_not_gone_on_with(tmp_path: Path, home: Path) -> None:
    sweep = noop_sweep(tmp_path)
    (home / sweep.name).mkdir()
    ledger = Ledger(home / sweep.name)
    ledger.write(Started(record={"judge": "A-of-another-version"}))
    asked: dict[str, Any] = {"arm": "arm=a", "index": 0, "stage": "search", "source": "startup", "of": None, "seed": 1}
    ledger.ask(**asked, compared={"arm": "a"}, searched={}, params={"arm": "a", "x": 0.5})
    with pytest.raises(UserError, match=r"the judge was A-of-another-version and is now none, .* --name"):
        run_sweep(sweep, home, Screen())

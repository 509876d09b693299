"""Drivers that lose Ray, are stopped in the middle of an epoch, or run in the background."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from orchestrator.commands.why import explain
from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import UserError
from orchestrator.overview.screen import Screen
from orchestrator.search_space.reader import read_search_space
from orchestrator.state.events.drivers import Restarted
from orchestrator.state.home import driver_note
from orchestrator.state.ledger import Ledger
from orchestrator.worker.attempt import TrialRun
from tests.support.spaces import trial_spec, write_space
from tests.system.test_sweep import (
    ONE_AT_A_TIME,
    PATIENCE_S,
    SLOW,
    assert_mlflow_has_what_the_outboxes_have,
    assert_stopped_cleanly,
    orchestrate,
    wait_for_rows,
)

WALK = str(Path(__file__).parents[1] / "support" / "walk.py")
LONG = {
    "params": {"x": {"uniform": [0.0, 1.0]}, "epoch_s": 60},
    "budget": {"trials_per_arm": 1, "max_epochs": 2},
    **ONE_AT_A_TIME,
}


def raylet_of(driver: subprocess.Popen[str]) -> psutil.Process:
    return next(each for each in psutil.Process(driver.pid).children() if each.name() == "raylet")


def workers_of(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    titles = ((each, " ".join(each.cmdline())) for each in psutil.Process(driver.pid).children(recursive=True))
    return [each for each, title in titles if title.startswith("ray::") and ".train" in title]


def wait_until_one_trains(driver: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.Error):
            if workers_of(driver):
                return
        time.sleep(0.1)
    raise AssertionError("no trial was started")


def test_a_driver_whose_ray_dies_becomes_a_fresh_one_and_loses_nothing(tmp_path: Path, home: Path) -> None:
    driver = orchestrate("sweep", write_space(tmp_path / "tiny.yaml", **SLOW), "--home", home)
    wait_for_rows(home / "tiny", 5)
    workers = workers_of(driver)
    raylet_of(driver).kill()
    output, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, output
    assert "Ray has died; continuing with a new one." in output and "Traceback" not in output
    assert not any(each.is_running() for each in workers)
    ledger = Ledger(home / "tiny", read_only=True)
    assert len(ledger.trials) == 8 and {trial.outcome for trial in ledger.trials.values()} <= {"completed", "pruned"}
    assert sum(isinstance(event, Restarted) for event in ledger.read_events()) == 1
    for trial in ledger.trials.values():
        assert [row["epoch"] for row in ledger.read_rows(trial)] == list(range(1, trial.epochs + 1))
        assert not trial.died_at
    assert_mlflow_has_what_the_outboxes_have(home, ledger)


def test_ctrl_c_in_the_middle_of_an_epoch_ends_the_sweep_soon_and_twice_at_once(tmp_path: Path, home: Path) -> None:
    space = write_space(tmp_path / "tiny.yaml", **LONG)
    # Nobody answers for MLflow, which must not keep anybody waiting.
    driver = orchestrate("sweep", space, "--home", home, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    wait_until_one_trains(driver)
    began = time.monotonic()
    driver.send_signal(signal.SIGINT)
    assert_stopped_cleanly(driver, home / "tiny", signal.SIGINT)
    # 9 s on two quiet cores; the epoch alone would take 60.
    assert time.monotonic() - began < 30

    driver = orchestrate("sweep", space, "--home", home)
    wait_until_one_trains(driver)
    driver.send_signal(signal.SIGINT)
    time.sleep(0.5)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=5) == 130
    driver.communicate()


@pytest.mark.long
def test_a_job_that_is_cancelled_with_all_its_processes_ends_and_does_not_start_again(
    tmp_path: Path, home: Path
) -> None:
    """As a batch system does it; Ray dies of the signal, too."""
    space = write_space(tmp_path / "tiny.yaml", **LONG)
    driver = orchestrate("sweep", space, "--home", home, start_new_session=True)
    wait_until_one_trains(driver)
    os.killpg(driver.pid, signal.SIGTERM)
    assert_stopped_cleanly(driver, home / "tiny", signal.SIGTERM)


def walk_undisturbed(folder: Path, seed: int, epochs: int) -> list[float]:
    run = TrialRun(trial_spec(folder, trainable=WALK, config={}, seed=seed))
    scores = [run.step()["metrics"]["val/score"] for _ in range(epochs)]
    run.close()
    return scores


@pytest.mark.long
def test_a_worker_that_is_told_to_end_costs_its_trial_nothing(tmp_path: Path, home: Path) -> None:
    """One epoch ends in time, the other one is broken off."""
    space = write_space(
        tmp_path / "tiny.yaml",
        trainable=WALK,
        params=None,
        compare={"epoch_s": [1, 4]},
        budget={"trials_per_arm": 1, "max_epochs": 4},
        pruning="none",
        limits={"max_machine_failures": 0, "seconds_after_sigterm": 1.5},
    )
    driver = orchestrate("sweep", space, "--home", home)
    waiting, deadline = {1, 2}, time.monotonic() + 240
    while waiting:
        assert time.monotonic() < deadline and driver.poll() is None
        time.sleep(0.1)
        for number in list(waiting):
            folder = home / "tiny" / "trials" / f"{number:04d}"
            if (folder / "outbox.jsonl").exists() and b"epoch" in (folder / "outbox.jsonl").read_bytes():
                (pid,) = re.findall(r"^--- attempt 1, .* process (\d+)$", (folder / "log.txt").read_text(), re.M)
                os.kill(int(pid), signal.SIGTERM)
                waiting.remove(number)
    output, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0 and "Traceback" not in output, output
    assert "Trial 2 at epoch 2: its process was told to end (SIGTERM); it continues in another process." in output
    ledger = Ledger(home / "tiny", read_only=True)
    for trial in ledger.trials.values():
        assert (trial.outcome, trial.died_at, len(trial.displaced_at)) == ("completed", [], 1)
        rows = ledger.read_rows(trial)
        assert [row["epoch"] for row in rows] == [1, 2, 3, 4] and {row["attempt"] for row in rows} == {1, 2}
        expected = walk_undisturbed(tmp_path / str(trial.number), trial.seed, 4)
        assert [row["metrics"]["val/score"] for row in rows] == expected
    told = "An attempt at it was broken off: its process was told to end (SIGTERM)."
    assert told in list(explain(home, "tiny/2"))


def wait_for(folder: Path, is_so: Callable[[Ledger], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so(Ledger(folder, read_only=True)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def find_actors(driver: int) -> list[str]:
    """The titles that Ray gives to the processes of a driver's actors."""
    titles = []
    for process in psutil.Process(driver).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            titles += process.cmdline()[:1]
    return [title for title in titles if title.startswith(("ray::Worker", "ray::ResourceTrainable"))]


def test_a_driver_in_the_background_is_seen_refuses_a_second_one_pauses_and_is_stopped(
    tmp_path: Path, home: Path
) -> None:
    space = write_space(
        tmp_path / "tiny.yaml",
        **SLOW | ONE_AT_A_TIME | {"budget": {"trials_per_arm": 3, "max_epochs": 400}, "pruning": "none"},
    )

    def told(*arguments: object) -> str:
        process = orchestrate(*arguments, "--home", home)
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, output
        return output

    assert "tiny runs in the background, process" in told("sweep", space, "--detach")
    try:
        wait_for_rows(home / "tiny", 3)
        status = json.loads(told("status", "tiny", "--json"))
        assert status["state"] == "running" and status["driver"]["pid"] == driver_note(home / "tiny")["pid"]
        assert any(trial["state"] == "running" for trial in status["trials"])
        assert find_actors(status["driver"]["pid"])
        with pytest.raises(UserError, match=f"already running on .*process {status['driver']['pid']}"):
            run_sweep(read_search_space(space), home, Screen())
        assert "stops at the end of its epoch" in told("stop", "tiny/1")
        wait_for(home / "tiny", lambda ledger: ledger.trials[1].held)
        assert "tiny/1 continues from epoch" in told("continue", "tiny/1")
        wait_for(home / "tiny", lambda ledger: not ledger.trials[1].held)
        assert "tiny pauses" in told("pause", "tiny")
        wait_for(home / "tiny", lambda ledger: not ledger.live)
        assert json.loads(told("status", "tiny", "--json"))["state"] == "paused"
        # The last process that trained gives back what it holds, too.
        wait_for(home / "tiny", lambda ledger: not find_actors(status["driver"]["pid"]))
        assert "tiny continues" in told("continue", "tiny")
        wait_for(home / "tiny", lambda ledger: bool(ledger.live))
        assert "tiny has stopped. Continue with: orchestrate resume tiny" in told("stop", "tiny")
    finally:
        if note := driver_note(home / "tiny"):
            psutil.Process(note["pid"]).kill()
    assert json.loads(told("status", "tiny", "--json"))["state"] == "interrupted"
    assert "Stopped by SIGTERM" in (home / "tiny" / "output.txt").read_text()


def test_a_detached_command_that_is_refused_says_so_in_the_foreground(tmp_path: Path, home: Path) -> None:
    space = write_space(tmp_path / "tiny.yaml", **SLOW | {"disk": {"min_free_gib": 1e6}})
    driver = orchestrate("sweep", space, "--detach", "--home", home)
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode == 2 and "disk.min_free_gib asks for 1e+06" in output

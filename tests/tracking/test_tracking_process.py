"""Tracking as a process of its own, and against a real server."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable

import psutil
import pytest

from orchestrator.tracking import __main__
from orchestrator.tracking import sender as follower
from orchestrator.tracking.__main__ import Follower, follow
from orchestrator.tracking.sender import Deaths, run_sender
from orchestrator.tracking.ui import run_server
from tests.support.sweep_folder import SweepFolder


def test_the_process_sends_what_is_left_when_its_driver_has_gone(sweep: SweepFolder) -> None:
    process = subprocess.Popen([sys.executable, "-m", "orchestrator.tracking", str(sweep.path)], stdin=subprocess.PIPE)
    sweep.start()
    sweep.ask(1)
    sweep.report(1, 1)
    wait_until(lambda: bool(sweep.runs()) and len(sweep.runs()) == 2)
    sweep.report(1, 2)
    sweep.end(1)
    sweep.close()
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=120) == 0
    assert sweep.steps(1) == [1, 2]
    assert sweep.runs()["vae"].info.status == "FINISHED"


def test_a_trial_that_the_log_has_lost_is_not_sent(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    follower = Follower(sweep.path)
    size = (sweep.path / "sweep.jsonl").stat().st_size
    sweep.whole_trial(2)
    follower.look()
    # It could not be synced, and its driver took it back.
    os.truncate(sweep.path / "sweep.jsonl", size)
    follower.look()
    assert follower.send() and sweep.status()["error"] is None
    assert sweep.steps(1) == [1, 2] and len(sweep.runs()) == 2


def test_what_was_written_while_the_server_was_down_arrives_once_and_in_order(
    sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(__main__, "MAX_BACKOFF_S", 0.5)
    database = sweep.uri
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sweep.uri, sweep.artifact_root = f"http://127.0.0.1:{port}", None
    sweep.start()
    sweep.ask(1)
    sweep.report(1, 1)
    sweep.render(1, "best", 1)
    closed = threading.Event()
    sender = threading.Thread(target=follow, args=(sweep.path,), kwargs={"closed": closed})
    sender.start()
    wait_until(lambda: sweep.status()["backlog"] == 1)
    with run_server(sweep.home, database, port):
        wait_until(lambda: sweep.status()["error"] is None)
        assert sweep.steps(1) == [1]
        run_id = sweep.run(1).info.run_id
        url = f"{sweep.uri}/get-artifact?run_id={run_id}&path=dog_1_reconstruction.wav"
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == (sweep.trial(1) / "media/best/dog_1_reconstruction.wav").read_bytes()
    for epoch in (2, 3, 4):
        sweep.report(1, epoch)
    wait_until(lambda: sweep.status()["backlog"] == 3)
    sweep.end(1, epochs=4)
    sweep.close()
    with run_server(sweep.home, database, port):
        closed.set()
        sender.join(timeout=150)
        assert sweep.steps(1) == [1, 2, 3, 4]
        assert sweep.run(1).info.run_id == run_id
        assert sweep.run(1).info.status == "FINISHED"
    assert sweep.status()["backlog"] == 0


def wait_until(holds: Callable[[], bool], timeout_s: float = 150) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except (FileNotFoundError, StopIteration):
            pass
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


def test_a_sending_process_that_is_killed_is_started_again(sweep: SweepFolder) -> None:
    sweep.start()
    sweep.whole_trial(1)
    said: list[str] = []
    with run_sender(sweep.path, said.append):
        wait_until(lambda: sweep.steps(1) == [1, 2])
        for each in psutil.Process().children():
            if "orchestrator.tracking" in each.cmdline():
                each.kill()
        sweep.whole_trial(2)
        wait_until(lambda: sweep.steps(2) == [1, 2])
        sweep.close()
    assert sweep.runs()["vae"].info.status == "FINISHED" and not said


def test_a_process_that_dies_is_started_after_longer_and_longer_pauses_until_it_runs_well() -> None:
    deaths = Deaths()
    pauses = [deaths.pause_s(1.0) for _ in range(follower.MAX_DEATHS)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, None]
    deaths = Deaths()
    assert [deaths.pause_s(ran_s) for ran_s in (1.0, 1.0, 1.0, 3600.0, 1.0)] == [0.5, 1, 2, 0.5, 1]
    # A process that is killed once an hour is never given up.
    assert None not in [deaths.pause_s(3600.0) for _ in range(50)]


def test_a_process_that_can_not_run_is_given_up_and_that_is_said(
    sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "MAX_DEATHS", 2)
    sweep.start()
    (sweep.path / "tracking.lock").mkdir()
    said: list[str] = []
    with run_sender(sweep.path, said.append):
        wait_until(lambda: bool(said))
        assert said[0].startswith("MLflow: the process that sends died 2 times in a row (exit code 1, see ")
        # What stood in its way is gone: the last one sends all.
        (sweep.path / "tracking.lock").rmdir()
        sweep.whole_trial(1)
        sweep.close()
    assert len(said) == 1 and sweep.steps(1) == [1, 2]

"""Sweeps that are sent to a real Ray cluster, and go on there whatever becomes of the machine that sent them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from orchestrator.state.home import driver_note
from orchestrator.state.ledger import Ledger
from tests.support.spaces import HELPED, NOOP, write_space
from tests.system.test_sweep import PATIENCE_S

RAY = str(Path(sys.executable).with_name("ray"))


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Head:
    """A cluster of one machine that was started as users do, with `ray start`."""

    address: str
    dashboard: str

    def orchestrate(self, *arguments: object, code: int = 0) -> str:
        """What a command prints on a machine that is none of the cluster's, but for the address."""
        command = [sys.executable, "-m", "orchestrator", *map(str, arguments), "--address", self.dashboard]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == code and "Traceback" not in done.stderr, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    port, dashboard = free_port(), free_port()
    # Short, because of the sockets in it.
    scratch = Path("/tmp") / f"ray-head-{os.getpid()}"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [RAY, "start", "--head", "--block", f"--port={port}", f"--temp-dir={scratch}", "--num-cpus=2"]
    command += ["--include-dashboard=true", f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1"]
    command += ["--object-store-memory=100000000", f"--ray-client-server-port={free_port()}"]
    command += [f"--dashboard-agent-listen-port={free_port()}", f"--dashboard-agent-grpc-port={free_port()}"]
    command += [f"--metrics-export-port={free_port()}", f"--runtime-env-agent-port={free_port()}"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        yield Head(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}")
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        process.kill()
        process.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def wait_for_dashboard(head: Head) -> None:
    import requests

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException):
            # Without Ray's token it says that one is needed, which is an answer, too.
            requests.get(f"{head.dashboard}/api/version", timeout=5)
            return
        time.sleep(0.5)
    raise AssertionError("the dashboard did not start")


def wait_for_epochs(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 240
    while sum(trial.epochs for trial in Ledger(folder, read_only=True).trials.values()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.3)


@pytest.mark.long
def test_a_sweep_is_sent_with_its_code_survives_its_driver_and_is_asked_and_stopped(
    head: Head, tmp_path: Path, home: Path
) -> None:
    wait_for_dashboard(head)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "constants_of_mine.py").write_text("STEP = 0.25\n")
    (mine / "helped.py").write_text(HELPED)
    space = write_space(
        mine / "sent.yaml",
        name=None,
        trainable="./helped.py",
        params={"x": {"uniform": [0.0, 1.0]}, "epoch_s": 1.0},
        compare=None,
        pruning="none",
        budget={"trials_per_arm": 4, "max_epochs": 12},
        resources={"cpu": 2},
    )
    said = head.orchestrate("sweep", space, "--home", home, "--set", "seed=3", "--detach")
    assert "sent runs on the cluster, as raysubmit_" in said and "orchestrate attach sent --address" in said
    # Nothing of the sender is needed any more.
    shutil.rmtree(mine)
    wait_for_epochs(home / "sent", 3)
    assert "already running on the cluster" in head.orchestrate("resume", "sent", "--home", home, "--detach", code=2)
    note = driver_note(home / "sent")
    assert note is not None
    psutil.Process(note["pid"]).kill()
    wait_for_epochs(home / "sent", 14)
    # First of all, before the sweep ends by itself on a machine where a command takes long.
    said = head.orchestrate("stop", "sent")
    assert "sent has stopped. Continue with:" in said
    assert "The driver was killed (-9); it is started again" in head.orchestrate("logs", "sent")
    status = head.orchestrate("status", "sent", "--json")
    assert '"sweep": "sent"' in status or '"name": "sent"' in status, status
    assert driver_note(home / "sent") is None and not Ledger(home / "sent", read_only=True).is_finished
    # Everything that a driver needs is in the home.
    head.orchestrate("resume", "sent", "--home", home, "--detach")
    followed = head.orchestrate("attach", "sent")
    assert "best trial of each arm" in followed
    ledger = Ledger(home / "sent", read_only=True)
    assert ledger.is_finished and [trial.outcome for trial in ledger.trials.values()] == ["completed"] * 4
    assert ledger.starts[0].record["seed"] == 3 and len(ledger.starts) == 3
    for trial in ledger.trials.values():
        rows = ledger.read_rows(trial)
        assert [row["epoch"] for row in rows] == list(range(1, 13))
        assert rows[-1]["metrics"]["val/score"] == 1 - abs(trial.params["x"] - 0.3) - 0.25**12


def test_what_cannot_be_sent_is_refused_here(head: Head, tmp_path: Path, home: Path) -> None:
    wait_for_dashboard(head)
    space = write_space(tmp_path / "tiny.yaml", name="outside")
    said = head.orchestrate("sweep", space, "--home", home, "--detach", code=2)
    assert re.search(r"noop\.py: lies outside of .* which is what is sent to the cluster", said)
    shutil.copy(NOOP, tmp_path / "noop.py")
    space = write_space(tmp_path / "tiny.yaml", name="relative", trainable="./noop.py")
    said = head.orchestrate("sweep", space, "--home", "runs", "--detach", code=2)
    assert "--home runs: a cluster needs the absolute path" in said
    # What the cluster refuses is refused here, too.
    said = head.orchestrate(
        "sweep",
        space,
        "--home",
        home,
        "--set",
        "resources.gpu=1",
        "--detach",
        "--set",
        "resources.require_gpu=true",
        code=2,
    )
    assert "resources.gpu: 1 is required and Ray sees no GPU here" in said
    said = head.orchestrate("logs", "nothing", code=2)
    assert "nothing: no such sweep was sent to" in said and "relative" in said

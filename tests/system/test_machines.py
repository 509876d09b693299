"""A sweep on a real Ray cluster of several machines, which join, leave, die, and are not what they should be.

The machines are Ray nodes of their own on this one.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from orchestrator.state.events.interruptions import Died, Displaced
from orchestrator.state.ledger import Ledger
from tests.support.clusters import blind_machine, count_rows, drain, wait_for_machines
from tests.support.spaces import HELPED, write_space
from tests.system.test_sweep import PATIENCE_S, orchestrate

SPACE: dict[str, Any] = {
    "params": {"x": {"uniform": [0.0, 1.0]}, "epoch_s": 1.5},
    "compare": None,
    "pruning": "none",
    "budget": {"trials_per_arm": 7, "max_epochs": 8},
    "resources": {"cpu": 1},
}
ANOTHER_TORCH = "9.9.0"


@contextlib.contextmanager
def cluster(**head: Any) -> Iterator[Cluster]:
    """A cluster of one machine."""
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **head})
    try:
        yield nodes
    finally:
        nodes.shutdown()


def with_another_torch(folder: Path) -> dict[str, str]:
    """The environment of a machine on which another version of torch is installed, as far as its metadata says."""
    info = folder / f"torch-{ANOTHER_TORCH}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {ANOTHER_TORCH}\n")
    return {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}


class Output:
    """What a driver prints, as it comes."""

    def __init__(self, driver: subprocess.Popen[str], path: Path) -> None:
        self.driver, self.path = driver, path

    def text(self) -> str:
        return self.path.read_text()

    def wait_for(self, pattern: str, seconds: float = 120) -> None:
        self.wait_until(lambda: re.search(pattern, self.text()) is not None, pattern, seconds)

    def wait_until(self, is_so: Callable[[], bool], what: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline and self.driver.poll() is None, f"{what}\n{self.text()}"
            time.sleep(0.2)


@pytest.mark.long
def test_machines_come_and_go_and_no_trial_pays_for_it(tmp_path: Path, home: Path) -> None:
    with cluster() as nodes:
        dying = nodes.add_node(num_cpus=2)
        space = write_space(tmp_path / "tiny.yaml", **SPACE)
        path = tmp_path / "output.txt"
        with path.open("w") as file:
            driver = orchestrate(
                "sweep", space, "--home", home, "--address", nodes.address, stdout=file, cwd=str(tmp_path)
            )
        output = Output(driver, path)
        output.wait_until(lambda: count_rows(home / "tiny") >= 2, "two epochs")
        # A machine with something else installed joins, and is not used.
        nodes.add_node(num_cpus=2, env_vars=with_another_torch(tmp_path / "another"))
        output.wait_for(rf"No more trials of this sweep run on .*torch {ANOTHER_TORCH} instead of")
        # One dies, with whatever it trains.
        nodes.remove_node(dying, allow_graceful=False)
        output.wait_for(r"Trial \d at epoch \d+: its machine .* is gone; it continues elsewhere")
        # Another takes its place within seconds, and is taken back with a warning.
        spot = nodes.add_node(num_cpus=2)
        output.wait_for(r"has joined the cluster \(cpu 2, gpu 0\)")
        output.wait_until(lambda: len(Ledger(home / "tiny", read_only=True).live) == 3, "three trials at once")
        drain(nodes, spot.node_id, 60)
        output.wait_for(r"is about to leave the cluster: its trials move on")
        nodes.add_node(num_cpus=2)
        assert driver.wait(PATIENCE_S) == 0, output.text()
        assert "Traceback" not in output.text()
    ledger = Ledger(home / "tiny", read_only=True)
    assert [trial.outcome for trial in ledger.trials.values()] == ["completed"] * 7
    log = ledger.read_events()
    assert 1 <= sum(isinstance(event, Displaced) for event in log) <= 2
    # What was drained made room at the end of an epoch: nothing died.
    assert not any(isinstance(event, Died) for event in log)
    assert sum(trial.attempts for trial in ledger.trials.values()) > 8
    for trial in ledger.trials.values():
        rows = ledger.read_rows(trial)
        assert [row["epoch"] for row in rows] == list(range(1, 9))
        # What it would have been on a machine of its own.
        expected = [1 - abs(trial.params["x"] - 0.3) - 0.5**epoch for epoch in range(1, 9)]
        assert [row["metrics"]["val/score"] for row in rows] == pytest.approx(expected, rel=0, abs=0)


def test_a_cluster_is_looked_at_before_anything_starts(tmp_path: Path, home: Path) -> None:
    with cluster() as nodes:
        nodes.add_node(num_cpus=3, env_vars=with_another_torch(tmp_path / "another"))
        space = write_space(tmp_path / "tiny.yaml", **SPACE)
        driver = orchestrate("sweep", space, "--home", home, "--address", nodes.address, cwd=str(tmp_path))
        output, _ = driver.communicate(timeout=PATIENCE_S)
        assert driver.returncode == 2 and "Traceback" not in output
        assert re.search(rf"\(.*\): it has other versions than the driver \(torch {ANOTHER_TORCH} instead of", output)
    assert not Ledger(home / "tiny", read_only=True).starts


@pytest.mark.long
def test_a_machine_without_the_folder_of_the_code_runs_a_copy_in_the_home(tmp_path: Path, home: Path) -> None:
    """The other machine is in a mount namespace of its own, in which that folder is empty."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "constants_of_mine.py").write_text("STEP = 0.25\n")
    (mine / "helped.py").write_text(HELPED)
    changes = {"params": {"x": {"uniform": [0.0, 1.0]}, "epoch_s": 0.2}, "resources": {"cpu": 2}}
    budget = {"trials_per_arm": 1, "max_epochs": 3}
    space = write_space(mine / "tiny.yaml", **SPACE | changes | {"trainable": "./helped.py", "budget": budget})
    with cluster(num_cpus=0) as nodes:
        with blind_machine(nodes, mine):
            wait_for_machines(nodes, 2)
            driver = orchestrate("sweep", space, "--home", home, "--address", nodes.address, cwd=str(tmp_path))
            output, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, output
    assert f"can't see {mine}: trials run its copy {home / 'code' / 'tiny'}." in output
    ledger = Ledger(home / "tiny", read_only=True)
    (row,) = ledger.read_rows(ledger.trials[1])[-1:]
    assert row["metrics"]["val/score"] == 1 - abs(ledger.trials[1].params["x"] - 0.3) - 0.25**3


@pytest.mark.long
def test_a_sweep_ends_cleanly_when_its_hours_of_cards_are_spent_and_goes_on_with_more(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"params": {"x": {"uniform": [0.0, 1.0]}, "epoch_s": 0.4}, "resources": {"cpu": 1, "gpu": 0.5}}
    budget = {"trials_per_arm": 4, "max_epochs": 10, "gpu_hours": 3 / 3600}
    space = write_space(tmp_path / "tiny.yaml", **SPACE | changes | {"budget": budget})
    with cluster(num_cpus=2, num_gpus=1) as nodes:
        # This user has a token, which the cluster was started without.
        monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
        arguments = ("--home", home, "--address", nodes.address)
        driver = orchestrate("sweep", space, *arguments, cwd=str(tmp_path))
        output, _ = driver.communicate(timeout=PATIENCE_S)
        assert driver.returncode == 0 and "has spent its budget.gpu_hours of 0.000833333" in output, output
        spent = Ledger(home / "tiny", read_only=True)
        assert not spent.is_finished and 3 <= spent.gpu_seconds < 10
        driver = orchestrate("resume", "tiny", *arguments, "--set", "budget.gpu_hours=1", cwd=str(tmp_path))
        output, _ = driver.communicate(timeout=PATIENCE_S)
        assert driver.returncode == 0, output
    ledger = Ledger(home / "tiny", read_only=True)
    assert ledger.is_finished and [trial.epochs for trial in ledger.trials.values()] == [10] * 4
    # Forty epochs of 0.4 s on half a card, and the starts of their processes.
    assert ledger.gpu_seconds > 40 * 0.4 * 0.5

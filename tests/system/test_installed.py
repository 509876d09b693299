"""What a wheel installs, away from this checkout: one package, and a command that runs sweeps."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from orchestrator.state.ledger import Ledger
from tests.support.spaces import write_space

ROOT = Path(__file__).parents[2]
TRAINABLE = """
from pathlib import Path

import orchestrator
import trainables
from trainables.trainable import Metric, Trainable, TrialConfig


class Places(Trainable):
    METRICS = {"val/score": Metric("max", "all", "1")}

    class Config(TrialConfig):
        x: float

    def __init__(self, config, corpus, *, device, seed):
        for package in (orchestrator, trainables):
            assert "avsweep/packages" in package.__file__, package.__file__

    def step(self):
        return {"val/score": 1.0}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which an unpacked wheel lies."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_a_wheel_installs_one_package(installed: Path) -> None:
    assert [path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")] == ["avsweep"]
    packages = {path.name for path in (installed / "avsweep" / "packages").iterdir()}
    assert packages == {"orchestrator", "reports", "trainables"}
    for package in packages:
        expected = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")}
        below = installed / "avsweep" / "packages"
        assert {path.relative_to(below) for path in (below / package).rglob("*.py")} == expected


def test_an_installed_copy_runs_a_sweep_by_itself(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "places.py").write_text(TRAINABLE)
    space = write_space(
        tmp_path / "tiny.yaml", trainable="./places.py", compare=None, budget={"trials_per_arm": 1, "max_epochs": 2}
    )
    environment = os.environ | {"PYTHONPATH": str(installed), "ORCHESTRATE_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", "import avsweep; avsweep.main()", "sweep", str(space)]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    trial = Ledger(tmp_path / "home" / "tiny", read_only=True).trials[1]
    assert trial.outcome == "completed" and trial.best_value == 1.0

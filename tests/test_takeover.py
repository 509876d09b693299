"""A driver whose Ray has died on a disk that is full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import resource, sys
from pathlib import Path
from orchestrator.console import Screen
from orchestrator.ledger import Ledger
from orchestrator.signals import OnSignal
from orchestrator.takeover import Takeover

ledger = Ledger(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
Takeover(ledger, Screen(), OnSignal(), ["why", "nothing"], "go on", Path("/no/scratch"))()
"""


def test_it_becomes_a_fresh_driver_although_nothing_can_be_written(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path / "tiny")], capture_output=True, text=True)
    assert "Ray has died; going on with a new one." in done.stdout
    assert done.returncode == 2 and "give a sweep and the number of a trial" in done.stderr, (
        "the command that it became"
    )

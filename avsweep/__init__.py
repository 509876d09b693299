"""The one package that a wheel installs: the project's packages lie below it, so that they collide with nobody's.

`import avsweep` makes `trainables`, `reports` and `orchestrator` importable. In a checkout they lie at its root, and
this changes nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGES = Path(__file__).parent / "packages"

if PACKAGES.is_dir() and str(PACKAGES) not in sys.path:
    sys.path.insert(0, str(PACKAGES))


def prepare_process() -> None:
    """Let the processes that this one starts find the packages, too, such as trackers and Ray's workers.

    On a cluster every worker of Ray calls it first, because the packages may lie elsewhere on each machine.
    """
    if PACKAGES.is_dir():
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH"))))


def main() -> None:
    """Run the command `orchestrate`."""
    prepare_process()
    from orchestrator.cli import main as run

    run()

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


def main() -> None:
    """Run the command `orchestrate`."""
    if PACKAGES.is_dir():
        # The processes that it starts find the packages too: trackers, Ray's workers, trials of one's own files.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH"))))
    from orchestrator.cli import main as run

    run()

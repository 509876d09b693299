"""`python -m avsweep.job HOME NAME COMMAND…` keeps a driver running in a job of a Ray cluster; `--detach` sends it."""

from __future__ import annotations

import sys
from pathlib import Path

from avsweep import prepare_process


def main() -> int:
    """Run the driver that the arguments name, and return its exit code."""
    prepare_process()
    from orchestrator.errors import OrchestratorError
    from orchestrator.machines.supervisor import supervise

    home, name, *arguments = sys.argv[1:]
    try:
        return supervise(Path(home), name, arguments)
    except OrchestratorError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())

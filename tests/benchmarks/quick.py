"""How long the commands take that only read something, beside the import of the command line's own library.

    python -m tests.benchmarks.quick [--times 5]

Each is a process of its own, as in a shell. Of five runs the fastest counts; a first one compiles the modules. The
second column is the processor time, which other processes on the machine hardly change.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.sweep_folder import SweepFolder

ROOT = Path(__file__).parents[2]
ORCHESTRATE = (sys.executable, "-m", "orchestrator")


def commands(home: Path) -> dict[str, Sequence[str]]:
    """The commands by their name in the table."""
    at_home = ("--home", str(home))
    return {
        'python -c "import typer"': (sys.executable, "-c", "import typer"),
        "--version": (*ORCHESTRATE, "--version"),
        "--help": (*ORCHESTRATE, "--help"),
        "why vae/1": (*ORCHESTRATE, "why", "vae/1", *at_home),
        "status": (*ORCHESTRATE, "status", *at_home),
        "schema": (*ORCHESTRATE, "schema"),
        "plan search_spaces/vae.yaml": (*ORCHESTRATE, "plan", "search_spaces/vae.yaml", *at_home),
    }


def measure(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command, and return the seconds that it takes and those of the processor."""
    begin = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    child = os.posix_spawn(command[0], command, environment, file_actions=silent)
    _, status, used = os.wait4(child, 0)
    seconds = time.perf_counter() - begin
    if status:
        raise SystemExit(f"{' '.join(command)}: exit code {os.waitstatus_to_exitcode(status)}")
    return seconds, used.ru_utime + used.ru_stime


def write_sweep(home: Path) -> None:
    """Write a sweep of twelve trials that have ended."""
    sweep = SweepFolder(home)
    sweep.start(arms={"loss=l1": {"trials": 12, "epochs": 3}})
    for number in range(1, 13):
        sweep.whole_trial(number, "l1", epochs=3)


def main() -> None:
    """Print a row for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        write_sweep(home)
        # Compiled modules are read, as after an installation, but none are written beside the sources.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "compiled")
        print("| command | seconds | of the processor |\n|---|---|---|")
        for name, command in commands(home).items():
            measure(command, environment)
            runs = [measure(command, environment) for _ in range(times)]
            seconds, processor_s = (min(column) for column in zip(*runs, strict=True))
            print(f"| `{name}` | {seconds:.2f} | {processor_s:.2f} |", flush=True)


if __name__ == "__main__":
    main()

"""The process of a Ray job that keeps a driver running: a killed one starts again, and continues from its log.

    python -m avsweep.job HOME NAME sweep vae.yaml

The files that were sent with a search space are first copied into the home, where they stay when the cluster ends, and
where every machine sees them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from orchestrator.machines.address import AUTO, VARIABLE
from orchestrator.machines.code_copy import CODE, replace_folder
from orchestrator.state.event_lines import KINDS
from orchestrator.state.home import check_not_running
from orchestrator.state.paths import SWEEP_LOG
from orchestrator.storage import json_lines

FINAL = (0, 1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM)
"""Exit codes of a driver that has ended by itself: finished, stopped, refused, or stopped by a signal."""
MAX_RESTARTS = 5
"""The most restarts in a row without a report of a trial between them; then the sweep is given up."""
PAUSE_S = 2.0


def supervise(home: Path, name: str, arguments: Sequence[str]) -> int:
    """Run a driver, and start it again as often as it is killed.

    Args:
        home: the folder of all sweeps.
        name: the name of the sweep.
        arguments: those of `orchestrate`, without the home and the address.

    Returns:
        The exit code of the last driver.

    Raises:
        UserError: the sweep is running already.
    """
    check_not_running(home / name)
    folder = Path.cwd()
    if arguments[0] == "sweep":
        sent, folder = folder, home / CODE / name
        replace_folder(folder, lambda fresh: shutil.copytree(sent, fresh))
    log = home / name / SWEEP_LOG
    # Ray names its cluster to each job.
    os.environ.setdefault(VARIABLE, AUTO)
    # The files are in the home now: workers need not fetch what was sent with the job.
    os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] = "1"
    _, log_end = json_lines.read(log)
    restarts = 0
    while True:
        code, was_stopped = _run([sys.executable, "-m", "avsweep", *arguments, "--home", str(home)], folder)
        if code in FINAL or was_stopped:
            return code
        new_lines, log_end = json_lines.read(log, log_end)
        if new_lines:
            # What the command asked for, such as 4 more trials, is in the log: it must not be granted twice.
            arguments = ["resume", name]
        restarts = 1 if has_sign_of_life(new_lines) else restarts + 1
        if restarts > MAX_RESTARTS:
            times = f"{restarts} times without a report of a trial between"
            print(f"The driver ended {times} (the last time: {code}); given up.", flush=True)
            return code
        print(f"The driver was killed ({code}); it is started again, and continues from its log.", flush=True)
        time.sleep(PAUSE_S)


def has_sign_of_life(lines: Sequence[json_lines.Line]) -> bool:
    """Return whether lines of a sweep log say that a trial has reported something.

    Every driver writes that it has started, and which trials it begins; one that is killed soon after has still done
    nothing.
    """
    names = {name for name, kind in KINDS.items() if kind.is_sign_of_life}
    return any(line["event"] in names for line in lines)


def _run(command: Sequence[str], folder: Path) -> tuple[int, bool]:
    """Run a driver to its end; return its exit code, and whether this process was asked to end."""
    process = subprocess.Popen(command, cwd=folder)
    signals: list[int] = []

    def note_signal(number: int, frame: FrameType | None) -> None:
        # Stopping a job signals all of its processes: a second signal would end the driver at once.
        signals.append(number)

    before = signal.signal(signal.SIGTERM, note_signal)
    try:
        return process.wait(), bool(signals)
    finally:
        signal.signal(signal.SIGTERM, before)

"""Run `deploy/slurm.sh` under a real Slurm on this machine: time limit, requeue, cancellation, and the next job.

    python -m tests.benchmarks.slurm

It needs root and Debian's slurmctld, slurmd and slurm-client, and takes about 6 minutes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.state.ledger import Ledger
from tests.support.spaces import write_space

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "slurm.sh"
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={slurmd_port}
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
PATIENCE_S = 420.0


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Slurm:
    """A controller and one machine, with jobs."""

    def __init__(self, folder: Path) -> None:
        for name in ("state", "spool"):
            (folder / name).mkdir()
        self.folder = folder
        conf = folder / "slurm.conf"
        values = {"host": socket.gethostname(), "port": free_port(), "slurmd_port": free_port()}
        conf.write_text(CONF.format(folder=folder, cpus=os.cpu_count(), **values))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
        self.environment = {**os.environ, "SLURM_CONF": str(conf), "PATH": path, "PYTHONPATH": str(ROOT)}
        for daemon in ("slurmctld", "slurmd"):
            self.run(daemon)

    def run(self, *command: object) -> str:
        done = subprocess.run(
            [*map(str, command)], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self, *arguments: object) -> str:
        return self.run("sbatch", "--parsable", *arguments)

    def state(self, job: str) -> str:
        words = self.run("scontrol", "show", "job", job).split()
        return next(word.removeprefix("JobState=") for word in words if word.startswith("JobState="))

    def close(self) -> None:
        self.run("scancel", "--full", "--signal=KILL", "--state=RUNNING")
        for daemon in ("slurmd", "slurmctld"):
            pid = int((self.folder / f"{daemon}.pid").read_text())
            os.kill(pid, 15)


def wait_until(is_so: Callable[[], bool], what: str) -> float:
    """Wait for something, and return how long that took in seconds."""
    began_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - began_s < PATIENCE_S, what
        time.sleep(0.5)
    return time.monotonic() - began_s


def count_epochs(folder: Path) -> int:
    """How many epochs a sweep has recorded."""
    return sum(trial.epochs for trial in Ledger(folder, read_only=True).trials.values())


def check_whole(folder: Path, epochs: int) -> None:
    """Check that a sweep is finished, with every epoch once."""
    ledger = Ledger(folder, read_only=True)
    assert ledger.is_finished, ledger.closed
    for trial in ledger.trials.values():
        assert [row["epoch"] for row in ledger.read_rows(trial)] == list(range(1, epochs + 1))
        assert not trial.died_at and trial.outcome == "completed"


def main() -> None:
    """Print what happened, a line each."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        slurm = Slurm(folder)
        home = folder / "home"
        settings = {"params": {"x": {"uniform": [0.0, 1.0]}, "epoch_s": 0.8}, "compare": None, "pruning": "none"}
        budget = {"trials_per_arm": 4, "max_epochs": 50}
        try:
            space = write_space(folder / "limit.yaml", **settings, name="limit", budget=budget)
            # The shortest limit that leaves time for a start; Slurm looks at its limits every half minute.
            job = slurm.submit("--time=3", "--signal=B:USR1@60", SCRIPT, space, "--home", home)
            wait_until(lambda: "is queued again" in read(folder, job), "requeued")
            done = count_epochs(home / "limit")
            print(f"time limit: the sweep stopped cleanly after {done} of 200 epochs, and its job is queued again")
            wait_until(lambda: slurm.state(job) in ("COMPLETED", "FAILED"), "the job ends")
            check_whole(home / "limit", 50)
            starts = len(Ledger(home / "limit", read_only=True).starts)
            print(f"requeue: {starts} runs of one job finished the sweep, every epoch once")

            space = write_space(folder / "cancel.yaml", **settings, name="cancel", budget=budget | {"max_epochs": 15})
            arguments = ("--time=10", SCRIPT, space, "--home", home)
            job = slurm.submit(*arguments)
            wait_until(lambda: count_epochs(home / "cancel") > 5, "some epochs")
            slurm.run("scancel", job)
            wait_until(lambda: slurm.state(job) == "CANCELLED", "cancelled")
            job = slurm.submit(*arguments)
            wait_until(lambda: slurm.state(job) in ("COMPLETED", "FAILED"), "the next job ends")
            check_whole(home / "cancel", 15)
            print("cancellation: the next job with the same arguments finished the sweep, every epoch once")
        except AssertionError:
            print("\n".join(path.read_text() for path in folder.glob("*.txt")))
            raise
        finally:
            slurm.close()


def read(folder: Path, job: str) -> str:
    """What a job has printed."""
    path = folder / f"orchestrate-{job}.txt"
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    main()

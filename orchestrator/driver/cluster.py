"""Start or join Ray, and what a request for resources becomes on the machines that there are."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsweep import PACKAGES
from orchestrator.errors import UserError
from orchestrator.storage.scratch import make_scratch

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Resources, Sweep

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's memory monitor kills a worker in a way that takes the whole sweep down; the kernel's takes one trial.
    "RAY_memory_monitor_refresh_ms": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Tune's snapshots are never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1000000",
}

OBJECT_STORE_BYTES = 100 * 2**20
"""Ray would take 30 % of the memory for objects; only parameters and rows of metrics travel here."""


@dataclass(frozen=True)
class Capacity:
    """What the cluster has in all."""

    cpus: float
    gpus: float


@dataclass(frozen=True)
class Grant:
    """What a trial of an arm is given."""

    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """Threads of a trial, from its share of the processors."""
        return max(1, int(self.cpus))

    def times(self, factor: float, capacity: Capacity) -> Grant:
        """So many times as much, if there is as much: of one card at most all, of several only whole ones."""
        gpus = min(self.gpus * factor, capacity.gpus)
        return Grant(min(self.cpus * factor, capacity.cpus), min(gpus, 1.0) if self.gpus < 1 else float(int(gpus)))


@contextlib.contextmanager
def starting(log_file: Path) -> Iterator[tuple[Path, Callable[[], Capacity]]]:
    """A Ray that lives until the block ends: a new local one, or the cluster that `RAY_ADDRESS` names.

    Yields:
        A temporary folder that is deleted at its end, and a function that waits until it has started, which takes
        seconds; meanwhile the block can prepare its work.

    Raises:
        UserError: nobody answers at `RAY_ADDRESS`.
    """
    os.environ.update(ENVIRONMENT)
    if address := os.environ.get("RAY_ADDRESS"):
        check_answers(address)
        # Ray asks to be let in once, for 40 s, instead of 20 times.
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
    # Here, because two threads that import parts of one package at a time can see them half done.
    import ray

    scratch = make_scratch()
    # The kernel ends Ray's processes with the thread that started them: it has to outlive the shutdown.
    with ThreadPoolExecutor(1) as executor:
        capacity = executor.submit(_start, scratch, log_file)
        try:
            yield scratch, capacity.result
        finally:
            wait([capacity])
            ray.shutdown()
            shutil.rmtree(scratch, ignore_errors=True)


def check_answers(address: str) -> None:
    """Make sure that somebody listens at a `host:port`: Ray itself would try for many minutes.

    Raises:
        UserError: nobody does.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UserError(
            f"RAY_ADDRESS: no Ray answers at {address} ({error.strerror or error}); start one there (ray start --head) "
            "or unset it, and a Ray of this machine's own is started"
        ) from None


def _start(scratch: Path, log_file: Path) -> Capacity:
    import ray

    # Inherited by Ray's processes: a terminal that closes must end the driver, and the driver them.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    if address := os.environ.get("RAY_ADDRESS"):
        _join(address)
    else:
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(scratch),
            )
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"Ray could not be started on this machine ({reason}); where it is overloaded or short of memory,"
                " the same command again goes on later"
            ) from error
    # After init, which sets up the loggers its own way.
    quiet(log_file)
    total = ray.cluster_resources()
    return Capacity(total.get("CPU", 0.0), total.get("GPU", 0.0))


def _join(address: str) -> None:
    """Become a driver of the Ray at an address.

    Raises:
        UserError: it lets nobody in who is like this process.
    """
    import ray

    try:
        # A worker there inherits nothing from here.
        variables = {"PYTHONPATH": os.environ["PYTHONPATH"]} if PACKAGES.is_dir() else {}
        ray.init(
            address=address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            runtime_env={"env_vars": variables} if variables else None,
        )
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"RAY_ADDRESS: the Ray at {address} can't be joined ({reason}); it needs the version of Ray and of Python "
            "that this environment has and, where it was started with RAY_AUTH_MODE=token, that and its token here too"
        ) from None


def quiet(log_file: Path) -> None:
    """Send what Ray's loggers say to the sweep's `driver.log`."""
    handler = logging.FileHandler(log_file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    import ray

    def log_lines(data: dict[str, Any], ignore_prefix: bool) -> None:
        logging.getLogger("ray").error("\n".join(data["lines"]))

    # Ray prints a long paragraph for every process that dies, over whatever is on the terminal.
    ray._private.worker.print_to_stdstream = log_lines
    for name in ("ray", "ray.tune", "optuna"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False


def grants(sweep: Sweep, capacity: Capacity) -> tuple[dict[str, Grant], list[str]]:
    """What each arm's trials are given here, and what has to be said about it.

    Raises:
        UserError: a GPU is required where there is none, or more are asked for than there are.
    """
    grant_by_arm: dict[str, Grant] = {}
    notes: dict[str, None] = {}
    for arm in sweep.arms:
        grant_by_arm[arm.name], said = _grant(arm.resources, capacity)
        notes |= dict.fromkeys(said)
    return grant_by_arm, list(notes)


def _grant(resources: Resources, capacity: Capacity) -> tuple[Grant, list[str]]:
    notes = []
    cpus, gpus = resources.cpu, resources.gpu
    if cpus > capacity.cpus:
        notes.append(
            f"resources.cpu: {resources.cpu:g} asked for, {capacity.cpus:g} here: trials get {capacity.cpus:g}."
        )
        cpus = capacity.cpus
    if gpus > 0 and capacity.gpus == 0:
        if resources.require_gpu:
            raise UserError(
                f"resources.gpu: {resources.gpu:g} is required and Ray sees no GPU here; "
                "run where there is one, or set resources.require_gpu=false to train on the CPU"
            )
        notes.append("No GPU here: trials run on the CPU.")
        gpus = 0
    elif gpus > capacity.gpus:
        raise UserError(
            f"resources.gpu: {resources.gpu:g} asked for each trial, {capacity.gpus:g} here; set at most that"
        )
    return Grant(cpus, gpus), notes


def slots(grant_by_arm: dict[str, Grant], capacity: Capacity) -> int:
    """How many trials can run at once, by the arm that asks for the least."""
    return max(
        min(_fits(capacity.cpus, grant.cpus), _fits(capacity.gpus, grant.gpus)) for grant in grant_by_arm.values()
    )


def _fits(total: float, share: float) -> int:
    # Shares such as 0.1 are not exact: 0.3 / 0.1 is 2.99….
    return math.floor(total / share + 1e-6) if share else 1_000_000


def busy_gpus() -> list[str]:
    """Cards of this machine of which somebody else holds more than half, one line each."""
    query = ["nvidia-smi", "--query-gpu=index,memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    lines = []
    for row in answer.splitlines():
        index, free_mib, total_mib = (int(cell) for cell in row.split(","))
        if free_mib < total_mib / 2:
            lines.append(
                f"GPU {index} has {free_mib / 1024:.1f} of {total_mib / 1024:.1f} GiB free, another process "
                "holds the rest: trials there may run out of memory (CUDA_VISIBLE_DEVICES chooses other cards)."
            )
    return lines

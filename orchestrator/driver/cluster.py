"""Start Ray, or join the cluster that `--address` or `RAY_ADDRESS` names."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.machines.address import (
    AUTO,
    VARIABLE,
    check_answers,
    cluster_address,
    set_token_mode,
    works_without_token,
)
from orchestrator.storage.scratch import make_scratch

ENVIRONMENT = {
    # Tune sets it for its actors, see `ray_tune.use_started_workers`.
    "PL_DISABLE_FORK": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # If Ray's memory monitor kills a worker, the whole sweep fails; if the kernel does, only one trial fails.
    "RAY_memory_monitor_refresh_ms": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Tune's snapshots are never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1000000",
}

SHORT_OF_MEMORY = "running low on memory"
"""Part of Ray's error when a cluster's memory monitor has killed a worker: Ray gives up all trials and names none.

The monitor is switched off in a Ray that this process starts, but not in a cluster that it joins.
"""
SETUP_HOOK = "avsweep.prepare_process"
"""Each worker process of a cluster calls this first: the path of this package may differ between machines."""
OBJECT_STORE_BYTES = 100 * 2**20
"""Size of Ray's object store, which holds only parameters and metrics here; its default is 30 % of the memory."""


@contextlib.contextmanager
def start_ray(log_file: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Run Ray until the block ends: a new local instance, or the cluster that `RAY_ADDRESS` names.

    Args:
        log_file: the file for Ray's log messages.

    Yields:
        A temporary folder, which is deleted after the block, and a function that waits until Ray has started, which
        takes seconds.

    Raises:
        UserError: no Ray answers at `RAY_ADDRESS`, or this process can't join it.
    """
    os.environ.update(ENVIRONMENT)
    if address := cluster_address():
        check_answers(address)
        # One attempt to join takes 40 s then; by default Ray makes 20 attempts.
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
    # Imported before the thread starts: if two threads import one package, one may see it half initialized.
    import ray

    scratch = make_scratch()
    # The kernel kills Ray's processes when the thread that started them ends: the thread has to outlive the shutdown.
    with ThreadPoolExecutor(1) as executor:
        connection = executor.submit(_connect, scratch, log_file)
        try:
            yield scratch, connection.result
        finally:
            wait([connection])
            ray.shutdown()
            shutil.rmtree(scratch, ignore_errors=True)


def _connect(scratch: Path, log_file: Path) -> None:
    """Start or join Ray."""
    import ray

    # Ray's processes inherit the mask: when the terminal closes, only the driver may act on the signal and end them.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    if address := cluster_address():
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
                f"Ray could not be started on this machine ({reason}); if it is overloaded or short of memory, run "
                "the same command again later"
            ) from error
    # After `init`, which configures the loggers itself.
    redirect_ray_logs(log_file)


def _join(address: str) -> None:
    """Connect this process to the Ray cluster at an address."""
    import ray

    if works_without_token(address):
        # A driver that demands a token refuses the calls of a cluster that has none, and each of its actors dies.
        set_token_mode("disabled")
    try:
        ray.init(
            address=address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            runtime_env={"worker_process_setup_hook": SETUP_HOOK},
        )
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        if address == AUTO and isinstance(error, ConnectionError):
            raise UserError(
                f"{VARIABLE}: no Ray runs on this machine ({reason}); start one (ray start), or give "
                "--address HOST:PORT"
            ) from None
        raise UserError(
            f"{VARIABLE}: the Ray at {address} can't be joined ({reason}); it needs the version of Ray and of Python "
            "that this environment has and, where it was started with RAY_AUTH_MODE=token, that and its token here too"
        ) from None


def redirect_ray_logs(log_file: Path) -> None:
    """Write the log messages of Ray and Optuna to a file instead of the terminal."""
    handler = logging.FileHandler(log_file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    import ray

    def log_lines(data: dict[str, Any], ignore_prefix: bool) -> None:
        logging.getLogger("ray").error("\n".join(data["lines"]))

    # Ray prints a long paragraph for every process that dies, which would break the live table.
    ray._private.worker.print_to_stdstream = log_lines
    for name in ("ray", "ray.tune", "optuna"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False

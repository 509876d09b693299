"""The Ray actor that trains or evaluates one trial after the other."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NoReturn

import ray
from ray import tune

from orchestrator import processor
from orchestrator.plugins.loader import TrainingOver
from orchestrator.state.paths import TRIAL_LOG
from orchestrator.storage.objects import StoreError
from orchestrator.worker import guard
from orchestrator.worker.ending import EndSignal, ToldToEnd
from orchestrator.worker.failure import as_failure
from orchestrator.worker.home_check import check_token
from orchestrator.worker.postmortem import ATTEMPT, EXIT, MACHINE
from orchestrator.worker.remote_home import RemoteHome
from orchestrator.worker.spec import Storage, TrialSpec
from orchestrator.worker.versions import check_files, check_versions

PR_SET_PDEATHSIG = 1
"""The option of prctl(2) that sets the signal for a process whose parent dies."""
START_EPOCHS = 10
"""A start may take this many times the limit of an epoch: it may compute features, and wait for another trial's judge.
"""
EVALUATION_EPOCHS = 10
"""An evaluation may take this many times the limit of an epoch, because it resynthesizes every clip of its split."""


class Worker(tune.Trainable):  # type: ignore[misc]
    """The trainable that Ray Tune runs: each `step` is an epoch, or an evaluation.

    Everything that can fail happens in `step`, because Tune passes only its exceptions on with their class. Results are
    sent as JSON text, because Tune flattens nested ones.
    """

    _remote_home: RemoteHome | None = None
    """The files of the task, where this machine does not share the home."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first task.

        Args:
            config: the `kind` of the task (`train` or `evaluate`), and its `spec`, the fields of a `TrialSpec`.
        """
        die_with_parent()
        self._end_signal = EndSignal()
        self._take(config)

    def _take(self, config: dict[str, Any]) -> None:
        spec = TrialSpec(**config["spec"])
        self._remote_home = RemoteHome(spec, Storage(**spec.storage), config["kind"]) if spec.storage else None
        if self._remote_home is not None:
            spec = self._remote_home.spec
        self._task = {**config, "spec": vars(spec)}
        self._run: Any = None
        self._end_signal.begin_task(Path(spec.folder) / TRIAL_LOG, spec.attempt, spec.seconds_after_sigterm)
        if spec.gpu == 0:
            # Ray does not set the variable for an actor without a GPU, and the trial would see every GPU.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next task; Tune reuses the process if this returns True."""
        self.cleanup()
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch, or evaluate the best checkpoint.

        Returns:
            JSON texts: the `row` of the epoch and the `remarks` about checkpoints, or what was `evaluated`; or, instead
            of a row, why the trial is `over`, which is no JSON. `machine` is Ray's id of this machine.

        Raises:
            TrialFailure: anything went wrong.
        """
        spec = TrialSpec(**self._task["spec"])
        try:
            with self._end_signal.during_step():
                # A machine that has just joined gets trials before the driver has looked at it.
                is_known = machine_id() in spec.looked_at
                check_versions(spec.versions, is_known=is_known)
                check_files(() if is_known else spec.files)
                if self._remote_home is None:
                    check_token(Path(spec.folder).parents[1], spec.token)
                elif self._run is None:
                    self._remote_home.begin()
                with redirect_output(Path(spec.folder) / TRIAL_LOG) as output:
                    return self._work(spec, output) | {"machine": machine_id()}
        except (Exception, guard.TooSlow, ToldToEnd) as error:
            # Outside of the block that opens the log, because on a full disk the log itself raises.
            # What the trial's own child processes make of SIGTERM looks like any error.
            if self._remote_home is not None and self._end_signal.has_come:
                self._remote_home.finish(spec.seconds_after_sigterm)
            elif self._remote_home is not None and not isinstance(error, StoreError):
                self._remote_home.push_end()
            raise as_failure(ToldToEnd() if self._end_signal.has_come else error, machine_id()) from None

    def _work(self, spec: TrialSpec, output: IO[str]) -> dict[str, Any]:
        is_evaluation = self._task["kind"] == "evaluate"
        if is_evaluation:
            # Before the imports, which take seconds: an evaluation has the number of the trial's last attempt. If it
            # died before this line, the driver would take a signal to the process before it for one to this process.
            self._print_machine()
        # They import torch: an error in that belongs to the trial, and is written to its log.
        from orchestrator.worker.attempt import TrialRun
        from orchestrator.worker.evaluation import evaluate

        minutes = spec.minutes_per_epoch
        if is_evaluation:
            self._push(waits=True)
            if self._remote_home is not None and self._remote_home.lacks_epochs:
                self._train_lost_epochs(spec, output)
            times = EVALUATION_EPOCHS * (1 + len(spec.renderings))
            with guard.time_limit(minutes, output, what="no evaluation", times=times):
                result = {"evaluated": json.dumps(evaluate(spec))}
            self._push(waits=True)
            return result
        if self._run is None:
            print(f"{ATTEMPT} {spec.attempt}, {datetime.now():%Y-%m-%d %H:%M:%S}, process {os.getpid()}", flush=True)
            self._print_machine()
            if problem := processor.known_problem():
                print(problem, flush=True)
            # Before anything is trained: from now on nobody reads what an earlier attempt may still write.
            self._push(waits=True)
            with guard.time_limit(minutes, output, what="not ready to train", times=START_EPOCHS):
                self._run = TrialRun(spec)
            for remark in self._run.remarks:
                print(remark, flush=True)
        if self._remote_home is not None:
            self._remote_home.check()
        is_last = False
        try:
            with guard.time_limit(minutes, output):
                row = self._run.step()
            result = {"row": json.dumps(row)}
            is_last = "diverged" in row or row["epoch"] in spec.stored_epochs
        except TrainingOver as over:
            if self._end_signal.has_come:
                # A command may end cleanly at SIGTERM, which is not the end of its training.
                raise
            result, is_last = {"over": str(over)}, True
        remarks, self._run.remarks = self._run.remarks, []
        # After the last epoch of a trial, or of this process, nothing trains while the store is written to.
        self._push(waits=is_last or self._end_signal.has_come)
        return result | {"remarks": json.dumps(remarks)}

    def _train_lost_epochs(self, spec: TrialSpec, output: IO[str]) -> None:
        """Train the epochs of an ended trial again that were reported, and lost before the store had them."""
        from orchestrator.worker.attempt import TrialRun

        minutes = spec.minutes_per_epoch
        with guard.time_limit(minutes, output, what="not ready to train", times=START_EPOCHS):
            run = TrialRun(spec)
        for remark in run.remarks:
            print(remark, flush=True)
        with contextlib.closing(run):
            while run.epoch < spec.reported_epochs:
                with guard.time_limit(minutes, output):
                    run.step()

    def _push(self, *, waits: bool) -> None:
        """Write what is new in the trial's folder to the store, outside of any limit of time, if there is a store.

        Args:
            waits: whether the store has it when this returns. Otherwise it is written while the next epoch trains.
        """
        if self._remote_home is None:
            return
        began_s = time.monotonic()
        self._remote_home.push()
        if waits:
            self._remote_home.wait()
        if self._run is not None:
            self._run.upload_s = time.monotonic() - began_s

    def _print_machine(self) -> None:
        """Print where this process runs, for the driver and for readers of the log."""
        if machine := machine_id():
            print(f"{MACHINE} {machine}, {socket.gethostname()}", flush=True)
            # What the log says of a signal counts only behind this line, and one may have come before it.
            self._end_signal.note_in_log()

    def cleanup(self) -> None:
        """Close the trial's outbox, if it is open."""
        self._end_signal.end_task()
        if self._run is not None:
            self._run.close()
            self._run = None
        if self._remote_home is not None:
            self._remote_home.close()
            self._remote_home = None


def machine_id() -> str:
    """Return Ray's id of this machine; "" outside of Ray."""
    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def die_with_parent() -> None:
    """Have the kernel kill this process when its raylet dies (Linux only).

    It would live on for half a minute, and hold its trial's outbox and its GPU memory.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def redirect_output(path: Path) -> Iterator[IO[str]]:
    """Append output, tracebacks of exceptions, and the stack of a crash to a trial's log, and yield the open log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exit_at_once = os._exit

    def log_and_exit(status: int) -> NoReturn:
        # `os._exit` prints nothing, so that without this line it would look like a kill in the log.
        print(f"{EXIT}({status})", file=file, flush=True)
        faulthandler.dump_traceback(file)
        exit_at_once(status)

    with path.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        faulthandler.enable(file)
        os._exit = log_and_exit
        try:
            yield file
        finally:
            os._exit = exit_at_once
            if not isinstance(sys.exception(), ToldToEnd | None):
                traceback.print_exc()
            faulthandler.disable()

"""A trainable inside Ray: one actor that trains or evaluates one trial after the other."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NoReturn

from ray import tune

from orchestrator import processor
from orchestrator.state.paths import TRIAL_LOG
from orchestrator.worker import guard
from orchestrator.worker.failure import as_failure
from orchestrator.worker.postmortem import ATTEMPT, EXIT
from orchestrator.worker.shared_home import check_token
from orchestrator.worker.spec import TrialSpec

PR_SET_PDEATHSIG = 1
"""prctl(2)"""
EVALUATION_EPOCHS = 10
"""An evaluation resynthesizes every clip of its split, which may take as long as so many epochs."""


class Worker(tune.Trainable):  # type: ignore[misc]
    """What Ray runs; all that can fail happens in `step`, so that its exception reaches the driver with its class.

    Results travel as JSON text, because Tune flattens nested ones.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._given = config
        self._run: Any = None
        die_with_parent()
        if config["spec"]["gpu"] == 0:
            # Ray leaves the variable alone then, and the trial would see every card.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        spec = TrialSpec(**self._given["spec"])
        try:
            check_token(Path(spec.folder).parents[1], spec.token)
            with output_to(Path(spec.folder) / TRIAL_LOG) as output:
                return self._work(spec, output)
        except Exception as error:
            # Outside, because on a full disk the log itself raises.
            raise as_failure(error) from None

    def _work(self, spec: TrialSpec, output: IO[str]) -> dict[str, Any]:
        from orchestrator.worker.attempt import TrialRun
        from orchestrator.worker.evaluation import evaluate

        minutes = spec.minutes_per_epoch
        if self._given["kind"] == "evaluate":
            times = EVALUATION_EPOCHS * (1 + len(spec.renderings))
            with guard.time_limit(minutes, output, what="no evaluation", times=times):
                return {"evaluated": json.dumps(evaluate(spec))}
        if self._run is None:
            print(f"{ATTEMPT} {spec.attempt}, {datetime.now():%Y-%m-%d %H:%M:%S}, process {os.getpid()}", flush=True)
            if problem := processor.known_problem():
                print(problem, flush=True)
            with guard.time_limit(minutes, output, what="not ready to train"):
                self._run = TrialRun(spec)
            for remark in self._run.remarks:
                print(remark, flush=True)
        with guard.time_limit(minutes, output):
            row = self._run.step()
        remarks, self._run.remarks = self._run.remarks, []
        return {"row": json.dumps(row), "remarks": json.dumps(remarks)}

    def cleanup(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None


def die_with_parent() -> None:
    """Let the kernel end this process together with its raylet, which it would outlive by half a minute.

    Until then it would hold its trial's outbox, and its GPU memory.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def output_to(path: Path) -> Iterator[IO[str]]:
    """Append what is printed, the traceback of what is raised, and the stack of a crash, to a trial's log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exit_at_once = os._exit

    def tell_and_exit(status: int) -> NoReturn:
        # The one way out of Python that says nothing; everybody who reads the log would think of a kill.
        print(f"{EXIT}({status})", file=file, flush=True)
        faulthandler.dump_traceback(file)
        exit_at_once(status)

    with path.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        faulthandler.enable(file)
        os._exit = tell_and_exit
        try:
            yield file
        finally:
            os._exit = exit_at_once
            if sys.exception() is not None:
                traceback.print_exc()
            faulthandler.disable()

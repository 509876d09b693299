"""A trainable inside Ray: one actor that trains or evaluates one trial after the other."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ray import tune

from orchestrator import guard
from orchestrator.trial_spec import TrialSpec
from reports import vocabulary as words


class TrialFailure(Exception):
    """A trial's end by an error: the cause in one word, the reason in words; pickled on its way to the driver."""

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(cause, reason)
        self.cause = cause
        self.reason = reason


DISK_FULL = "disk full"
"""A cause that is nobody's fault in the sweep: the trial is not ended, the sweep is."""


def as_failure(error: BaseException) -> TrialFailure:
    """Why an exception ends a trial."""
    import torch

    words_of_it = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return TrialFailure(words.CAUSE_OOM, words_of_it)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TrialFailure(DISK_FULL, words_of_it)
    if isinstance(error, guard.TooSlow):
        return TrialFailure(words.CAUSE_TIMEOUT, str(error))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return TrialFailure(words.CAUSE_ERROR, f"{words_of_it} ({Path(frame.filename).name}:{frame.lineno})")


class Worker(tune.Trainable):  # type: ignore[misc]
    """What Ray runs; all that can fail happens in `step`, so that its exception reaches the driver with its class.

    Results travel as JSON text, because Tune flattens nested ones.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._given = config
        self._run: Any = None
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
            with output_to(Path(spec.folder) / "log.txt"):
                return self._work(spec)
        except Exception as error:
            # Outside, because on a full disk the log itself raises.
            raise as_failure(error) from None

    def _work(self, spec: TrialSpec) -> dict[str, Any]:
        from orchestrator.evaluate import evaluate
        from orchestrator.trial_run import TrialRun

        if self._given["kind"] == "evaluate":
            return {"evaluated": json.dumps(evaluate(spec))}
        if self._run is None:
            self._run = TrialRun(spec)
        with guard.time_limit(spec.minutes_per_epoch):
            return {"row": json.dumps(self._run.step())}

    def cleanup(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None


@contextlib.contextmanager
def output_to(path: Path) -> Iterator[IO[str]]:
    """Append what is printed, the traceback of what is raised, and the stack of a crash, to a trial's log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        faulthandler.enable(file)
        try:
            yield file
        finally:
            if sys.exception() is not None:
                traceback.print_exc()
            faulthandler.disable()

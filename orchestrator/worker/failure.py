"""The failure of a trial: an exception that is sent from a worker to the driver."""

from __future__ import annotations

import errno
import hashlib
import traceback
from pathlib import Path

from orchestrator.plugins.loader import EndedFromOutside
from orchestrator.storage.objects import StoreError
from orchestrator.worker import guard
from orchestrator.worker.ending import ToldToEnd
from reports import vocabulary as words


class InUse(Exception):
    """An older process still holds a trial's lock, as on a machine that was cut off: no failure of the trial."""


class UnfitMachine(Exception):
    """The machine of a worker can't run trials: it does not see the sweep's folder, or it has other versions."""


class NotItsFolder(Exception):
    """The files in a trial's folder belong to another trial."""


class TrialFailure(Exception):
    """The failure of a trial; it is pickled on its way to the driver.

    Attributes:
        cause: one of the causes in `reports.vocabulary`, or of those below.
        reason: the message of the error.
        alike: identifies the place of the error in the code; "" if that is not known.
        machine: Ray's id of the worker's machine; "" if it is not known.
    """

    def __init__(self, cause: str, reason: str, alike: str = "", machine: str = "") -> None:
        """Keep the attributes."""
        super().__init__(cause, reason, alike, machine)
        self.machine = machine
        self.cause = cause
        self.reason = reason
        self.alike = alike


NO_MEMORY = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""Phrases in the messages of torch's plain RuntimeErrors when memory is short."""
DISK_FULL = "disk full"
"""A cause that does not end the trial: the sweep pauses until there is free space."""
DISPLACED = "displaced"
"""A cause that does not end the trial, which goes on in another process: nothing that it did has ended this one."""
TOLD_TO_END_REASON = "its process was told to end (SIGTERM)"
UNFIT_MACHINE = "unfit machine"
"""A cause that takes the worker's machine out of the sweep, and does not end the trial."""
OUT_OF_MEMORY = "out of memory"
"""The value of `alike` for every shortage of memory, wherever in the code it occurs."""


def as_failure(error: BaseException, machine: str = "") -> TrialFailure:
    """Return the failure that an exception in a worker means for its trial.

    Args:
        error: the exception.
        machine: Ray's id of the worker's machine.
    """
    failure = _classify(error)
    return TrialFailure(failure.cause, failure.reason, failure.alike, machine)


def _classify(error: BaseException) -> TrialFailure:
    # Imported here because the driver imports this module, and does not need torch.
    import torch

    message = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(phrase in str(error) for phrase in NO_MEMORY):
        return TrialFailure(words.CAUSE_OOM, message, alike=OUT_OF_MEMORY)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TrialFailure(DISK_FULL, message)
    if isinstance(error, UnfitMachine):
        return TrialFailure(UNFIT_MACHINE, str(error))
    if isinstance(error, ToldToEnd):
        return TrialFailure(DISPLACED, TOLD_TO_END_REASON)
    if isinstance(error, EndedFromOutside):
        return TrialFailure(DISPLACED, str(error))
    if isinstance(error, InUse | StoreError):
        return TrialFailure(DISPLACED, str(error))
    if isinstance(error, guard.TooSlow):
        return TrialFailure(words.CAUSE_TIMEOUT, str(error))
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    place = hashlib.sha256(" ".join([type(error).__name__, *frames]).encode()).hexdigest()[:12]
    return TrialFailure(words.CAUSE_ERROR, f"{message} ({frames[-1]})", alike=place)

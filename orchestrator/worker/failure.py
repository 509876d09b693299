"""Why an exception ends a trial, in a form that travels from a worker to the driver."""

from __future__ import annotations

import errno
import hashlib
import traceback
from pathlib import Path

from orchestrator.worker import guard
from reports import vocabulary as words


class InUse(Exception):
    """An older process still has what a trial needs: its machine's fault."""


class HomeNotShared(Exception):
    """A worker does not see the sweep's folder."""


class NotItsFolder(Exception):
    """What lies in a trial's folder is another trial's."""


class TrialFailure(Exception):
    """A trial's end by an error: the cause in one word, the reason in words, and what tells the place of an error in
    the code from others; pickled on its way to the driver."""

    def __init__(self, cause: str, reason: str, alike: str = "") -> None:
        super().__init__(cause, reason, alike)
        self.cause = cause
        self.reason = reason
        self.alike = alike


NO_MEMORY = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What torch says in a plain RuntimeError."""
DISK_FULL = "disk full"
"""A cause that is nobody's fault in the sweep: the trial is not ended, the sweep pauses."""
HOME_NOT_SHARED = "home not shared"
"""A cause that ends the sweep and no trial: a node would train on a disk of its own."""
OUT_OF_MEMORY = "out of memory"
"""What tells shortages of memory from other failures: wherever in the code one shows, it is the same."""


def as_failure(error: BaseException) -> TrialFailure:
    """Why an exception ends a trial."""
    import torch

    words_of_it = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(phrase in str(error) for phrase in NO_MEMORY):
        return TrialFailure(words.CAUSE_OOM, words_of_it, alike=OUT_OF_MEMORY)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TrialFailure(DISK_FULL, words_of_it)
    if isinstance(error, HomeNotShared):
        return TrialFailure(HOME_NOT_SHARED, str(error))
    if isinstance(error, InUse):
        return TrialFailure(words.CAUSE_NODE, str(error))
    if isinstance(error, guard.TooSlow):
        return TrialFailure(words.CAUSE_TIMEOUT, str(error))
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    way = hashlib.sha256(" ".join([type(error).__name__, *frames]).encode()).hexdigest()[:12]
    return TrialFailure(words.CAUSE_ERROR, f"{words_of_it} ({frames[-1]})", alike=way)

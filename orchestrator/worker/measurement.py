"""Measure the parts of one trial, for `orchestrate plan --probe`; nothing of it is kept."""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.plugins.loader import TrainingOver
from orchestrator.state.paths import BEST, CHECKPOINT, TRIAL_LOG
from orchestrator.worker.actor import die_with_parent, redirect_output
from orchestrator.worker.failure import as_failure
from orchestrator.worker.spec import TrialSpec

WARM_UP_S = 60.0
"""The first epoch of a process is slower than all others. A second one is trained unless the first took longer."""


@dataclass(frozen=True)
class Measurement:
    """How long the parts of one trial took, in seconds, in a process that has imported everything.

    Attributes:
        first_start: the first start in a process, with its imports.
        start: a later one.
        epoch: an epoch with its checkpoint, without sounds and pictures.
        evaluations: each evaluation by its name.
        checkpoint_bytes: the size of a checkpoint.
        error: why the trial can't be trained; empty if it can.
    """

    first_start: float = 0.0
    start: float = 0.0
    epoch: float = 0.0
    evaluations: Mapping[str, float] = field(default_factory=dict)
    checkpoint_bytes: int = 0
    error: str = ""


def measure(fields: Mapping[str, Any], evaluations: Mapping[str, Mapping[str, Any]]) -> Measurement:
    """Train one or two epochs of a trial and evaluate it, in a temporary folder.

    Args:
        fields: the fields of its `TrialSpec`.
        evaluations: by the name of each evaluation, the fields of the spec in which it differs.
    """
    die_with_parent()
    if fields["gpu"] == 0:
        # Ray does not set it for a task without a GPU, which would see every GPU.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with tempfile.TemporaryDirectory(prefix="orchestrate-probe-") as scratch:
        folder = Path(scratch) / "trials" / "0001"
        # Without constraints, any epoch may be the best one, which is evaluated.
        spec = replace(TrialSpec(**fields), folder=str(folder), media_epochs=(), constraints={})
        try:
            with redirect_output(folder / TRIAL_LOG):
                return _measure(spec, evaluations)
        except Exception as error:
            return Measurement(error=as_failure(error).reason)


def _measure(spec: TrialSpec, evaluations: Mapping[str, Mapping[str, Any]]) -> Measurement:
    # Imported here: it imports torch, whose time is a part of the first start.
    began = time.monotonic()
    from orchestrator.worker.attempt import TrialRun
    from orchestrator.worker.evaluation import evaluate

    seconds_by_evaluation: dict[str, float] = {}
    run = TrialRun(spec)
    first_start = time.monotonic() - began
    epoch = _time(run.step)
    if epoch < WARM_UP_S:
        try:
            epoch = _time(run.step)
        except TrainingOver:
            # Its training has one epoch.
            pass
    run.close()
    start = _time(lambda: TrialRun(spec).close())
    folder = Path(spec.folder) / CHECKPOINT
    checkpoints = [path.stat().st_size for path in folder.glob("*")]
    # A trial that diverges at once has no checkpoint to evaluate.
    for name, changes in evaluations.items() if (folder / BEST).exists() else ():
        seconds_by_evaluation[name] = _time(functools.partial(evaluate, replace(spec, **changes)))
    return Measurement(first_start, start, epoch, seconds_by_evaluation, max(checkpoints, default=0))


def _time(work: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began

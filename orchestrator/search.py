"""Ray's view of the agenda: a Searcher that hands out tasks and a scheduler that takes reports."""

from __future__ import annotations

import contextlib
import errno
import json
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from orchestrator.agenda import Agenda, Task
from orchestrator.ledger import Ledger, Trial
from orchestrator.pruning import Rungs
from orchestrator.worker import DISK_FULL, TrialFailure
from reports import vocabulary as words

MAX_DEATHS = 2
"""Deaths of a trial's process without a new epoch between them that make it the trial's own failure."""

DISK_FULL_REASON = "The disk that holds {} is full; free some space and run the same command again."


class Engine:
    """What a driver decides, free of Ray's types where it can be: the searcher and the scheduler only pass calls on."""

    def __init__(
        self, agenda: Agenda, ledger: Ledger, rungs: Rungs, config_of: Callable[[Task], dict[str, Any]], code: str
    ) -> None:
        self.agenda = agenda
        self.ledger = ledger
        self.rungs = rungs
        self.config_of = config_of
        self.code = code
        self.live: dict[str, Task] = {}
        self.stopping = threading.Event()
        self.stop_reason = ""

    def stop(self, reason: str) -> None:
        """End the sweep soon: running trials keep their last checkpoint and go on the next time."""
        self.stop_reason = self.stop_reason or reason
        self.stopping.set()

    def suggest(self, ray_id: str) -> dict[str, Any] | str | None:
        """The next task as a worker's configuration, None for none now, or Searcher.FINISHED."""
        task = None
        with self._writing():
            if not self.stopping.is_set():
                task = self.agenda.next({task.trial.number for task in self.live.values()})
            if task is not None and task.kind == "train":
                self.ledger.attempt(task.trial, self.code)
        if self.stopping.is_set() or (task is None and not self.live):
            # With nothing live nothing will ever change, and Tune would wait for ever.
            return str(Searcher.FINISHED)
        if task is None:
            return None
        self.live[ray_id] = task
        return self.config_of(task)

    def report(self, ray_id: str, result: Mapping[str, Any]) -> bool:
        """Take a worker's result; whether its task is over."""
        task = self.live[ray_id]
        with self._writing():
            if task.kind == "evaluate":
                self.ledger.evaluate(task.trial, json.loads(result["evaluated"]), None)
                return True
            self.ledger.report(task.trial, json.loads(result["row"]))
            return self.rungs.judge(self.ledger, task.trial)
        return True

    def failed(self, ray_id: str, error: BaseException | None) -> None:
        """A worker raised (`TrialFailure`) or its process died (anything else)."""
        task = self.live.get(ray_id)
        if task is None:
            return
        # Ray wraps an exception into one of its own, which is an instance of the same class too.
        failure = getattr(error, "cause", None)
        with self._writing():
            if not isinstance(failure, TrialFailure):
                self._died(task)
            elif failure.cause == DISK_FULL:
                self.stop(DISK_FULL_REASON.format(self.ledger.folder))
            elif task.kind == "evaluate":
                self.ledger.evaluate(task.trial, {}, failure.reason)
            else:
                self.ledger.end(task.trial, words.OUTCOME_FAILED, failure.cause, failure.reason)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What can't be written to the sweep log is decided again by the next driver; this one stops."""
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.stop(DISK_FULL_REASON.format(self.ledger.folder))

    def _died(self, task: Task) -> None:
        trial: Trial = task.trial
        reason = "its process died (killed, or crashed; see the trial's log.txt)"
        self.ledger.died(trial, reason)
        if trial.deaths < MAX_DEATHS:
            return
        if task.kind == "evaluate":
            self.ledger.evaluate(trial, {}, reason)
        else:
            self.ledger.end(
                trial,
                words.OUTCOME_FAILED,
                words.CAUSE_NODE,
                f"{reason} {trial.deaths} times at epoch {trial.epochs + 1}",
            )

    def over(self, ray_id: str) -> None:
        """Ray has let go of a task."""
        self.live.pop(ray_id, None)

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles searcher and scheduler into a snapshot that nothing ever reads.
        return {}


class TaskSearcher(Searcher):  # type: ignore[misc]
    """Hands out the agenda's tasks."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        return self.engine.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.engine.over(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the sweep log is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the sweep log is the state."""


class ReportScheduler(FIFOScheduler):  # type: ignore[misc]
    """Passes each report on, and stops what has ended."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        over = self.engine.report(trial.trial_id, result)
        return str(TrialScheduler.STOP if over else TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        self.engine.failed(trial.trial_id, _error_of(trial))


def _error_of(trial: RayTrial) -> BaseException | None:
    # Ray's own reader looks in the storage folder, where the file arrives later than this call.
    path = trial.pickled_error_file
    if path is None or not Path(path).exists():
        return None
    error: BaseException = pickle.loads(Path(path).read_bytes())
    return error


class StopWhenAsked(Stopper):  # type: ignore[misc]
    """Ends the experiment when the engine is stopping."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.engine.stopping.is_set()

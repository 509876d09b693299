"""What a driver decides, free of Ray: which task comes next, what a report and a failure mean."""

from __future__ import annotations

import contextlib
import errno
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.policy.agenda import Agenda, Task
from orchestrator.policy.pruning import Rungs
from orchestrator.state import events
from orchestrator.state.disk import Space, tidy
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import STOP_FILE, TRIAL_LOG, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker.failure import DISK_FULL, HOME_NOT_SHARED, TrialFailure
from orchestrator.worker.postmortem import MemoryKills, cause_of_death
from reports import vocabulary as words

MAX_DEATHS = 2
"""Deaths of a trial's process without a new epoch between them that make it the trial's own failure."""
MORE_MEMORY = 2
"""How many times its arm's resources a trial gets that ran out of memory."""
DRAIN_S = 3.0
"""How long running trials may still end their epoch once the sweep is to stop."""

DISK_FULL_REASON = "The disk that holds {} is full; free some space and go on."


@dataclass(frozen=True)
class Surroundings:
    """What the engine needs of the machine around it.

    Attributes:
        config_of: a task as plain values for a worker.
        can_grow: whether a trial could be given more resources than it has.
        is_alive: whether Ray is; deaths of workers say nothing of their trials when it is not.
        end_workers: ends all that still runs, at once.
        say: tells somebody a line.
        note: keeps what is given for those who look at the driver from outside.
    """

    config_of: Callable[[Task], dict[str, Any]]
    can_grow: Callable[[Trial], bool]
    is_alive: Callable[[], bool]
    end_workers: Callable[[], None]
    say: Callable[[str], None]
    note: Callable[..., None]


class Engine:
    """Hands out tasks and takes reports. Everything is called from one thread, but for `stop`."""

    def __init__(self, agenda: Agenda, ledger: Ledger, rungs: Rungs, space: Space, surroundings: Surroundings) -> None:
        self.agenda = agenda
        self.ledger = ledger
        self.rungs = rungs
        self.space = space
        self.around = surroundings
        self.live: dict[str, Task] = {}
        self.stop_reason = ""
        self._stop_s = float("inf")
        self._ended_workers = False
        self._memory_kills = MemoryKills()
        self._marked: set[str] = set()
        # A signal's handler may come back to it in the thread that has it.
        self._lock = threading.RLock()

    def stop(self, reason: str) -> None:
        """End the sweep soon: running trials may end their epoch, and go on from their last one the next time."""
        with self._lock:
            if not self.stop_reason:
                self.stop_reason, self._stop_s = reason, time.monotonic() + DRAIN_S

    def is_over(self) -> bool:
        """Whether it is to stop and nobody is waited for any more; what still runs then is ended."""
        is_late = time.monotonic() > self._stop_s
        if is_late and not self._ended_workers:
            self._ended_workers = True
            self.around.end_workers()
        return is_late or bool(self.stop_reason and not self.live)

    def suggest(self, task_id: str) -> dict[str, Any] | None:
        """The next task as a worker's configuration, or none for now."""
        task = None
        with self._writing():
            if not self.stop_reason and not self._is_short_of_space():
                self._hold_what_is_to_stop()
                task = self.agenda.next({task.trial.number for task in self.live.values()})
            if task is not None and task.kind == "train":
                self._mark_changed_code(task.trial)
                self.ledger.attempt(task.trial, self.agenda.code)
        if task is None or self.stop_reason:
            return None
        self.live[task_id] = task
        return self.around.config_of(task)

    def is_waiting(self) -> bool:
        """Whether there may be more tasks although there is none now and nothing is live."""
        return not self.stop_reason and bool(self.space.shortage)

    def report(self, task_id: str, result: Mapping[str, Any]) -> bool:
        """Take a worker's result; whether its task is over."""
        task = self.live[task_id]
        trial = task.trial
        self._memory_kills.look()
        with self._writing():
            if task.kind == "evaluate":
                self.ledger.evaluate(trial, **json.loads(result["evaluated"]))
                self._tidy(trial)
                return True
            for remark in json.loads(result["remarks"]):
                self.around.say(remark)
            row = json.loads(result["row"])
            if row["epoch"] <= trial.epochs and "diverged" not in row:
                # Executed again, since its checkpoint was lost.
                return bool(self.stop_reason)
            self.ledger.report(trial, row)
            over = self.rungs.judge(self.ledger, trial)
            if over and not self.agenda.wants_evaluation(trial):
                self._tidy(trial)
            return over or self._is_held(trial) or bool(self.stop_reason) or self._is_short_of_space()
        return True

    def failed(self, task_id: str, error: BaseException | None) -> None:
        """A worker raised (`TrialFailure`) or its process died (anything else)."""
        task = self.live.get(task_id)
        if task is None or self._ended_workers:
            return
        # Ray wraps an exception into one of its own, which is an instance of the same class too.
        failure = getattr(error, "cause", None)
        with self._writing():
            if not isinstance(failure, TrialFailure):
                # What ends the sweep may end its workers first: that says nothing of their trials.
                if self.around.is_alive() and not self.stop_reason:
                    self._died(task, *self._cause_of_death(task.trial))
            elif failure.cause == DISK_FULL:
                self.space.is_full()
            elif failure.cause == HOME_NOT_SHARED:
                self.stop(failure.reason)
            elif failure.cause == words.CAUSE_NODE:
                self._died(task, failure.cause, failure.reason)
            elif task.kind == "evaluate":
                self._can_not_evaluate(task.trial, failure.reason)
            elif failure.cause == words.CAUSE_OOM and self._can_grow(task.trial):
                self._grow(task.trial, failure.reason)
            else:
                self.ledger.end(task.trial, words.OUTCOME_FAILED, failure.cause, failure.reason, alike=failure.alike)

    def over(self, task_id: str) -> None:
        """Ray has let go of a task."""
        self.live.pop(task_id, None)

    def crashed(self, reason: str) -> None:
        """Ray gave up all that runs, for the sake of one trial, and does not say which: each has died once."""
        with self._writing():
            for task in self.live.values():
                self._died(task, words.CAUSE_NODE, reason)

    def _cause_of_death(self, trial: Trial) -> tuple[str, str]:
        log = trial_folder(self.ledger.folder, trial.number) / TRIAL_LOG
        return cause_of_death(log, trial.attempts, out_of_memory=self._memory_kills.take)

    def _died(self, task: Task, cause: str, reason: str) -> None:
        trial = task.trial
        self.ledger.died(trial, cause, reason)
        most = self.agenda.sweep.space.limits.max_machine_failures
        if task.kind == "evaluate":
            if trial.deaths >= MAX_DEATHS:
                self._can_not_evaluate(trial, reason)
        elif cause == words.CAUSE_OOM and self._can_grow(trial):
            self._grow(trial, reason)
        elif cause == words.CAUSE_TIMEOUT:
            self.ledger.end(trial, words.OUTCOME_FAILED, cause, reason)
        elif trial.deaths >= MAX_DEATHS:
            twice = f"{trial.deaths} times at epoch {trial.epochs + 1}: {reason}"
            self.ledger.end(trial, words.OUTCOME_FAILED, cause, twice)
        elif len(trial.died_at) > most:
            deaths = words.counted(len(trial.died_at), "death")
            often = f"{deaths} (limits.max_machine_failures is {most}), the last: {reason}"
            self.ledger.end(trial, words.OUTCOME_FAILED, cause, often)
        else:
            self.around.say(f"Trial {trial.number} at epoch {trial.epochs + 1}: {reason}; it is tried again.")

    def _can_not_evaluate(self, trial: Trial, reason: str) -> None:
        self.ledger.evaluate(trial, {}, error=reason)
        self.around.say(f"Trial {trial.number} could not be evaluated: {reason}; --retry-failed tries it again.")
        self._tidy(trial)

    def _can_grow(self, trial: Trial) -> bool:
        return trial.share < MORE_MEMORY and self.around.can_grow(trial)

    def _grow(self, trial: Trial, reason: str) -> None:
        self.ledger.retry(trial, reason, share=MORE_MEMORY)
        self.around.say(f"Trial {trial.number}: {reason}; it is tried again with {MORE_MEMORY} times its resources.")

    def _tidy(self, trial: Trial) -> None:
        """Delete what an ended trial has no more use for."""
        if trial.outcome is not None:
            keep = self.agenda.sweep.space.disk.keep_pruned_checkpoints
            tidy(trial_folder(self.ledger.folder, trial.number), trial.outcome, keep_pruned=keep)

    def _mark_changed_code(self, trial: Trial) -> None:
        if self.ledger.tally(trial.arm).codes - {self.agenda.code} and trial.arm not in self._marked:
            self._marked.add(trial.arm)
            self.around.say(
                f"The code has changed since trials of {trial.arm} ran: the arm is marked with * in tables."
            )

    def _hold_what_is_to_stop(self) -> None:
        live = {task.trial.number for task in self.live.values()}
        for trial in (self.ledger.trials[number] for number in sorted(self.ledger.unfinished - live)):
            if not trial.held:
                self._is_held(trial)

    def _is_held(self, trial: Trial) -> bool:
        """Whether somebody has asked for a trial to stop."""
        stop_file: Path = trial_folder(self.ledger.folder, trial.number) / STOP_FILE
        if trial.outcome is None and stop_file.exists():
            self.ledger.write(events.Held(trial=trial.number, reason="stopped by hand"))
            stop_file.unlink(missing_ok=True)
        return trial.held

    def _is_short_of_space(self) -> bool:
        before = self.space.shortage
        shortage = self.space.look([task.trial.number for task in self.live.values()])
        if shortage != before:
            self.around.note(paused=shortage)
        if shortage and not before:
            self.around.say(f"{shortage} The sweep pauses until there is more.")
        elif before and not shortage:
            self.around.say("There is room on the disk again: the sweep goes on.")
        return bool(shortage)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What can't be written to the sweep log is decided again by the next driver; this one stops."""
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.stop(DISK_FULL_REASON.format(self.ledger.folder))

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles searcher and scheduler into a snapshot that nothing ever reads.
        return {}

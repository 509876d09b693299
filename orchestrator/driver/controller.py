"""The decisions of the driver, without Ray: the next task, and what follows from a report or a failure."""

from __future__ import annotations

import contextlib
import errno
import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.driver.callbacks import Callbacks
from orchestrator.driver.failures import Failures
from orchestrator.driver.live_control import LiveControl
from orchestrator.policy.agenda import Agenda, Task
from orchestrator.policy.pruning import Rungs
from orchestrator.policy.reuse import ReusableTrials
from orchestrator.state.disk import Space
from orchestrator.state.events.interruptions import Yielded
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from orchestrator.storage.objects import StoreError
from orchestrator.worker.failure import DISK_FULL, DISPLACED, UNFIT_MACHINE, TrialFailure
from orchestrator.worker.postmortem import explain_start
from reports import vocabulary as words

DRAIN_S = 3.0
"""The time in which running trials may still end their epoch when the sweep stops."""

SHARE_AGAIN_S = 60.0
"""The time after which a task is tried again of which the store did not take the files: each try blocks the driver."""

FULL = (errno.ENOSPC, errno.EDQUOT)
DISK_FULL_REASON = "The disk that holds {} is full; free some space and resume."


class Engine:
    """Suggests tasks and handles reports and failures; only `stop` may be called from another thread.

    Attributes:
        live: the tasks that Ray executes, by Ray's id.
        stop_reason: why the sweep stops early; empty while it does not.
    """

    def __init__(
        self, agenda: Agenda, ledger: Ledger, rungs: Rungs, links: ReusableTrials, space: Space, callbacks: Callbacks
    ) -> None:
        """Start with no task.

        Args:
            agenda: decides which task is next.
            ledger: the state of the sweep and its log.
            rungs: decides which trials are pruned.
            links: takes trials over from other sweeps.
            space: watches the disk.
            callbacks: act on everything else.
        """
        self.agenda = agenda
        self.ledger = ledger
        self.rungs = rungs
        self.links = links
        self.space = space
        self.callbacks = callbacks
        self.control = LiveControl(ledger, callbacks.say)
        self.live: dict[str, Task] = {}
        self.stop_reason = ""
        self._stop_s = float("inf")
        self._pause_reason = ""
        self._store_trouble = ""
        self._next_share_s = float("-inf")
        self._has_ended_workers = False
        self._failures = Failures(agenda, ledger, callbacks)
        self._failures.tidy_earlier()
        self._marked_arms: set[str] = set()
        # Reentrant: a signal handler may call `stop` in the thread that is already in `stop`.
        self._lock = threading.RLock()

    def stop(self, reason: str) -> None:
        """Stop the sweep soon; running trials have `DRAIN_S` to end their epoch, and can resume from their last one.

        Args:
            reason: a sentence for the user; only that of the first call counts.
        """
        with self._lock:
            if not self.stop_reason:
                self.stop_reason, self._stop_s = reason, time.monotonic() + DRAIN_S

    def is_over(self) -> bool:
        """Return whether the sweep has stopped; after the time to drain, kill the workers that still run."""
        with self._stop_on_full_disk():
            self.control.look(self._live_numbers())
        is_late = time.monotonic() > self._stop_s
        if is_late and not self._has_ended_workers:
            self._has_ended_workers = True
            self.callbacks.end_workers()
        return is_late or bool(self.stop_reason and not self.live)

    def suggest(self, task_id: str) -> dict[str, Any] | None:
        """Start the next task.

        Args:
            task_id: Ray's id for the task.

        Returns:
            The configuration for a worker; None if there is no task now, or the sweep stops.
        """
        task = None
        with self._stop_on_full_disk():
            live = self._live_numbers()
            self.control.look(live)
            if not self.stop_reason and not self._is_paused() and self.control.has_room(len(live)):
                task = self._next_task(live)
        if task is None or self.stop_reason:
            return None
        self.live[task_id] = task
        return self.callbacks.make_config(task)

    def _next_task(self, live: set[int]) -> Task | None:
        """Return the next task, and record an attempt; trials that another sweep has trained are reused first."""
        while True:
            task = self.agenda.next_task(live, self.control.controls.boosted)
            if task is None or self.stop_reason:
                return task
            if task.kind == "evaluate":
                return task if self._share_files(task) else None
            trial, code, key = task.trial, self.agenda.code, self.callbacks.make_key(task)
            if not self.links.take_over(trial, code, key):
                if not self._share_files(task):
                    return None
                self._warn_of_changed_code(trial)
                self.ledger.attempt(trial, code, key)
                return task
            # The store needs it, too, in case that this home is lost.
            self.callbacks.files.follow(trial)
            self.rungs.take_in(trial)

    def _share_files(self, task: Task) -> bool:
        """Let the store have what a task needs; return False if it does not take that: the task is next later, too."""
        if time.monotonic() < self._next_share_s:
            return False
        try:
            self.callbacks.share_files(task)
        except (StoreError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in FULL:
                raise
            if not self._store_trouble:
                self.callbacks.say(f"{error}. Trial {task.trial.number} waits until the store takes what it needs.")
            self._store_trouble, self._next_share_s = str(error), time.monotonic() + SHARE_AGAIN_S
            return False
        self._store_trouble = ""
        return True

    def is_waiting(self) -> bool:
        """Return whether tasks may follow although none runs now: the sweep is paused, or waits for the store."""
        return not self.stop_reason and bool(self._pause_reason or self._store_trouble)

    def handle_report(self, task_id: str, result: Mapping[str, Any]) -> bool:
        """Record a worker's report, and judge its trial.

        Args:
            task_id: Ray's id for the task.
            result: `evaluated` of an evaluation, or `row` and `remarks` of an epoch, each as JSON; `over` instead of
                `row` says why there is no further epoch. `machine` is Ray's id of the worker's machine.

        Returns:
            Whether the task is over.
        """
        task = self.live.get(task_id)
        if task is None:
            # The report of an attempt that was given up, such as on a machine that was cut off.
            return True
        trial = task.trial
        machine = result.get("machine", "")
        self._failures.note_report(machine, trial)
        with self._stop_on_full_disk():
            if task.kind == "evaluate":
                try:
                    self.callbacks.files.fetch(trial)
                except StoreError as error:
                    self._failures.handle_exception(task, TrialFailure(DISPLACED, str(error)))
                    return True
                self.ledger.evaluate(trial, **json.loads(result["evaluated"]))
                self._failures.tidy(trial)
                return True
            for remark in json.loads(result["remarks"]):
                self.callbacks.say(remark)
            if "over" in result:
                self.ledger.end(trial, words.OUTCOME_COMPLETED, words.CAUSE_OVER, result["over"])
                self._failures.tidy(trial)
                return True
            row = json.loads(result["row"])
            if row["epoch"] <= trial.epochs and "diverged" not in row:
                # This epoch is recorded already: it was repeated because its checkpoint was lost.
                return bool(self.stop_reason)
            self.callbacks.files.record(trial, row)
            self.callbacks.files.follow(trial)
            self.ledger.report(trial, row)
            self._failures.note_epoch(machine, trial, row["metrics"].get("time/epoch_s", 0.0))
            has_ended = self.rungs.decide(self.ledger, trial)
            if has_ended and not self.agenda.wants_evaluation(trial):
                self._failures.tidy(trial)
            return has_ended or self.control.hold_if_requested(trial) or self._leaves(trial, machine)
        return True

    def handle_failure(self, task_id: str, error: BaseException | None) -> None:
        """Record that a task failed, and decide whether its trial is tried again.

        Args:
            task_id: Ray's id for the task.
            error: Ray's error with a `TrialFailure` that the worker raised; anything else if its process died.
        """
        task = self.live.get(task_id)
        if task is None or self._has_ended_workers:
            return
        # Ray wraps the worker's exception in one of its own.
        failure = getattr(error, "cause", None)
        with self._stop_on_full_disk():
            if not isinstance(failure, TrialFailure):
                # Workers that die together with Ray, or while the sweep stops, are not failures of their trials.
                if self.callbacks.is_ray_alive() and not self.stop_reason:
                    self._failures.handle_end_of_process(task, explain_start(error))
            elif failure.cause == DISPLACED and self.stop_reason:
                # A batch system that ends a sweep sends its signal to the workers, too.
                pass
            elif failure.cause == DISK_FULL:
                self.space.note_full("" if self.callbacks.files.is_shared else failure.reason)
            elif failure.cause == UNFIT_MACHINE:
                if not self.callbacks.leave_out(failure.machine, failure.reason):
                    self.stop(failure.reason)
            else:
                self._failures.handle_exception(task, failure)

    def forget_task(self, task_id: str) -> None:
        """Forget a task that Ray has ended."""
        if (task := self.live.pop(task_id, None)) is not None:
            self.callbacks.files.leave(task.trial)

    def handle_ray_crash(self, reason: str) -> None:
        """Record a death of the process of every running trial, since Ray's error does not name the one that died.

        Args:
            reason: Ray's error in words.
        """
        with self._stop_on_full_disk():
            self._failures.handle_ray_crash(list(self.live.values()), reason)

    def _warn_of_changed_code(self, trial: Trial) -> None:
        if self.ledger.tally(trial.arm).codes - {self.agenda.code} and trial.arm not in self._marked_arms:
            self._marked_arms.add(trial.arm)
            self.callbacks.say(
                f"The code has changed since trials of {trial.arm} ran: the arm is marked with * in tables."
            )

    def _live_numbers(self) -> set[int]:
        """Return the numbers of the trials that workers execute now."""
        return {task.trial.number for task in self.live.values()}

    def _leaves(self, trial: Trial, machine: str) -> bool:
        """Return whether a trial has to give its place back after its report, and record that."""
        if self.stop_reason:
            return True
        # On a machine that is about to leave, the trial makes room; it continues elsewhere from this epoch.
        is_leaving = self.callbacks.is_leaving(machine)
        if not (is_leaving or self._is_paused() or self.control.is_surplus(trial, self._live_numbers())):
            return False
        self.ledger.write(Yielded(trial=trial.number))
        return True

    def _is_paused(self) -> bool:
        """Return whether the sweep pauses, by hand or until the disk has space; note it if that has changed."""
        before, self._pause_reason = self._pause_reason, self._look_at_space() or self.control.pause_reason
        if self._pause_reason != before:
            self.callbacks.update_note(paused=self._pause_reason)
        return bool(self._pause_reason)

    def _look_at_space(self) -> str:
        """Return the message that the disk has too little space, "" if it has enough; print it if that has changed."""
        before = self.space.shortage
        shortage = self.space.look(self._live_numbers())
        if shortage and not before:
            self.callbacks.say(f"{shortage} The sweep pauses until there is more.")
        elif before and not shortage:
            self.callbacks.say("There is room on the disk again: the sweep continues.")
        return shortage

    @contextlib.contextmanager
    def _stop_on_full_disk(self) -> Iterator[None]:
        """Stop the sweep if an event can't be written for lack of space; the next driver decides about it again."""
        try:
            yield
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.stop(DISK_FULL_REASON.format(self.ledger.folder))

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles the searcher and the scheduler, with the engine, into a snapshot that nothing reads.
        return {}

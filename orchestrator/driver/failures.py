"""What follows from a task that failed: its trial is tried again, with more memory or elsewhere, or it ends."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.driver.callbacks import Callbacks
from orchestrator.driver.unfit_machines import Faults
from orchestrator.policy.agenda import Agenda, Task
from orchestrator.state.disk import tidy
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import TRIAL_LOG, trial_folder
from orchestrator.state.trial import Trial
from orchestrator.worker.failure import DISPLACED, TOLD_TO_END_REASON, TrialFailure
from orchestrator.worker.postmortem import MemoryKills, cause_of_death, read_machine, was_told_to_end
from reports import vocabulary as words

MAX_DEATHS = 2
"""After this number of deaths of its process without a new epoch between them, a trial has failed."""
MAX_DISPLACEMENTS = 5
"""After this many losses of its machine or ends from outside, without a new epoch between them, a trial has failed."""
MORE_MEMORY = 2
"""The multiple of its arm's resources that a trial gets after it ran out of memory."""


class Failures:
    """Records the failures of tasks, and decides whether their trials are tried again."""

    def __init__(self, agenda: Agenda, ledger: Ledger, callbacks: Callbacks) -> None:
        """Start without a failure.

        Args:
            agenda: knows the limits of the sweep.
            ledger: the state of the sweep and its log.
            callbacks: know the machines, and print.
        """
        self._agenda = agenda
        self._ledger = ledger
        self._callbacks = callbacks
        self._memory_kills = MemoryKills()
        limits = agenda.sweep.space.limits
        self._faults = Faults(ledger, callbacks, keeps_slow=limits.slow_machines == "keep")

    def note_report(self, machine: str, trial: Trial) -> None:
        """Note a report of a trial from a machine; "" if it is not known."""
        self._memory_kills.look()
        self._faults.note_success(machine, trial)

    def note_epoch(self, machine: str, trial: Trial, seconds: float) -> None:
        """Note how long an epoch of a trial took on a machine."""
        self._faults.note_epoch(machine, trial, seconds)

    def handle_exception(self, task: Task, failure: TrialFailure) -> None:
        """Record that a worker raised an exception."""
        trial = task.trial
        if failure.cause == DISPLACED:
            self._displace(task, failure.reason, "in another process")
        elif task.kind == "evaluate":
            self._give_up_evaluation(trial, failure.reason)
        elif failure.cause == words.CAUSE_OOM and self._can_grow(trial):
            self._grow(trial, failure.reason)
        else:
            self._ledger.end(trial, words.OUTCOME_FAILED, failure.cause, failure.reason, alike=failure.alike)
            self._faults.note_failure(failure.machine, trial, failure.cause)

    def handle_end_of_process(self, task: Task, start_problem: str = "") -> None:
        """Record that a worker's process ended without an exception, or was lost with its machine.

        Args:
            task: its task.
            start_problem: why it could not be started; "" if it was.
        """
        trial = task.trial
        log = trial_folder(self._ledger.folder, trial.number) / TRIAL_LOG
        self._callbacks.files.fetch_log(trial)
        # Ray's error does not say where the process ran, and often comes before Ray has noticed the machine's end.
        machine = read_machine(log, trial.attempts)
        if loss := self._callbacks.explain_loss(machine):
            self._displace(task, loss, "elsewhere")
            return
        if start_problem:
            self._handle_death(task, words.CAUSE_NODE, f"its process could not be started: {start_problem}")
            return
        if was_told_to_end(log, trial.attempts):
            self._displace(task, TOLD_TO_END_REASON, "in another process")
            return
        cause, reason = cause_of_death(log, trial.attempts, out_of_memory=self._memory_kills.take)
        self._handle_death(task, cause, reason)
        self._faults.note_failure(machine, trial, cause)

    def handle_ray_crash(self, tasks: Iterable[Task], reason: str) -> None:
        """Record a death for every running task, because Ray's error does not say which process died.

        Each trial is tried again or ends.

        Args:
            tasks: the tasks that run.
            reason: Ray's error in words.
        """
        for task in tasks:
            self._handle_death(task, words.CAUSE_NODE, reason)

    def tidy(self, trial: Trial) -> None:
        """Delete the checkpoints that a trial no longer needs, if it has ended."""
        if trial.outcome is not None:
            # A paused trial resumes from its checkpoint when it is promoted.
            keep = self._agenda.sweep.space.disk.keep_pruned_checkpoints or self._agenda.promotion.is_wanted
            keep |= trial.number in self._ledger.tally(trial.arm).front.numbers
            tidy(trial_folder(self._ledger.folder, trial.number), trial.outcome, keep_pruned=keep)
            self._callbacks.files.settle(trial, keeps_checkpoints=keep)

    def tidy_earlier(self) -> None:
        """Tidy what an earlier driver has pruned, where machines do not share the home: it may not have fetched that.

        Without this, checkpoints that are kept would stay in the store alone, and the others for ever.
        """
        if self._callbacks.files.is_shared:
            return
        for trial in self._ledger.trials.values():
            if trial.outcome == words.OUTCOME_PRUNED and not self._agenda.wants_evaluation(trial):
                self.tidy(trial)

    def _displace(self, task: Task, loss: str, place: str) -> None:
        """Record that a trial has lost its machine or its process, which is not a failure unless it happens repeatedly.

        Args:
            task: its task.
            loss: what has happened.
            place: where it continues.
        """
        trial = task.trial
        self._ledger.displace(trial, loss)
        times = trial.displaced_at.count(trial.epochs)
        if times < MAX_DISPLACEMENTS:
            self._callbacks.say(f"Trial {trial.number} at epoch {trial.epochs + 1}: {loss}; it continues {place}.")
        elif task.kind == "evaluate":
            self._give_up_evaluation(trial, loss)
        else:
            reason = f"{times} times at epoch {trial.epochs + 1}, perhaps because of it: {loss}"
            self._ledger.end(trial, words.OUTCOME_FAILED, words.CAUSE_NODE, reason)

    def _handle_death(self, task: Task, cause: str, reason: str) -> None:
        """Record the death of a worker's process; the trial fails if it has died too often, else it is tried again."""
        trial = task.trial
        self._ledger.record_death(trial, cause, reason)
        max_deaths = self._agenda.sweep.space.limits.max_machine_failures
        if task.kind == "evaluate":
            if trial.deaths >= MAX_DEATHS:
                self._give_up_evaluation(trial, reason)
        elif cause == words.CAUSE_OOM and self._can_grow(trial):
            self._grow(trial, reason)
        elif cause == words.CAUSE_TIMEOUT:
            self._ledger.end(trial, words.OUTCOME_FAILED, cause, reason)
        elif trial.deaths >= MAX_DEATHS:
            repeated_reason = f"{trial.deaths} times at epoch {trial.epochs + 1}: {reason}"
            self._ledger.end(trial, words.OUTCOME_FAILED, cause, repeated_reason)
        elif len(trial.died_at) > max_deaths:
            deaths = words.amount(len(trial.died_at), "death")
            last_reason = f"{deaths} (limits.max_machine_failures is {max_deaths}), the last: {reason}"
            self._ledger.end(trial, words.OUTCOME_FAILED, cause, last_reason)
        else:
            self._callbacks.say(f"Trial {trial.number} at epoch {trial.epochs + 1}: {reason}; it is tried again.")

    def _give_up_evaluation(self, trial: Trial, reason: str) -> None:
        self._ledger.evaluate(trial, {}, error=reason)
        self._callbacks.say(f"Trial {trial.number} could not be evaluated: {reason}; --retry-failed tries it again.")
        self.tidy(trial)

    def _can_grow(self, trial: Trial) -> bool:
        return trial.share < MORE_MEMORY and self._callbacks.can_grow(trial)

    def _grow(self, trial: Trial, reason: str) -> None:
        self._ledger.retry(trial, reason, share=MORE_MEMORY)
        self._callbacks.say(
            f"Trial {trial.number}: {reason}; it is tried again with {MORE_MEMORY} times its resources."
        )

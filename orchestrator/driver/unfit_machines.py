"""Faults of machines: those where trial after trial fails or is slow, while others are well, get no more trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.driver.callbacks import Callbacks
from orchestrator.machines.stragglers import Stragglers
from orchestrator.state.events.drivers import Suspected
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_FAILURES = 3
"""So many different trials in a row have failed on a machine that is left out."""
OF_PARAMETERS = (words.CAUSE_OOM, words.CAUSE_TIMEOUT, words.CAUSE_NONFINITE)
"""Causes that follow from a trial's parameters: they say nothing about its machine."""


class Faults:
    """Counts the trials that have failed in a row on each machine, and compares how long epochs take."""

    def __init__(self, ledger: Ledger, callbacks: Callbacks, *, keeps_slow: bool) -> None:
        """Count nothing yet.

        Args:
            ledger: the state of the sweep.
            callbacks: leave a machine out, and print it.
            keeps_slow: whether a slow machine is only named.
        """
        self._ledger = ledger
        self._keeps_slow = keeps_slow
        self._callbacks = callbacks
        self._failed: dict[str, dict[int, None]] = {}
        self._stragglers = Stragglers()
        self._machines_by_arm: dict[str, set[str]] = {}

    def note_success(self, machine: str, trial: Trial) -> None:
        """Note a report of a trial from a machine; "" for one that is not known."""
        if machine:
            self._machines_by_arm.setdefault(trial.arm, set()).add(machine)
            self._failed.pop(machine, None)

    def note_epoch(self, machine: str, trial: Trial, seconds: float) -> None:
        """Note how long an epoch took on a machine; name the machine if it is slow, and leave it out if it stays so."""
        slow = self._stragglers.note_epoch(machine, trial.arm, trial.number, seconds)
        if not slow:
            return
        reason = f"epochs of {trial.arm} take {slow.here_s:.3g} s there, and {slow.elsewhere_s:.3g} s elsewhere"
        name = self._callbacks.name_machine(machine)
        if not slow.is_certain:
            text = f"{name} is slow: {reason}."
            self._callbacks.say(text)
            self._ledger.write(Suspected(machine=machine, fault="slow", text=text))
        elif not self._keeps_slow and self._runs_elsewhere(trial.arm, machine):
            self._leave_out(machine, f"{reason} (limits: {{slow_machines: keep}} would keep it)")

    def note_failure(self, machine: str, trial: Trial, cause: str) -> None:
        """Note that a trial failed on a machine, or that its process died there.

        An arm that is broken fails on every machine: a machine is left out only if another one, which stays, has
        trained an epoch of each arm that has failed.
        """
        if not machine or cause in OF_PARAMETERS:
            return
        trials = self._failed.setdefault(machine, {})
        trials[trial.number] = None
        arms = {self._ledger.trials[number].arm for number in trials}
        if len(trials) < MAX_FAILURES or not all(self._runs_elsewhere(arm, machine) for arm in arms):
            return
        numbers = ", ".join(map(str, trials))
        reason = f"trials {numbers} failed there one after the other, the last: {trial.reason or 'its process died'}"
        if self._leave_out(machine, reason):
            self._retry(trials)

    def _leave_out(self, machine: str, reason: str) -> bool:
        """Give a machine no more trials, and return whether other machines are left."""
        if not self._callbacks.leave_out(machine, reason):
            return False
        text = f"{self._callbacks.name_machine(machine)} gets no more trials: {reason}."
        self._ledger.write(Suspected(machine=machine, fault="left out", text=text))
        return True

    def _runs_elsewhere(self, arm: str, machine: str) -> bool:
        """Return whether a machine other than this one has trained an epoch of an arm, and still gets trials."""
        others = self._machines_by_arm.get(arm, set()) - {machine}
        return any(
            not self._callbacks.is_leaving(other) and not self._callbacks.explain_loss(other) for other in others
        )

    def _retry(self, numbers: Iterable[int]) -> None:
        """Let trials that have failed on a machine that is left out run elsewhere."""
        for number in numbers:
            trial = self._ledger.trials[number]
            if trial.outcome == words.OUTCOME_FAILED:
                self._ledger.retry(trial, "its machine was left out")
                self._callbacks.say(f"Trial {number} is tried again on another machine.")

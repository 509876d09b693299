"""Failures by machine: one on which trial after trial fails, while others work, gets no more trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.driver.callbacks import Callbacks
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_FAILURES = 3
"""So many different trials in a row have failed on a machine that is left out."""


class Faults:
    """Counts the trials that have failed in a row on each machine."""

    def __init__(self, ledger: Ledger, callbacks: Callbacks) -> None:
        """Count nothing yet.

        Args:
            ledger: the state of the sweep.
            callbacks: leave a machine out, and print it.
        """
        self._ledger = ledger
        self._callbacks = callbacks
        self._failed: dict[str, dict[int, None]] = {}
        self._good: set[str] = set()

    def note_success(self, machine: str) -> None:
        """Note an epoch that was trained on a machine; "" for one that is not known."""
        self._good.add(machine)
        self._failed.pop(machine, None)

    def note_failure(self, machine: str, trial: Trial) -> None:
        """Note that a trial failed on a machine, or that its process died there.

        Code that is broken fails on every machine: a machine is left out only if another one has trained an epoch.
        """
        trials = self._failed.setdefault(machine, {})
        trials[trial.number] = None
        if not machine or len(trials) < MAX_FAILURES or not self._good - {"", machine}:
            return
        numbers = ", ".join(map(str, trials))
        reason = f"trials {numbers} failed there one after the other, the last: {trial.reason or 'its process died'}"
        if self._callbacks.leave_out(machine, reason):
            self._retry(trials)

    def _retry(self, numbers: Iterable[int]) -> None:
        """Let trials that have failed on a machine that is left out run elsewhere."""
        for number in numbers:
            trial = self._ledger.trials[number]
            if trial.outcome == words.OUTCOME_FAILED:
                self._ledger.retry(trial, "its machine was left out")
                self._callbacks.say(f"Trial {number} is tried again on another machine.")

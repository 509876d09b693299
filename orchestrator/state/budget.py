"""The budget of a sweep: that of its search space, and what `orchestrate resume` has granted beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.state.ledger import Ledger
from orchestrator.state.sweep_state import Grant
from orchestrator.state.tally import Tally
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep


class Budget:
    """The budget of each arm: the larger of the one in the search space and the granted one."""

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        """Combine the two; grants that are added to the ledger later count too.

        Args:
            sweep: the search space.
            ledger: the state of the sweep.
        """
        self._written = sweep.space.budget
        self._confirm = sweep.space.confirm
        self._granted = ledger.granted
        self._ledger = ledger

    def _grant(self, arm: str) -> Grant:
        return self._granted.get(arm, Grant())

    def trials(self, arm: str) -> int:
        """Return the number of trials of an arm's search; an arm that has ended early gets no more than it has."""
        if self.has_ended_early(arm):
            return len(self._ledger.tally(arm).of_stage(words.STAGE_SEARCH))
        return self.most_trials(arm)

    def most_trials(self, arm: str) -> int:
        """Return the number of trials that an arm's search may have."""
        return max(self._written.trials, self._grant(arm).trials)

    def has_ended_early(self, arm: str) -> bool:
        """Return whether an arm's search has ended before it had all of its trials (`stop_when`)."""
        return bool(self.find_early_end(arm))

    def find_early_end(self, arm: str) -> str:
        """Return why an arm's search has ended before it had all of its trials, as a clause; empty if it has not."""
        stop_when, tally = self._written.stop_when, self._ledger.tally(arm)
        if stop_when is None or tally.best is None or tally.best.outcome is None:
            return ""
        num_trials = len(tally.of_stage(words.STAGE_SEARCH))
        # Trials that were granted are run, even where the last ones were no better.
        if num_trials >= self.most_trials(arm) or num_trials < self._grant(arm).trials:
            return ""
        if stop_when.no_better_for is not None and self._has_not_improved(tally, stop_when.no_better_for):
            return "the last ones were no better"
        bound = self._ledger.regret_bounds.get(arm)
        if bound is not None and stop_when.regret_below is not None and bound.regret < stop_when.regret_below:
            return bound.describe(self._ledger.objective.metric)
        return ""

    def _has_not_improved(self, tally: Tally, num_trials: int) -> bool:
        """Return whether the last `num_trials` ended trials of a search were no better than one before."""
        count = 0
        for number in tally.last_ended():
            if tally.best is not None and number == tally.best.number:
                return False
            count += self._ledger.trials[number].stage == words.STAGE_SEARCH
            if count >= num_trials:
                return True
        return False

    def confirm_trials(self, arm: str) -> int:
        """Return the number of trials of an arm's confirm stage."""
        return min(self._confirm.top, self.trials(arm)) * self._confirm.seeds if self._confirm else 0

    def epochs(self, arm: str) -> int:
        """Return the number of epochs of a trial that is not stopped early."""
        return max(self._written.max_epochs, self._grant(arm).epochs)

    @property
    def hours(self) -> float | None:
        """The hours that the sweep may take in all; None if there is no limit."""
        return None if self._written.hours is None else max(self._written.hours, self._grant("").hours)

    @property
    def gpu_seconds(self) -> float | None:
        """The seconds for which trials may hold GPUs, by `gpu_hours` and `cost`; None without a limit."""
        limits = [self._written.gpu_hours] if self._written.gpu_hours is not None else []
        if self._written.cost is not None and self._written.price_per_gpu_hour is not None:
            limits.append(self._written.cost / self._written.price_per_gpu_hour)
        return min(limits) * 3600 if limits else None

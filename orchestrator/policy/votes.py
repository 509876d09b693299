"""Trials that wait for listeners (`objective.preference`): votes order the trials, and people are slow.

A batch is `search.startup_trials` trials of an arm. The search proposes the trials of a batch only when every trial of
the batches before it was voted on; until then the sweep runs all other tasks, and then stops.
"""

from __future__ import annotations

from orchestrator.search_space.reader import Arm, Sweep
from orchestrator.state.events.sweep import Preferred
from orchestrator.state.ledger import Ledger
from orchestrator.state.preferences import read_preferences
from orchestrator.state.trial import Trial
from reports import vocabulary as words


class Hearing:
    """The votes on a sweep's trials, and which trials wait for some; without `objective.preference` none does."""

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        """Read the strengths that `orchestrate listen` has saved since the last start.

        Args:
            sweep: the search space.
            ledger: the state of the sweep.
        """
        self.is_wanted = sweep.space.objective.preference
        self._batch = sweep.space.search.startup_trials
        self._ledger = ledger
        self.update_preferences()

    def update_preferences(self) -> None:
        """Read the strengths that `orchestrate listen` has saved.

        If those of completed trials differ from the ledger's, write them to the ledger.
        """
        preferences = read_preferences(self._ledger.folder) if self.is_wanted else None
        if preferences is None:
            return
        strengths = {
            number: strength
            for number, strength in preferences.scores.items()
            if number in self._ledger.trials and self._ledger.trials[number].outcome == words.OUTCOME_COMPLETED
        }
        if strengths != self._ledger.preferences:
            strength_by_number = {str(number): strength for number, strength in strengths.items()}
            self._ledger.write(Preferred(scores=strength_by_number, votes=preferences.votes))

    def unheard(self, arm: str | None = None) -> list[Trial]:
        """Return the completed trials of the search, or of one arm, that have no votes."""
        if not self.is_wanted:
            return []
        return [
            trial
            for trial in self._ledger.trials.values()
            if trial.stage == words.STAGE_SEARCH
            and arm in (None, trial.arm)
            and trial.outcome == words.OUTCOME_COMPLETED
            and trial.number not in self._ledger.preferences
        ]

    def holds_back(self, arm: Arm, index: int) -> bool:
        """Return whether an arm's next trial, at this place in the arm, has to wait for votes on earlier ones.

        Args:
            arm: the arm.
            index: the place of the next trial in its arm, from 0 on.
        """
        first = index - index % self._batch
        if not self.is_wanted or not arm.searched or first == 0:
            return False
        if self._is_open(arm, first):
            self.update_preferences()
        return self._is_open(arm, first)

    def _is_open(self, arm: Arm, first: int) -> bool:
        """Return whether a trial before this place in the arm has not ended, or has no votes."""
        unheard = {trial.number for trial in self.unheard(arm.name)}
        earlier = self._ledger.of_arm(arm.name, words.STAGE_SEARCH)[:first]
        return any(trial.outcome is None or trial.number in unheard for trial in earlier)

"""A trial that has ended resumes, or parts of it are done again."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.state.events.base import TrialChange
from orchestrator.state.sweep_state import SweepState
from orchestrator.state.trial import RANKED, Trial


@dataclass(frozen=True, kw_only=True)
class Extended(TrialChange):
    """The budget of a completed trial has grown to `max_epochs`: it continues."""

    is_of_driver = False
    max_epochs: int

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Open the trial again."""
        state.reopen(trial, self.ts)


@dataclass(frozen=True, kw_only=True)
class Promoted(TrialChange):
    """A trial that was pruned after its epoch number `epochs` now ranks among the best: it continues."""

    epochs: int

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Open the trial again."""
        state.reopen(trial, self.ts)


@dataclass(frozen=True, kw_only=True)
class Lost(TrialChange):
    """Judged epochs were lost with all copies: the trial continues after its epoch number `epochs`."""

    is_of_driver = False
    epochs: int

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Forget the epochs, and open a trial again that had ended with them."""
        trial.decided_epochs = self.epochs
        state.forget_decisions(trial, self.epochs)
        if trial.outcome in RANKED:
            state.reopen(trial, self.ts)


@dataclass(frozen=True, kw_only=True)
class Retried(TrialChange):
    """A trial waits for another attempt, with `share` times its arm's resources."""

    is_of_driver = False
    reason: str
    share: float = 1
    from_scratch: bool = False

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Open the trial again, and forget why its attempts have ended."""
        state.reopen(trial, self.ts)
        trial.retried, trial.share, trial.died_at, trial.diverged = trial.attempts, self.share, [], None
        trial.displaced_at, trial.broken_off = [], ""
        if self.from_scratch:
            trial.start_over()
            state.forget_decisions(trial, 0)
        state.live.discard(trial.number)


@dataclass(frozen=True, kw_only=True)
class Reevaluated(TrialChange):
    """An evaluation that failed will be repeated."""

    is_of_driver = False

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Forget the evaluation."""
        trial.forget_evaluation()

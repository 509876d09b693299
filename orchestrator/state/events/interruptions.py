"""An attempt at a trial is broken off, and the trial waits for another one."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.state.events.base import TrialChange
from orchestrator.state.sweep_state import SweepState
from orchestrator.state.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Died(TrialChange):
    """The process of a trial was killed or crashed, without an exception in Python."""

    epochs: int
    cause: str
    reason: str

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Count the death."""
        trial.died_at.append(self.epochs)
        trial.broken_off = self.reason
        state.live.discard(trial.number)


@dataclass(frozen=True, kw_only=True)
class Displaced(TrialChange):
    """A trial has lost its machine, or its process was told to end: no failure of its own, it waits for an attempt."""

    epochs: int
    reason: str

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Count the loss."""
        trial.displaced_at.append(self.epochs)
        trial.broken_off = self.reason
        state.live.discard(trial.number)


@dataclass(frozen=True, kw_only=True)
class Held(TrialChange):
    """A user has stopped a trial; the next start of the sweep resumes it."""

    reason: str

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Let the trial wait for the next start."""
        trial.held, trial.left_ms = True, self.ts
        state.live.discard(trial.number)


@dataclass(frozen=True, kw_only=True)
class Released(TrialChange):
    """A user lets a trial that was stopped continue in the running sweep."""

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Let the trial wait for a place."""
        trial.held = False


@dataclass(frozen=True, kw_only=True)
class Yielded(TrialChange):
    """A trial has given its place back, as when the sweep pauses; it waits for another."""

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Let the trial wait for a place."""
        trial.left_ms = self.ts
        state.live.discard(trial.number)

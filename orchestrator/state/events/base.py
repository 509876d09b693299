"""What every kind of event has: a time, and a change of the state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from orchestrator.state.sweep_state import SweepState
from orchestrator.state.timekeeper import Dated, Timekeeper
from orchestrator.state.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Event(Dated, ABC):
    """An event of a sweep."""

    is_of_driver: ClassVar[bool] = True
    """Whether only a running driver writes it; other events may be written long after a driver was killed."""
    is_sign_of_life: ClassVar[bool] = False
    """Whether it only occurs while Ray works."""

    def apply(self, state: SweepState) -> set[int]:
        """Let the event change the state.

        Args:
            state: the state after all earlier events.

        Returns:
            The numbers of the trials that the event is about.
        """
        self.pass_time(state.timekeeper)
        if self.is_sign_of_life:
            state.restarts = 0
        numbers = self.change(state)
        state.last_ms = self.ts
        return numbers

    def pass_time(self, timekeeper: Timekeeper) -> None:
        """Let the time since the last event of a driver count."""
        if self.is_of_driver:
            timekeeper.add(self.ts)

    @abstractmethod
    def change(self, state: SweepState) -> set[int]:
        """Do what is particular to this kind in `apply`; `state.last_ms` is still the time of the event before."""


@dataclass(frozen=True, kw_only=True)
class TrialEvent(Event):
    """An event of the trial with the number `trial`."""

    trial: int


@dataclass(frozen=True, kw_only=True)
class TrialChange(TrialEvent):
    """An event that changes a trial, and with it the sums of its arm."""

    def change(self, state: SweepState) -> set[int]:
        """Change the trial, then the sums."""
        trial = state.trials[self.trial]
        self.change_trial(trial, state)
        state.update(trial)
        return {self.trial}

    @abstractmethod
    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Change the trial, and what else the state has but the sums."""

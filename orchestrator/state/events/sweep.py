"""What a sweep gets and spends, and what its arms have learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.state.events.base import Event
from orchestrator.state.sweep_state import Grant, RegretBound, SweepState
from orchestrator.state.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Redirected(Event):
    """From now on the sweep is sent to another MLflow."""

    is_of_driver = False
    tracking_uri: str
    artifact_root: str | None

    def change(self, state: SweepState) -> set[int]:
        """Replace the destination."""
        state.started |= {"tracking_uri": self.tracking_uri, "artifact_root": self.artifact_root}
        return set()


@dataclass(frozen=True, kw_only=True)
class Granted(Event):
    """An arm was granted a budget; hours are granted to the sweep, with "" as the arm.

    Each number is the whole budget, not an increment. The larger of it and the budget in the search space counts.
    """

    is_of_driver = False
    arm: str
    trials: int = 0
    epochs: int = 0
    hours: float = 0

    def change(self, state: SweepState) -> set[int]:
        """Replace the earlier grant."""
        state.granted[self.arm] = Grant(self.trials, self.epochs, self.hours)
        return set()


@dataclass(frozen=True, kw_only=True)
class Spent(Event):
    """Trials have held GPUs for `gpu_s` seconds since the last such event, summed over GPUs."""

    gpu_s: float

    def change(self, state: SweepState) -> set[int]:
        """Add the time."""
        state.gpu_seconds += self.gpu_s
        return set()


@dataclass(frozen=True, kw_only=True)
class Preferred(Event):
    """Listeners have voted: the strengths of all trials with enough votes, by number, replace earlier ones."""

    is_of_driver = False
    scores: Mapping[str, float]
    votes: int

    def change(self, state: SweepState) -> set[int]:
        """Replace the listeners' scores of all trials, and count the update."""
        state.preferences = {int(number): score for number, score in self.scores.items()}
        state.preference_updates += 1
        return set()


@dataclass(frozen=True, kw_only=True)
class Warmed(Event):
    """The studies begin with trials of another sweep.

    Attributes:
        sweep: the name of the other sweep.
        trials: the arm that learns from each trial; its number, outcome and cause in the other sweep; its searched
            values; the objective of every epoch (`values`, None where an epoch has none); and with several objectives
            those of its best epoch (`at_best`).
    """

    sweep: str
    trials: list[Mapping[str, Any]]

    def change(self, state: SweepState) -> set[int]:
        """Add the trials to their arms."""
        state.warm_sweeps.append(self.sweep)
        first = -1 - sum(map(len, state.warm_trials.values()))
        for index, record in enumerate(self.trials):
            trial = Trial.from_other_sweep(record, first - index, state.objective)
            state.warm_trials.setdefault(trial.arm, []).append(trial)
        return set()


@dataclass(frozen=True, kw_only=True)
class Raised(Event):
    """PASHA's top rung has risen to this epoch in an arm, or in all arms ("")."""

    arm: str
    epochs: int

    def change(self, state: SweepState) -> set[int]:
        """Replace the top rung."""
        state.top_rungs[self.arm] = self.epochs
        return set()


@dataclass(frozen=True, kw_only=True)
class Bounded(Event, RegretBound):
    """A model has bounded the regret of an arm (`budget.stop_when.regret_below`)."""

    def change(self, state: SweepState) -> set[int]:
        """Replace the last bound of the arm."""
        state.regret_bounds[self.arm] = self
        return set()

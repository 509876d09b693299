"""ASHA as a rule of pruning: Ray's scheduler, one for each arm, which is rebuilt from a log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from orchestrator.policy.stopping_rules import Rule
from orchestrator.search_space.objective import Pruning
from orchestrator.state.curve import Objective
from orchestrator.state.trial import Trial


class _ReplayableASHA(ASHAScheduler):  # type: ignore[misc]
    """Ray's ASHA with a mode in which it records reports without deciding on them, for the replay of a log."""

    @contextlib.contextmanager
    def suspend_cutoffs(self) -> Iterator[None]:
        """Record reports without deciding on them, as long as the context lasts.

        A decision takes a percentile over all trials at a rung, which would make the replay of a long log take minutes.
        """
        for bracket in self._brackets:
            bracket.cutoff = lambda recorded: None
        try:
            yield
        finally:
            for bracket in self._brackets:
                del bracket.cutoff


class AshaRule(Rule):
    """The rungs of each arm, or of all arms together (`pruning.across_arms`).

    ASHA is given the best value so far at each epoch, not the value of the epoch itself.
    """

    def __init__(self, pruning: Pruning, objective: Objective, max_epochs: Callable[[str], int]) -> None:
        """Begin without trials.

        Args:
            pruning: the settings.
            objective: the metric, and which way is better.
            max_epochs: the largest budget of the arms that share a scheduler; the key "" stands for all arms.
        """
        self._pruning = pruning
        self._objective = objective
        self._max_epochs = max_epochs
        self.schedulers: dict[str, _ReplayableASHA] = {}
        self._added: set[int] = set()
        """Numbers of the trials that a scheduler has."""

    def record(self, trial: Trial, epoch: int, best: float) -> None:
        """Give a report to the scheduler without a decision."""
        scheduler = self._scheduler(trial)
        with scheduler.suspend_cutoffs():
            scheduler.on_trial_result(None, _stub(trial), {"epoch": epoch, "best": best})

    def find_stop_reason(self, trial: Trial, epoch: int, best: float) -> str:
        """Report an epoch to ASHA and return why the trial has to stop; empty if it continues.

        Args:
            trial: the trial.
            epoch: the epoch that it has reported.
            best: its best value so far.
        """
        decision = self._scheduler(trial).on_trial_result(None, _stub(trial), {"epoch": epoch, "best": best})
        if decision != TrialScheduler.STOP:
            return ""
        others = "all trials" if self._pruning.across_arms else "its arm"
        return (
            f"at epoch {epoch}, {self._objective.metric} {best:.4g} was not among the best "
            f"1/{self._pruning.reduction_factor} of {others}"
        )

    def _scheduler(self, trial: Trial) -> _ReplayableASHA:
        """Return the scheduler of a trial's arm, with the trial added to it."""
        key = "" if self._pruning.across_arms else trial.arm
        if key not in self.schedulers:
            self.schedulers[key] = _ReplayableASHA(
                time_attr="epoch",
                metric="best",
                mode=self._objective.mode,
                max_t=self._max_epochs(key),
                grace_period=self._pruning.grace_epochs,
                reduction_factor=self._pruning.reduction_factor,
            )
        scheduler = self.schedulers[key]
        if trial.number not in self._added:
            self._added.add(trial.number)
            scheduler.on_trial_add(None, _stub(trial))
        return scheduler


def _stub(trial: Trial) -> SimpleNamespace:
    """Return an object with what ASHA reads of a Ray trial: an id. A trial's number stays the same after a restart."""
    return SimpleNamespace(trial_id=trial.number)

"""The interface of pruning rules, and those that judge a trial after every epoch: the median, patience, and a test."""

from __future__ import annotations

import bisect
import math
from abc import ABC, abstractmethod
from typing import Literal

from orchestrator.search_space.objective import Pruning
from orchestrator.state.curve import Objective
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words

MIN_PAIRS = 2
"""The fewest epochs that a test compares."""


class Rule(ABC):
    """Decides which trials end early, from the reports of trials of the search before their last epoch.

    Attributes:
        completes: whether a trial that it ends has completed; otherwise it was pruned.
    """

    completes = False

    @abstractmethod
    def record(self, trial: Trial, epoch: int, best: float) -> None:
        """Take in a report on which a driver had decided before.

        Args:
            trial: the trial.
            epoch: the epoch that it has reported.
            best: its best value so far.
        """

    @abstractmethod
    def find_stop_reason(self, trial: Trial, epoch: int, best: float) -> str:
        """Take in a report, and return why the trial has to stop; empty if it continues. See `record`."""


class MedianRule(Rule):
    """The median stopping rule of each arm, or of all arms together (`pruning.across_arms`).

    A trial stops if its best value so far is worse than the median of the running averages of the other trials that
    have reached the same epoch (Golovin et al., 2017, Google Vizier, section 3.2.2). As in Ray's `MedianStoppingRule`,
    averages begin at the grace epoch, and trials that were stopped later count too. Ray's class averages all epochs of
    all trials at every report, which takes too long in a large sweep; this one keeps the averages in order.
    """

    def __init__(self, pruning: Pruning, objective: Objective) -> None:
        """Begin without trials.

        Args:
            pruning: the settings.
            objective: says which way is better.
        """
        self._pruning = pruning
        self._objective = objective
        self._averages: dict[tuple[str, int], list[float]] = {}
        """By arm and epoch: the running averages of the trials that have reached it, in ascending order."""
        self._sums: dict[int, tuple[int, float, int]] = {}
        """By trial: its last epoch, the sum of its values from the grace epoch on, and their number."""

    def record(self, trial: Trial, epoch: int, best: float) -> None:
        """Add a report to those that other trials are compared with; one that is there already is left out."""
        last, total, count = self._sums.get(trial.number, (0, 0.0, 0))
        if epoch <= last:
            return
        for _, value in trial.curve.points(max(last + 1, self._pruning.grace_epochs), epoch):
            if not math.isnan(value):
                total, count = total + value, count + 1
        self._sums[trial.number] = (epoch, total, count)
        if count:
            bisect.insort(self._averages.setdefault((self._key(trial), epoch), []), total / count)

    def find_stop_reason(self, trial: Trial, epoch: int, best: float) -> str:
        """Compare a trial with the others that have reached the epoch, then add its report."""
        reason = self._compare(trial, epoch, best)
        self.record(trial, epoch, best)
        return reason

    def _compare(self, trial: Trial, epoch: int, best: float) -> str:
        averages = self._averages.get((self._key(trial), epoch), [])
        if epoch < self._pruning.grace_epochs or len(averages) < self._pruning.min_trials:
            return ""
        middle = len(averages) // 2
        median = averages[middle] if len(averages) % 2 else (averages[middle - 1] + averages[middle]) / 2
        if not self._objective.is_better(median, best):
            return ""
        others = f"{len(averages)} other trials" + ("" if self._pruning.across_arms else " of its arm")
        return (
            f"at epoch {epoch}, {self._objective.metric} {best:.4g} was worse than {median:.4g}, the median of the "
            f"running averages of {others}"
        )

    def _key(self, trial: Trial) -> str:
        return "" if self._pruning.across_arms else trial.arm


class PatienceRule(Rule):
    """Ends a trial that has not improved for `pruning.patience` epochs; it depends on the trial's own values alone.

    More epochs would not have made the trial better, so that it can be ranked against trials that had all.
    """

    completes = True

    def __init__(self, pruning: Pruning, objective: Objective) -> None:
        """Keep the settings.

        Args:
            pruning: the settings.
            objective: says which way is better.
        """
        assert pruning.patience is not None
        self._first_epoch = pruning.first_epoch
        self._patience = pruning.patience
        self._gain = pruning.min_delta if objective.mode == "max" else -pruning.min_delta
        self._objective = objective

    def record(self, trial: Trial, epoch: int, best: float) -> None:
        """Do nothing: the trial's curve has the report."""

    def find_stop_reason(self, trial: Trial, epoch: int, best: float) -> str:
        """Count the epochs since the last improvement."""
        reached: float | None = None
        since = 0
        for number, value in trial.curve.points(1, epoch):
            if self._objective.is_better(value, None if reached is None else reached + self._gain):
                reached, since = value, number
        if epoch < self._first_epoch or epoch - since < self._patience:
            return ""
        return f"{self._objective.metric} has not improved for {self._patience} epochs, since epoch {since}"


class WilcoxonRule(Rule):
    """Stops a trial whose epochs are worse than the same epochs of the best trial of its arm, by a paired test.

    The test is the one-sided Wilcoxon signed-rank test. As in Optuna's `WilcoxonPruner` (5.0,
    `optuna/pruners/_wilcoxon.py`), the best trial is the best one that has completed; equal values are split
    (`zsplit`); a trial stops where the p value is below `p_threshold`, once it has `grace_epochs` (there
    `n_startup_steps`) and two pairs. Two things differ, because a trial counts with its best epoch, and not with the
    mean over its epochs. A trial that has reached the best value never stops; in Optuna that is one whose mean is as
    good. And an epoch in which one of the two trials has no number makes no pair; Optuna stops no such trial.
    """

    def __init__(self, pruning: Pruning, objective: Objective, ledger: Ledger) -> None:
        """Keep the settings.

        Args:
            pruning: the settings.
            objective: says which way is better.
            ledger: knows the best trial of each arm.
        """
        self._pruning = pruning
        self._objective = objective
        self._ledger = ledger

    def record(self, trial: Trial, epoch: int, best: float) -> None:
        """Do nothing: the trial's curve has the report."""

    def find_stop_reason(self, trial: Trial, epoch: int, best: float) -> str:
        """Compare a trial with the best one of its arm."""
        rival = self._ledger.tally(trial.arm).best
        if rival is None or rival.outcome != words.OUTCOME_COMPLETED or rival.best_value is None:
            return ""
        if epoch < self._pruning.first_epoch or not self._objective.is_better(rival.best_value, best):
            return ""
        values = dict(trial.curve.points(1, epoch))
        differences = [
            values[number] - value
            for number, value in rival.curve.points(1, epoch)
            if number in values and math.isfinite(values[number] - value)
        ]
        if len(differences) < MIN_PAIRS:
            return ""
        # It takes a second, and no other kind of pruning needs it.
        from scipy.stats import wilcoxon

        alternative: Literal["less", "greater"] = "less" if self._objective.mode == "max" else "greater"
        p_value = wilcoxon(differences, alternative=alternative, zero_method="zsplit", axis=None).pvalue
        if p_value >= self._pruning.p_threshold:
            return ""
        return (
            f"at epoch {epoch}, {self._objective.metric} was worse than that of trial {rival.number}, the best of its "
            f"arm, in the same {len(differences)} epochs: p = {p_value:.2g} in a one-sided Wilcoxon signed-rank test"
        )

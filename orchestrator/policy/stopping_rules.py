"""Rules that judge a trial after every epoch: the median of the other trials, and patience with the trial itself."""

from __future__ import annotations

import bisect
import math

from orchestrator.search_space.objective import Pruning
from orchestrator.state.curve import Objective
from orchestrator.state.trial import Trial


class MedianRule:
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

    def enter(self, trial: Trial, epoch: int) -> None:
        """Add a report of a trial to what others are compared with; a report that is there already is left out."""
        last, total, count = self._sums.get(trial.number, (0, 0.0, 0))
        if epoch <= last:
            return
        for _, value in trial.curve.points(max(last + 1, self._pruning.grace_epochs), epoch):
            if not math.isnan(value):
                total, count = total + value, count + 1
        self._sums[trial.number] = (epoch, total, count)
        if count:
            bisect.insort(self._averages.setdefault((self._key(trial), epoch), []), total / count)

    def find_reason(self, trial: Trial, epoch: int, best: float) -> str:
        """Return why a trial has to stop after an epoch; empty if it goes on.

        Args:
            trial: a trial whose report at this epoch was not entered yet.
            epoch: the epoch.
            best: its best value so far.
        """
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


def find_stagnation(trial: Trial, epoch: int, pruning: Pruning, objective: Objective) -> str:
    """Return why a trial ends because it has not improved for `pruning.patience` epochs; empty if it goes on.

    It depends on nothing but the trial's own values.

    Args:
        trial: the trial.
        epoch: the epoch after which it is judged.
        pruning: the settings.
        objective: says which way is better.
    """
    assert pruning.patience is not None
    gain = pruning.min_delta if objective.mode == "max" else -pruning.min_delta
    best: float | None = None
    best_epoch = 0
    for number, value in trial.curve.points(1, epoch):
        if objective.is_better(value, None if best is None else best + gain):
            best, best_epoch = value, number
    if epoch < pruning.first_epoch or epoch - best_epoch < pruning.patience:
        return ""
    return f"{objective.metric} has not improved for {pruning.patience} epochs, since epoch {best_epoch}"

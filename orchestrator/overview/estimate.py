"""How long a sweep still takes, from what has become of its trials so far."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.search_space.objective import HALVING
from orchestrator.state.budget import Budget
from orchestrator.state.timekeeper import now_ms
from orchestrator.state.trial import Trial
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep
    from orchestrator.state.ledger import Ledger

EPOCHS_PER_SLOT = 2
"""Epochs for each trial that runs at once, before which nothing is said: the first ones take longest."""
OWN_ENDS = 4
"""Ended trials from which on an arm's survival is its own; before, it is that of all arms together."""
OVERDUE = 2.0
"""An epoch that takes this many times as long as the mean says nothing about its end."""
RECENT_ENDS = 5
"""The newest ended trials of each arm, for the time that a trial takes in addition to its epochs."""
SLACK_S = 5.0
"""An epoch is not overdue before it has taken this much longer."""


def list_rungs(sweep: Sweep, max_epochs: int) -> list[int]:
    """Return the epochs at which trials are compared, or the first after which one may end, and the last epoch."""
    pruning = sweep.space.pruning
    if pruning is None:
        return [max_epochs]
    if pruning.kind not in HALVING:
        return sorted({min(pruning.first_epoch, max_epochs), max_epochs})
    return [*itertools.takewhile(lambda rung: rung < max_epochs, pruning.rungs()), max_epochs]


def count_reached(sweep: Sweep, ledger: Ledger) -> dict[int, int]:
    """Return how many trials of the search have reached each rung, by its epoch."""
    budget = Budget(sweep, ledger)
    lengths = _sum_lengths(sweep, ledger)
    running = [ledger.trials[number] for number in list(ledger.unfinished)]
    lengths.update(trial.epochs for trial in running if trial.stage == words.STAGE_SEARCH)
    rungs = list_rungs(sweep, max(budget.epochs(arm.name) for arm in sweep.arms))
    return {rung: sum(count for length, count in lengths.items() if length >= rung) for rung in rungs}


def _sum_lengths(sweep: Sweep, ledger: Ledger) -> Counter[int]:
    """Return how many trials of the search have ended after each number of epochs, in all arms."""
    lengths: Counter[int] = Counter()
    for arm in sweep.arms:
        # A copy, because the driver's thread adds to it meanwhile.
        lengths += Counter(ledger.tally(arm.name).lengths)
    return lengths


@dataclass(frozen=True)
class Survival:
    """The Kaplan-Meier estimate of how many epochs a trial has.

    Attributes:
        shares: at index k the share of trials that have more than k epochs.
    """

    shares: Sequence[float]

    @classmethod
    def estimate(cls, ended: Counter[int], running: Sequence[int], max_epochs: int) -> Survival:
        """Estimate it from trials that have ended, and from those that run, whose end is not known yet.

        Args:
            ended: how many trials ended after each number of epochs.
            running: the epochs of each trial that runs.
            max_epochs: the budget, which ends every trial.
        """
        lengths = ended + Counter(running)
        # At index k: how many trials had at least k epochs.
        at_risk = list(itertools.accumulate(lengths[epoch] for epoch in range(max(lengths, default=0), -1, -1)))[::-1]
        shares = [1.0]
        for epoch in range(1, max_epochs):
            num_at_risk = at_risk[epoch] if epoch < len(at_risk) else 0
            shares.append(shares[-1] * (1 - ended[epoch] / num_at_risk if num_at_risk else 1))
        return cls(shares)

    def expect(self, epochs: int) -> float:
        """Return the epochs that a trial still has on average after `epochs` epochs."""
        rest = self.shares[epochs:]
        return sum(rest) / rest[0] if rest and rest[0] > 0 else float(bool(rest))


def seconds_left(sweep: Sweep, ledger: Ledger, slots: int) -> float | None:
    """Estimate how long the sweep still takes; None without evidence, when the end is overdue, or when all have ended.

    Each trial is expected to last as long as the Kaplan-Meier estimate says, so that pruning counts, and as long in
    addition to its epochs as the newest ended ones. What all trials need is divided by the number of those that run at
    once; the sweep takes no less than its longest running trial.

    Args:
        sweep: the search space of the sweep.
        ledger: its state.
        slots: the number of trials that run at once.
    """
    tallies = {arm.name: ledger.tally(arm.name) for arm in sweep.arms}
    num_epochs = sum(tally.epochs for tally in tallies.values())
    if num_epochs < EPOCHS_PER_SLOT * slots or not _has_decided(sweep, ledger):
        return None
    mean_s = sum(tally.trained_s for tally in tallies.values()) / num_epochs
    running = [ledger.trials[number] for number in list(ledger.unfinished)]
    budget = Budget(sweep, ledger)
    survivals = _estimate_survivals(sweep, ledger, budget, running)
    overhead_s = _measure_overhead_s(sweep, ledger, slots)
    new_s, num_new = 0.0, 0
    for arm, tally in tallies.items():
        epoch_s = tally.trained_s / tally.epochs if tally.epochs else mean_s
        num_search = max(0, budget.trials(arm) - len(tally.of_stage(words.STAGE_SEARCH)))
        num_confirm = max(0, budget.confirm_trials(arm) - len(tally.of_stage(words.STAGE_CONFIRM)))
        new_s += epoch_s * (num_search * survivals[arm].expect(0) + num_confirm * budget.epochs(arm))
        new_s += overhead_s * (num_search + num_confirm)
        num_new += num_search + num_confirm
    rests = [_rest_s(trial, survivals[trial.arm], budget.epochs(trial.arm), mean_s) for trial in running]
    if not num_new and (not rests or None in rests):
        return None
    rests_s = [rest for rest in rests if rest is not None]
    num_parallel = max(1, min(slots, len(rests_s) + num_new))
    return max((new_s + sum(rests_s)) / num_parallel, max(rests_s, default=0.0))


def _has_decided(sweep: Sweep, ledger: Ledger) -> bool:
    """Return whether pruning has decided on a trial, without which the length of trials is unknown."""
    reached = count_reached(sweep, ledger)
    return sweep.space.pruning is None or reached[min(reached)] > 0


def _estimate_survivals(sweep: Sweep, ledger: Ledger, budget: Budget, running: Sequence[Trial]) -> dict[str, Survival]:
    """Return the survival of each arm's trials; that of all arms for an arm that has hardly any ended trial."""
    everything = _sum_lengths(sweep, ledger)
    searching = [trial for trial in running if trial.stage == words.STAGE_SEARCH]
    survivals = {}
    for arm in sweep.arms:
        ended = Counter(ledger.tally(arm.name).lengths)
        is_own = ended.total() >= OWN_ENDS
        epochs = [trial.epochs for trial in searching if not is_own or trial.arm == arm.name]
        survivals[arm.name] = Survival.estimate(ended if is_own else everything, epochs, budget.epochs(arm.name))
    return survivals


def _measure_overhead_s(sweep: Sweep, ledger: Ledger, slots: int) -> float:
    """Return the seconds that a trial takes in addition to its epochs, such as for its start: a median."""
    overheads_s = []
    for arm in sweep.arms:
        # A copy, because the driver's thread adds to it meanwhile.
        for number in list(ledger.tally(arm.name).ended)[-RECENT_ENDS:]:
            trial = ledger.trials[number]
            # The first trials start the workers, which later ones use. A second attempt may have come days later.
            if number > slots and trial.attempts == 1 and trial.ended_ms is not None:
                overheads_s.append((trial.ended_ms - trial.asked_ms) / 1000 - trial.curve.spent_s)
    return max(0.0, statistics.median(overheads_s)) if overheads_s else 0.0


def _rest_s(trial: Trial, survival: Survival, max_epochs: int, mean_s: float) -> float | None:
    """Return the seconds that a running trial still takes; None if its epoch is overdue."""
    is_search = trial.stage == words.STAGE_SEARCH
    epochs = survival.expect(trial.epochs) if is_search else max_epochs - trial.epochs
    epoch_s = trial.curve.trained_s / len(trial.curve) if len(trial.curve) else mean_s
    waits = trial.left_ms is not None or trial.curve.last_ms is None
    since_s = 0.0 if waits else (now_ms() - (trial.curve.last_ms or 0)) / 1000
    if since_s > OVERDUE * epoch_s + SLACK_S:
        return None
    return max(0.0, epochs * epoch_s - min(since_s, epoch_s))

"""The end of trials before their last epoch, inside each arm, so that none is pruned because another one learns faster.

ASHA is Ray's, with a scheduler for each arm; `promotion` has the rungs from which trials are promoted, `stopping_rules`
what judges a trial after every epoch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from orchestrator.policy.promotion import Promotion
from orchestrator.policy.stopping_rules import MedianRule, find_stagnation
from orchestrator.search_space.objective import MEDIAN, PATIENT
from orchestrator.search_space.reader import Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective, describe_constraints
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words


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


class Rungs:
    """The pruning of each arm, or of all arms together (`pruning.across_arms`), rebuilt by replaying all reports.

    ASHA is given the best value so far at each epoch, not the value of the epoch itself.
    """

    def __init__(self, sweep: Sweep, ledger: Ledger, promotion: Promotion | None = None) -> None:
        """Replay the reports of the ledger, and judge those on which no driver has decided.

        Args:
            sweep: the search space.
            ledger: the state of the sweep; decisions on unjudged reports are written to it.
            promotion: the rungs that the agenda promotes from; by default those of the ledger.
        """
        self.promotion = promotion or Promotion(sweep, ledger)
        self.objective = Objective.of(sweep.space)
        self.budget = Budget(sweep, ledger)
        self.pruning = sweep.space.pruning
        self._arms = [arm.name for arm in sweep.arms]
        is_median = self.pruning is not None and self.pruning.kind == MEDIAN
        self._median = MedianRule(self.pruning, self.objective) if self.pruning and is_median else None
        self._schedulers: dict[str, _ReplayableASHA] = {}
        self._added: set[int] = set()
        """Numbers of the trials that a scheduler has."""
        self._replay(ledger)

    def _scheduler(self, trial: Trial) -> _ReplayableASHA:
        """Return the scheduler of a trial's arm, with the trial added to it."""
        assert self.pruning is not None
        key = "" if self.pruning.across_arms else trial.arm
        if key not in self._schedulers:
            self._schedulers[key] = _ReplayableASHA(
                time_attr="epoch",
                metric="best",
                mode=self.objective.mode,
                max_t=self._max_epochs(key),
                grace_period=self.pruning.grace_epochs,
                reduction_factor=self.pruning.reduction_factor,
            )
        scheduler = self._schedulers[key]
        if trial.number not in self._added:
            self._added.add(trial.number)
            scheduler.on_trial_add(None, _stub(trial))
        return scheduler

    def _max_epochs(self, key: str) -> int:
        """Return the largest budget of the arms that share a scheduler; the key "" stands for all arms."""
        return max(self.budget.epochs(arm) for arm in self._arms if key in ("", arm))

    def _ask_asha(self, trial: Trial, epoch: int, best: float) -> str:
        """Give a report to ASHA, and return why it stops the trial; empty if it does not."""
        decision = self._scheduler(trial).on_trial_result(None, _stub(trial), {"epoch": epoch, "best": best})
        if self.pruning is None or decision != TrialScheduler.STOP:
            return ""
        return (
            f"at epoch {epoch}, {self.objective.metric} {best:.4g} was not among the best "
            f"1/{self.pruning.reduction_factor} of its arm"
        )

    def _replay(self, ledger: Ledger) -> None:
        """Take in every report of the log, in the order in which the reports were judged.

        A report on which the last driver had not decided before it died is judged now, so that a trial that has to stop
        does not go on.
        """
        bests = {
            (trial.number, epoch): (time_ms, best)
            for trial in ledger.trials.values()
            for epoch, time_ms, best in trial.curve.best_so_far(self.objective)
        }
        for number, epoch in ledger.judged():
            # Epochs before the first finite value were judged too, but are compared with nothing.
            _, best = bests.pop((number, epoch), (0, None))
            if best is not None:
                self._record(ledger.trials[number], epoch, best)
        unjudged = sorted((time_ms, *key, best) for key, (time_ms, best) in bests.items())
        for _, number, epoch, best in unjudged:
            trial = ledger.trials[number]
            if trial.outcome is None:
                self._settle(ledger, trial, epoch, self._find_reason(trial, epoch, best))
            else:
                self._find_reason(trial, epoch, best)
        for trial in [ledger.trials[number] for number in sorted(ledger.unfinished)]:
            if trial.diverged:
                ledger.end(trial, words.OUTCOME_DIVERGED, trial.diverged["cause"], trial.diverged["reason"])
            elif trial.epochs > trial.judged and trial.best_value is None:
                self._settle(ledger, trial, trial.epochs, self._find_hopelessness(trial))

    def _find_reason(self, trial: Trial, epoch: int, best: float) -> str:
        """Take in a report if pruning is about it, and return why the trial has to stop; empty if it goes on."""
        if self.promotion.is_wanted:
            return self.promotion.find_reason(trial, epoch, best)
        if self.pruning is None or not self._is_judged(trial, epoch):
            return ""
        if self._median is not None:
            reason = self._median.find_reason(trial, epoch, best)
            self._median.enter(trial, epoch)
            return reason
        if self.pruning.kind == PATIENT:
            return find_stagnation(trial, epoch, self.pruning, self.objective)
        return self._ask_asha(trial, epoch, best)

    def _is_judged(self, trial: Trial, epoch: int) -> bool:
        """Return whether pruning decides on a report: neither on confirm trials nor on a trial's last epoch."""
        is_search = self.pruning is not None and trial.stage == words.STAGE_SEARCH
        return is_search and epoch < self.budget.epochs(trial.arm)

    def _record(self, trial: Trial, epoch: int, best: float) -> None:
        """Take in a report that was judged before; the rungs of promotions have it already."""
        if self.pruning is None or self.promotion.is_wanted or not self._is_judged(trial, epoch):
            return
        if self._median is not None:
            self._median.enter(trial, epoch)
        elif self.pruning.kind != PATIENT:
            scheduler = self._scheduler(trial)
            with scheduler.suspend_cutoffs():
                scheduler.on_trial_result(None, _stub(trial), {"epoch": epoch, "best": best})

    def judge(self, ledger: Ledger, trial: Trial) -> bool:
        """Decide on a trial's newest report, write the decision to the ledger, and return whether the trial has ended.

        A trial ends when it diverged, has used up its budget of epochs, or is pruned.
        """
        if trial.diverged:
            ledger.end(trial, words.OUTCOME_DIVERGED, trial.diverged["cause"], trial.diverged["reason"])
            return True
        best, epoch = trial.best_value, trial.epochs
        reason = self._find_hopelessness(trial) if best is None else self._find_reason(trial, epoch, best)
        self._settle(ledger, trial, epoch, reason)
        return trial.outcome is not None

    def _find_hopelessness(self, trial: Trial) -> str:
        """Return why a trial stops because none of its epochs has met the constraints; empty if it goes on."""
        is_judged = bool(self.objective.constraints) and self._is_judged(trial, trial.epochs)
        if not is_judged or self.pruning is None or not self.pruning.is_rung(trial.epochs):
            return ""
        return f"no epoch up to {trial.epochs} has met {describe_constraints(self.objective)}"

    def _settle(self, ledger: Ledger, trial: Trial, epoch: int, reason: str) -> None:
        """Write the decision on an epoch to the ledger: the trial completed, was pruned, or goes on.

        Args:
            ledger: the state of the sweep.
            trial: the trial.
            epoch: its epoch.
            reason: why the trial has to stop; empty if it goes on.
        """
        if epoch >= self.budget.epochs(trial.arm):
            ledger.end(trial, words.OUTCOME_COMPLETED, reason=f"all {trial.epochs} epochs")
        elif not reason:
            ledger.judge(trial, epoch)
        elif trial.best_value is not None and self.pruning is not None and self.pruning.kind == PATIENT:
            # More epochs would not have made it better, so that it can be ranked against trials that had all.
            ledger.end(trial, words.OUTCOME_COMPLETED, words.CAUSE_OVER, reason)
        else:
            ledger.end(trial, words.OUTCOME_PRUNED, reason=reason)


def _stub(trial: Trial) -> SimpleNamespace:
    """Return an object with what ASHA reads of a Ray trial: an id. A trial's number stays the same after a restart."""
    return SimpleNamespace(trial_id=trial.number)

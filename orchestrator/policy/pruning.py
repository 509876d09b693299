"""Pruning by ASHA, with a scheduler for each arm, so that no arm is pruned because another one learns faster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from orchestrator.policy.promotion import Promotion
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
    """Ray's ASHA for each arm, or one for all arms (`pruning.across_arms`), rebuilt by replaying all reports.

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

    def _asha_stops(self, trial: Trial, epoch: int, best: float) -> bool:
        """Give a report to ASHA, and return whether it stops the trial."""
        decision = self._scheduler(trial).on_trial_result(None, _stub(trial), {"epoch": epoch, "best": best})
        return bool(decision == TrialScheduler.STOP)

    def _replay(self, ledger: Ledger) -> None:
        """Give every report of the log to ASHA, in the order in which the reports were judged.

        A report on which the last driver had not decided before it died is judged now, so that a trial that has to stop
        does not go on.
        """
        bests = {
            (trial.number, epoch): (time_ms, best)
            for trial in ledger.trials.values()
            for epoch, time_ms, best in trial.curve.best_so_far(self.objective)
        }
        for number, epoch in ledger.judged():
            # Epochs before the first finite value were judged too, but ASHA never got them.
            _, best = bests.pop((number, epoch), (0, None))
            if best is not None:
                self._record(ledger.trials[number], epoch, best)
        unjudged = sorted((time_ms, *key, best) for key, (time_ms, best) in bests.items())
        for _, number, epoch, best in unjudged:
            trial = ledger.trials[number]
            if trial.outcome is None:
                self._settle(ledger, trial, epoch, self._stops(trial, epoch, best), best)
            else:
                self._stops(trial, epoch, best)
        for trial in [ledger.trials[number] for number in sorted(ledger.unfinished)]:
            if trial.diverged:
                ledger.end(trial, words.OUTCOME_DIVERGED, trial.diverged["cause"], trial.diverged["reason"])
            elif trial.epochs > trial.judged and trial.best_value is None:
                self._settle(ledger, trial, trial.epochs, self._is_hopeless(trial), None)

    def _stops(self, trial: Trial, epoch: int, best: float) -> bool:
        """Give a report to ASHA if it is one for ASHA, and return whether the trial has to stop."""
        if self.promotion.is_wanted:
            return self.promotion.pauses(trial, epoch, best)
        return self._is_for_asha(trial, epoch) and self._asha_stops(trial, epoch, best)

    def _is_for_asha(self, trial: Trial, epoch: int) -> bool:
        """Return whether ASHA decides on a report: neither on confirm trials nor on a trial's last epoch."""
        is_search = self.pruning is not None and trial.stage == words.STAGE_SEARCH
        return is_search and epoch < self.budget.epochs(trial.arm)

    def _record(self, trial: Trial, epoch: int, best: float) -> None:
        """Give ASHA a report that was judged before; the rungs of promotions have it already."""
        if not self.promotion.is_wanted and self._is_for_asha(trial, epoch):
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
        best = trial.best_value
        stops = self._is_hopeless(trial) if best is None else self._stops(trial, trial.epochs, best)
        self._settle(ledger, trial, trial.epochs, stops, best)
        return trial.outcome is not None

    def _is_hopeless(self, trial: Trial) -> bool:
        """Return whether a trial stops at a rung because none of its epochs has met the constraints."""
        is_judged = bool(self.objective.constraints) and self._is_for_asha(trial, trial.epochs)
        return is_judged and self.pruning is not None and self.pruning.is_rung(trial.epochs)

    def _settle(self, ledger: Ledger, trial: Trial, epoch: int, stops: bool, best: float | None) -> None:
        """Write the decision on an epoch to the ledger: the trial completed, was pruned, or goes on."""
        if epoch >= self.budget.epochs(trial.arm):
            ledger.end(trial, words.OUTCOME_COMPLETED, reason=f"all {trial.epochs} epochs")
        elif stops and best is None:
            bounds = describe_constraints(self.objective)
            ledger.end(trial, words.OUTCOME_PRUNED, reason=f"no epoch up to {epoch} has met {bounds}")
        elif stops:
            ledger.end(
                trial,
                words.OUTCOME_PRUNED,
                reason=f"at epoch {epoch}, {self.objective.metric} {best:.4g} was not among the best "
                f"1/{self.pruning.reduction_factor if self.pruning else 1} of its arm"
                + (" so far" if self.promotion.is_wanted else ""),
            )
        else:
            ledger.judge(trial, epoch)


def _stub(trial: Trial) -> SimpleNamespace:
    """Return an object with what ASHA reads of a Ray trial: an id. A trial's number stays the same after a restart."""
    return SimpleNamespace(trial_id=trial.number)

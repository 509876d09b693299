"""Pruning that is fair between arms: every arm has its own ASHA, and ASHA sees the best value so far."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from orchestrator.search_space.reader import Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words


class _ReplayableASHA(ASHAScheduler):  # type: ignore[misc]
    """Ray's ASHA, which can also take reports over whose decisions are known."""

    @contextlib.contextmanager
    def without_cutoffs(self) -> Iterator[None]:
        """Keep reports and decide nothing: a percentile of all trials at a rung for each report takes minutes."""
        for bracket in self._brackets:
            bracket.cutoff = lambda recorded: None
        try:
            yield
        finally:
            for bracket in self._brackets:
                del bracket.cutoff


class Rungs:
    """Ray's ASHA, one for each arm (or one for all where the file asks for it), rebuilt by replaying the reports."""

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        self.objective = Objective(sweep.space.objective.metric, sweep.space.objective.mode)
        self.budget = Budget(sweep, ledger)
        self.pruning = sweep.space.pruning
        self._arms = [arm.name for arm in sweep.arms]
        self._schedulers: dict[str, _ReplayableASHA] = {}
        self._known: set[int] = set()
        self._replay(ledger)

    def _scheduler(self, trial: Trial) -> _ReplayableASHA:
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
        if trial.number not in self._known:
            self._known.add(trial.number)
            scheduler.on_trial_add(None, _stub(trial))
        return scheduler

    def _max_epochs(self, key: str) -> int:
        return max(self.budget.epochs(arm) for arm in self._arms if key in ("", arm))

    def _asha_stops(self, trial: Trial, epoch: int, best: float) -> bool:
        decision = self._scheduler(trial).on_trial_result(None, _stub(trial), {"epoch": epoch, "best": best})
        return bool(decision == TrialScheduler.STOP)

    def _replay(self, ledger: Ledger) -> None:
        """Feed every recorded report in the order in which they were judged. What nobody had judged before the driver
        died is judged now, so that a trial that was to stop does not slip through."""
        bests = {
            (trial.number, epoch): (time_ms, best)
            for trial in ledger.trials.values()
            for epoch, time_ms, best in trial.curve.best_so_far(self.objective)
        }
        for number, epoch in ledger.judged():
            # Epochs without a number were judged, too, and nobody was told of them.
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

    def _stops(self, trial: Trial, epoch: int, best: float) -> bool:
        """Tell ASHA of a report, and whether it stops the trial."""
        return self._is_asha_told(trial, epoch) and self._asha_stops(trial, epoch, best)

    def _is_asha_told(self, trial: Trial, epoch: int) -> bool:
        is_search = self.pruning is not None and trial.stage == words.STAGE_SEARCH
        return is_search and epoch < self.budget.epochs(trial.arm)

    def _record(self, trial: Trial, epoch: int, best: float) -> None:
        """Tell ASHA of a report that was judged before."""
        if self._is_asha_told(trial, epoch):
            scheduler = self._scheduler(trial)
            with scheduler.without_cutoffs():
                scheduler.on_trial_result(None, _stub(trial), {"epoch": epoch, "best": best})

    def judge(self, ledger: Ledger, trial: Trial) -> bool:
        """Decide on a trial's newest report, write the decision, and say whether the trial has ended."""
        if trial.diverged:
            ledger.end(trial, words.OUTCOME_DIVERGED, trial.diverged["cause"], trial.diverged["reason"])
            return True
        best = trial.best_value
        stops = best is not None and self._stops(trial, trial.epochs, best)
        self._settle(ledger, trial, trial.epochs, stops, best)
        return trial.outcome is not None

    def _settle(self, ledger: Ledger, trial: Trial, epoch: int, stops: bool, best: float | None) -> None:
        """Write down what becomes of a trial after an epoch."""
        if epoch >= self.budget.epochs(trial.arm):
            ledger.end(trial, words.OUTCOME_COMPLETED, reason=f"all {trial.epochs} epochs")
        elif stops:
            ledger.end(
                trial,
                words.OUTCOME_PRUNED,
                reason=f"at epoch {epoch}, {self.objective.metric} {best:.4g} was not among the best "
                f"1/{self.pruning.reduction_factor if self.pruning else 1} of its arm",
            )
        else:
            ledger.judge(trial, epoch)


def _stub(trial: Trial) -> SimpleNamespace:
    # All that ASHA asks of a Ray trial; a number of ours outlives Ray's ids.
    return SimpleNamespace(trial_id=trial.number)

"""Pruning that is fair between arms: every arm has its own ASHA, and ASHA sees the best value so far."""

from __future__ import annotations

from types import SimpleNamespace

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from orchestrator.budget import Budget
from orchestrator.ledger import Ledger
from orchestrator.search_space import Sweep
from orchestrator.trial import Objective, Trial
from reports import vocabulary as words


class Rungs:
    """Ray's ASHA, one for each arm (or one for all where the file asks for it), rebuilt by replaying the reports."""

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        self.objective = Objective(sweep.space.objective.metric, sweep.space.objective.mode)
        self.budget = Budget(sweep, ledger)
        self.pruning = sweep.space.pruning
        self._arms = [arm.name for arm in sweep.arms]
        self._schedulers: dict[str, ASHAScheduler] = {}
        self._known: set[int] = set()
        self._replay(ledger)

    def _scheduler(self, trial: Trial) -> ASHAScheduler:
        assert self.pruning is not None
        key = "" if self.pruning.across_arms else trial.arm
        if key not in self._schedulers:
            self._schedulers[key] = ASHAScheduler(
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
            (trial.number, row["epoch"]): (row["ts"], best)
            for trial in ledger.trials.values()
            for row, best in self.objective.best_so_far(trial)
        }
        judged = [key for key in _judged(ledger) if key in bests]
        for number, epoch in judged:
            self._stops(ledger.trials[number], epoch, bests[number, epoch][1])
        unjudged = sorted((ts, *key, best) for key, (ts, best) in bests.items() if key not in set(judged))
        for _, number, epoch, best in unjudged:
            trial = ledger.trials[number]
            if trial.outcome is None:
                self._settle(ledger, trial, self._stops(trial, epoch, best), best)
            else:
                self._stops(trial, epoch, best)
        for trial in ledger.trials.values():
            if trial.outcome is None and trial.diverged:
                ledger.end(trial, words.OUTCOME_DIVERGED, trial.diverged["cause"], trial.diverged["reason"])

    def _stops(self, trial: Trial, epoch: int, best: float) -> bool:
        """Tell ASHA of a report, and whether it stops the trial."""
        if self.pruning is None or trial.stage != words.STAGE_SEARCH or epoch >= self.budget.epochs(trial.arm):
            return False
        return self._asha_stops(trial, epoch, best)

    def judge(self, ledger: Ledger, trial: Trial) -> bool:
        """Decide on a trial's newest report, write the decision, and say whether the trial has ended."""
        if trial.diverged:
            ledger.end(trial, words.OUTCOME_DIVERGED, trial.diverged["cause"], trial.diverged["reason"])
            return True
        best = self.objective.best(trial)
        self._settle(ledger, trial, best is not None and self._stops(trial, trial.epochs, best), best)
        return trial.outcome is not None

    def _settle(self, ledger: Ledger, trial: Trial, stops: bool, best: float | None) -> None:
        if trial.epochs >= self.budget.epochs(trial.arm):
            ledger.end(trial, words.OUTCOME_COMPLETED, reason=f"all {trial.epochs} epochs")
        elif stops:
            ledger.end(
                trial,
                words.OUTCOME_PRUNED,
                reason=f"at epoch {trial.epochs}, {self.objective.metric} {best:.4g} was not among the best "
                f"1/{self.pruning.reduction_factor if self.pruning else 1} of its arm",
            )
        else:
            ledger.judge(trial)


def _judged(ledger: Ledger) -> list[tuple[int, int]]:
    """(trial, epoch) of every report that was judged, in that order, without those of trials that were started over."""
    found: dict[tuple[int, int], None] = {}
    for event in ledger.events:
        if event["event"] in ("judged", "ended"):
            found[event["trial"], event["epochs"]] = None
        elif event["event"] == "retried" and event["from_scratch"]:
            found = {key: None for key in found if key[0] != event["trial"]}
    return list(found)


def _stub(trial: Trial) -> SimpleNamespace:
    # All that ASHA asks of a Ray trial; a number of ours outlives Ray's ids.
    return SimpleNamespace(trial_id=trial.number)

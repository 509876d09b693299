"""Pruning that is fair between arms: every arm has its own ASHA, and ASHA sees the best value so far."""

from __future__ import annotations

from types import SimpleNamespace

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from orchestrator.ledger import Ledger, Objective, Trial
from orchestrator.search_space import Sweep
from reports import vocabulary as words


class Rungs:
    """Ray's ASHA, one for each arm (or one for all where the file asks for it), rebuilt by replaying the reports."""

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        self.objective = Objective(sweep.space.objective.metric, sweep.space.objective.mode)
        self.max_epochs = sweep.space.budget.max_epochs
        self.pruning = sweep.space.pruning
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
                max_t=self.max_epochs,
                grace_period=self.pruning.grace_epochs,
                reduction_factor=self.pruning.reduction_factor,
            )
        scheduler = self._schedulers[key]
        if trial.number not in self._known:
            self._known.add(trial.number)
            scheduler.on_trial_add(None, _stub(trial))
        return scheduler

    def _asha_stops(self, trial: Trial, epoch: int, best: float) -> bool:
        decision = self._scheduler(trial).on_trial_result(None, _stub(trial), {"epoch": epoch, "best": best})
        return bool(decision == TrialScheduler.STOP)

    def _replay(self, ledger: Ledger) -> None:
        """Feed every recorded report in the order of their times; decisions were taken then, except for the last
        report of a trial that has not ended: nobody may have judged it before the driver died, so it is judged now."""
        reports = [
            (row["ts"], trial.number, row["epoch"], best)
            for trial in ledger.trials.values()
            for row, best in self.objective.best_so_far(trial)
            # A divergence was never told to ASHA; it ends the trial below.
            if "diverged" not in row
        ]
        for _, number, epoch, best in sorted(reports):
            trial = ledger.trials[number]
            stops = self._prunes(trial) and epoch < self.max_epochs and self._asha_stops(trial, epoch, best)
            if trial.outcome is None and epoch == trial.epochs:
                self._settle(ledger, trial, stops, best)
        for trial in ledger.trials.values():
            if trial.outcome is None and trial.diverged:
                ledger.end(trial, words.OUTCOME_DIVERGED, trial.diverged["cause"], trial.diverged["reason"])

    def _prunes(self, trial: Trial) -> bool:
        return self.pruning is not None and trial.stage == "search"

    def judge(self, ledger: Ledger, trial: Trial) -> bool:
        """Decide on a trial's newest report, write the decision, and say whether the trial has ended."""
        if trial.diverged:
            ledger.end(trial, words.OUTCOME_DIVERGED, trial.diverged["cause"], trial.diverged["reason"])
            return True
        best = self.objective.best(trial)
        stops = (
            best is not None
            and trial.epochs < self.max_epochs
            and self._prunes(trial)
            and self._asha_stops(trial, trial.epochs, best)
        )
        self._settle(ledger, trial, stops, best)
        return trial.outcome is not None

    def _settle(self, ledger: Ledger, trial: Trial, stops: bool, best: float | None) -> None:
        if trial.epochs >= self.max_epochs:
            ledger.end(trial, words.OUTCOME_COMPLETED, reason=f"all {trial.epochs} epochs")
        elif stops:
            ledger.end(
                trial,
                words.OUTCOME_PRUNED,
                reason=f"at epoch {trial.epochs}, {self.objective.metric} {best:.4g} was not among the best "
                f"1/{self.pruning.reduction_factor if self.pruning else 1} of its arm",
            )


def _stub(trial: Trial) -> SimpleNamespace:
    # All that ASHA asks of a Ray trial; a number of ours outlives Ray's ids.
    return SimpleNamespace(trial_id=trial.number)

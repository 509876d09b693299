"""The end of trials before their last epoch, inside each arm, so that none is pruned because another one learns faster.

`asha`, `promotion` and `stopping_rules` have the rules. Here decisions are written to the log, and rebuilt from it.
"""

from __future__ import annotations

from orchestrator.policy.asha import AshaRule
from orchestrator.policy.promotion import Promotion
from orchestrator.policy.stopping_rules import MedianRule, PatienceRule, Rule, WilcoxonRule
from orchestrator.search_space.objective import MEDIAN, PATIENT, WILCOXON
from orchestrator.search_space.reader import Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective, describe_constraints
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words


class Rungs:
    """The pruning of each arm, or of all arms together (`pruning.across_arms`), rebuilt by replaying all reports."""

    def __init__(self, sweep: Sweep, ledger: Ledger, promotion: Promotion | None = None) -> None:
        """Replay the reports of the ledger, and decide on those on which no driver has.

        Args:
            sweep: the search space.
            ledger: the state of the sweep; decisions on undecided reports are written to it.
            promotion: the rungs that the agenda promotes from; by default those of the ledger.
        """
        self.promotion = promotion or Promotion(sweep, ledger)
        self.objective = Objective.of(sweep.space)
        self.budget = Budget(sweep, ledger)
        self.pruning = sweep.space.pruning
        self._arms = [arm.name for arm in sweep.arms]
        self.rule = self._make_rule(ledger)
        self._replay(ledger)

    def _make_rule(self, ledger: Ledger) -> Rule | None:
        """Return the rule that ends trials early; None without pruning."""
        if self.pruning is None:
            return None
        if self.promotion.is_wanted:
            return self.promotion
        if self.pruning.kind == MEDIAN:
            return MedianRule(self.pruning, self.objective)
        if self.pruning.kind == PATIENT:
            return PatienceRule(self.pruning, self.objective)
        if self.pruning.kind == WILCOXON:
            return WilcoxonRule(self.pruning, self.objective, ledger)
        return AshaRule(self.pruning, self.objective, self._max_epochs)

    def _max_epochs(self, key: str) -> int:
        """Return the largest budget of the arms that share a scheduler; the key "" stands for all arms."""
        return max(self.budget.epochs(arm) for arm in self._arms if key in ("", arm))

    def _replay(self, ledger: Ledger) -> None:
        """Take in every report of the log, in the order of the decisions.

        A report on which the last driver had not decided before it died is decided now, so that a trial that has to
        stop does not continue.
        """
        bests = {
            (trial.number, epoch): (time_ms, best)
            for trial in ledger.trials.values()
            for epoch, time_ms, best in trial.curve.best_so_far(self.objective)
        }
        for number, epoch in ledger.decided_reports():
            # Epochs before the first finite value were decided too, but are compared with nothing.
            _, best = bests.pop((number, epoch), (0, None))
            if best is not None:
                self._record(ledger.trials[number], epoch, best)
        undecided = sorted((time_ms, *key, best) for key, (time_ms, best) in bests.items())
        for _, number, epoch, best in undecided:
            trial = ledger.trials[number]
            if trial.outcome is None:
                self._settle(ledger, trial, epoch, self._find_stop_reason(trial, epoch, best))
            else:
                self._find_stop_reason(trial, epoch, best)
        for trial in [ledger.trials[number] for number in sorted(ledger.unfinished)]:
            if trial.diverged:
                ledger.end(trial, words.OUTCOME_DIVERGED, trial.diverged["cause"], trial.diverged["reason"])
            elif trial.epochs > trial.decided_epochs and trial.best_value is None:
                self._settle(ledger, trial, trial.epochs, self._find_hopelessness(trial))

    def _find_stop_reason(self, trial: Trial, epoch: int, best: float) -> str:
        """Take in a report if pruning is about it, and return why the trial has to stop; empty if it continues."""
        if self.rule is None or not self._is_compared(trial, epoch):
            return ""
        return self.rule.find_stop_reason(trial, epoch, best)

    def _record(self, trial: Trial, epoch: int, best: float) -> None:
        """Take in a report on which a driver had decided before, if pruning is about it."""
        if self.rule is not None and self._is_compared(trial, epoch):
            self.rule.record(trial, epoch, best)

    def _is_compared(self, trial: Trial, epoch: int) -> bool:
        """Return whether pruning decides on a report: neither on confirm trials nor on a trial's last epoch."""
        is_search = self.pruning is not None and trial.stage == words.STAGE_SEARCH
        return is_search and epoch < self.budget.epochs(trial.arm)

    def take_in(self, trial: Trial) -> None:
        """Compare others with a trial that was reused; it has completed, however good it is."""
        for epoch, _, best in trial.curve.best_so_far(self.objective):
            self._record(trial, epoch, best)

    def decide(self, ledger: Ledger, trial: Trial) -> bool:
        """Decide on a trial's newest report, write the decision to the ledger, and return whether the trial has ended.

        A trial ends when it diverged, has used up its budget of epochs, or is pruned.
        """
        if trial.diverged:
            ledger.end(trial, words.OUTCOME_DIVERGED, trial.diverged["cause"], trial.diverged["reason"])
            return True
        best, epoch = trial.best_value, trial.epochs
        reason = self._find_hopelessness(trial) if best is None else self._find_stop_reason(trial, epoch, best)
        self._settle(ledger, trial, epoch, reason)
        return trial.outcome is not None

    def _find_hopelessness(self, trial: Trial) -> str:
        """Return why a trial stops because none of its epochs has met the constraints; empty if it continues."""
        is_compared = bool(self.objective.constraints) and self._is_compared(trial, trial.epochs)
        if not is_compared or self.pruning is None or not self.pruning.is_rung(trial.epochs):
            return ""
        return f"no epoch up to {trial.epochs} has met {describe_constraints(self.objective)}"

    def _settle(self, ledger: Ledger, trial: Trial, epoch: int, reason: str) -> None:
        """Write the decision on an epoch to the ledger: the trial completed, was pruned, or continues.

        Args:
            ledger: the state of the sweep.
            trial: the trial.
            epoch: its epoch.
            reason: why the trial has to stop; empty if it continues.
        """
        if epoch >= self.budget.epochs(trial.arm):
            ledger.end(trial, words.OUTCOME_COMPLETED, reason=f"all {trial.epochs} epochs")
        elif not reason:
            ledger.decide(trial, epoch)
        elif trial.best_value is not None and self.rule is not None and self.rule.completes:
            ledger.end(trial, words.OUTCOME_COMPLETED, words.CAUSE_OVER, reason)
        else:
            ledger.end(trial, words.OUTCOME_PRUNED, reason=reason)

"""Pause and promote, the form of ASHA in its paper (Li et al., 2020, Algorithm 2); Ray's ASHA only stops trials.

A trial pauses at a rung unless it is among the best `1 / reduction_factor` of all trials that have reached the rung.
A paused trial is a pruned one. As more trials reach the rung, it may rank among the best: then it is promoted,
and resumes from its checkpoint. So the first trials of a sweep can't waste epochs because nothing is there to compare.

PASHA (Bohdal et al., ICLR 2023) also has a top rung, from which no trial is promoted. It is the second rung at first,
and rises by one as long as the trials at the top rung are ranked differently from those at the rung below.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Collection, Iterator, Sequence

from orchestrator.policy.ranking import is_ranking_stable
from orchestrator.policy.stopping_rules import Rule
from orchestrator.search_space.reader import Arm, Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Curve, Objective
from orchestrator.state.events.reopenings import Promoted
from orchestrator.state.events.sweep import Raised
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words


class Promotion(Rule):
    """The rungs of every arm, or of all arms together (`pruning.across_arms`).

    A rung is the set of the best values up to its epoch, of all trials that have reached it. So it depends on the
    outboxes alone, and not on the order of reports; after a kill it is as it was. PASHA's top rung is in the sweep log.
    """

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        """Fill the rungs from the ledger.

        Args:
            sweep: the search space; unless its pruning pauses trials, there are no rungs.
            ledger: the state of the sweep.
        """
        self._pruning = sweep.space.pruning
        self.is_wanted = self._pruning is not None and self._pruning.pauses
        self._is_shared = self._pruning is not None and self._pruning.across_arms
        self._objective = Objective.of(sweep.space)
        self._budget = Budget(sweep, ledger)
        self._ledger = ledger
        self._rungs: dict[tuple[str, int], list[tuple[float, int]]] = {}
        """By arm and epoch: (loss, trial number) of the trials that have reached it, the best first."""
        if self.is_wanted:
            for trial in ledger.trials.values():
                for epoch, _, best in trial.curve.best_so_far(self._objective):
                    self._enter(trial, epoch, best)

    def record(self, trial: Trial, epoch: int, best: float) -> None:
        """Enter a report into its rung, unless the rung was filled with it from the ledger."""
        self._enter(trial, epoch, best)

    def find_stop_reason(self, trial: Trial, epoch: int, best: float) -> str:
        """Enter a report into its rung, and return why the trial pauses there; empty if it continues."""
        if self._pruning is None or not self._enter(trial, epoch, best):
            return ""
        key = self._key(trial)
        if epoch == self._top(key) and not self._is_ranking_stable(key, epoch):
            self._ledger.write(Raised(arm=key, epochs=epoch * self._pruning.reduction_factor))
        result = f"at epoch {epoch}, {self._objective.metric} {best:.4g}"
        if epoch >= self._top(key):
            return f"{result} waits at the top rung: up to there, more epochs do not change how trials are ranked"
        if trial.number in self._best_numbers(key, epoch):
            return ""
        return f"{result} was not among the best 1/{self._pruning.reduction_factor} of its arm so far"

    def next_trial(self, arms: Sequence[Arm], live: Collection[int] = ()) -> Trial | None:
        """Return the next trial to promote: of the highest rung that has one, the best; None if there is none.

        Args:
            arms: the arms that get tasks now.
            live: numbers of the trials whose workers have not let go of them yet.
        """
        names = dict.fromkeys(arm.name for arm in arms)
        last_hopes = (self._last_hope(name) for name in names if self.is_wanted)
        candidates = itertools.chain(self._best_paused(names), last_hopes)
        return next((trial for trial in candidates if trial is not None and trial.number not in live), None)

    def find_open_arms(self, arms: Sequence[Arm]) -> set[str]:
        """Return the names of the arms with a paused trial that may still be promoted."""
        names = {arm.name for arm in arms}
        searched = {name for name in names if self._is_searched(name)}
        # All arms at once: the rungs of a sweep are passed over once, not once for each arm.
        promotable = {trial.arm for trial in self._best_paused(searched)}
        hopeful = {name for name in searched - promotable if self.is_wanted and self._last_hope(name) is not None}
        return (names - searched) | promotable | hopeful

    def promote(self, trial: Trial) -> None:
        """Write to the log that a paused trial resumes."""
        self._ledger.write(Promoted(trial=trial.number, epochs=trial.epochs))

    def _best_paused(self, names: Collection[str]) -> Iterator[Trial]:
        """Yield the trials of some arms that are to be promoted: of the highest rung first, there the best first."""
        rungs = [rung for rung in self._rungs if self._is_shared or rung[0] in names]
        for key, epoch in sorted(rungs, key=lambda rung: -rung[1]):
            for number in self._best_numbers(key, epoch):
                trial = self._ledger.trials[number]
                if trial.arm in names and self._is_paused_at(trial, epoch):
                    yield trial

    def _is_searched(self, name: str) -> bool:
        """Return whether all trials of an arm's search were asked for, and none of them runs or waits."""
        tally = self._ledger.tally(name)
        return not tally.unfinished and len(tally.of_stage(words.STAGE_SEARCH)) >= self._budget.trials(name)

    def _last_hope(self, name: str) -> Trial | None:
        """Return the best paused trial of the highest rung of an arm that has no other trial to train to the end.

        Of fewer trials than `reduction_factor` none is among the best `1 / reduction_factor`.
        """
        if self._ledger.tally(name).statuses[words.OUTCOME_COMPLETED] or not self._is_searched(name):
            return None
        trials = self._ledger.of_arm(name, words.STAGE_SEARCH)
        paused = [trial for trial in trials if self._is_paused_at(trial, trial.epochs)]
        return min(paused, key=lambda trial: (-trial.epochs, self._loss(trial.best_value or 0.0)), default=None)

    def _key(self, trial: Trial) -> str:
        assert self._pruning is not None
        return "" if self._is_shared else trial.arm

    def _loss(self, best: float) -> float:
        return -best if self._objective.mode == "max" else best

    def _enter(self, trial: Trial, epoch: int, best: float) -> bool:
        """Enter a trial into the rung at an epoch; return False if there is none, as at its last epoch."""
        if self._pruning is None or not self.is_wanted or trial.stage != words.STAGE_SEARCH:
            return False
        if epoch >= self._budget.epochs(trial.arm) or not self._pruning.is_rung(epoch):
            return False
        rung = self._rungs.setdefault((self._key(trial), epoch), [])
        entry = (self._loss(best), trial.number)
        place = bisect.bisect_left(rung, entry)
        if place == len(rung) or rung[place] != entry:
            rung.insert(place, entry)
        return True

    def _top(self, key: str) -> float:
        """Return the epoch of the top rung, infinity if there is none."""
        assert self._pruning is not None
        return self._ledger.top_rungs.get(key, self._pruning.first_top())

    def _is_ranking_stable(self, key: str, epoch: int) -> bool:
        """Return whether the trials of a rung are ranked as at the rung below."""
        assert self._pruning is not None
        numbers = sorted(number for _, number in self._rungs[key, epoch])
        curves = (self._ledger.trials[number].curve for number in numbers)
        losses = [self._losses_until(curve, epoch) for curve in curves]
        return is_ranking_stable(losses, epoch // self._pruning.reduction_factor)

    def _losses_until(self, curve: Curve, epoch: int) -> list[float]:
        """Return the best loss so far after each epoch up to this one; before the first value, that value."""
        losses: list[float] = []
        for number, _, best in curve.best_so_far(self._objective):
            if number <= epoch:
                losses += [self._loss(best)] * (number - len(losses))
        return losses

    def _best_numbers(self, key: str, epoch: int) -> list[int]:
        """Return the numbers of the trials of a rung that continue, the best first."""
        assert self._pruning is not None
        if epoch >= self._top(key):
            return []
        rung = self._rungs[key, epoch]
        return [number for _, number in rung[: len(rung) // self._pruning.reduction_factor]]

    def _is_paused_at(self, trial: Trial, epoch: int) -> bool:
        assert self._pruning is not None
        is_paused = trial.outcome == words.OUTCOME_PRUNED and trial.stage == words.STAGE_SEARCH
        return is_paused and trial.epochs == epoch and trial.best_value is not None and self._pruning.is_rung(epoch)

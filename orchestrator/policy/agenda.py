"""The order of a sweep's tasks: resume trials, evaluate them, search for more, confirm the best."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.policy.lost_rows import restore_rows
from orchestrator.policy.promotion import Promotion
from orchestrator.policy.votes import Hearing
from orchestrator.search_space.reader import Arm, Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective, Rank
from orchestrator.state.events.reopenings import Extended
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import RANKED, Trial
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.policy.suggestions import Studies


@dataclass(frozen=True)
class Task:
    """One task for a worker: an attempt at a trial, or the evaluation of its best checkpoint.

    Attributes:
        kind: what the worker does.
        trial: the trial.
        max_epochs: the epochs of the trial if it isn't pruned; None if that does not matter.
    """

    kind: Literal["train", "evaluate"]
    trial: Trial
    max_epochs: int | None = None


class Agenda:
    """The queue of a sweep's tasks, in one order for trials that were never run, interrupted, or left by a dead worker.

    Attributes:
        remarks: messages about lost epochs for the user, one line each.
    """

    def __init__(self, sweep: Sweep, ledger: Ledger, *, evaluates: bool, code: str = "") -> None:
        """Recover lost epochs, and reopen completed trials whose budget has grown.

        Args:
            sweep: the search space.
            ledger: the state of the sweep; this writes to it.
            evaluates: whether the best checkpoint of each completed or pruned trial is evaluated.
            code: the fingerprint of the current code.
        """
        self.sweep = sweep
        self.ledger = ledger
        self.budget = Budget(sweep, ledger)
        self.code = code
        self.objective = Objective.of(sweep.space)
        self.evaluates = evaluates
        self.remarks: list[str] = []
        self._studies: Studies | None = None
        self._reopen_trials()
        self.hearing = Hearing(sweep, ledger)
        self.promotion = Promotion(sweep, ledger)

    def _reopen_trials(self) -> None:
        """Recover lost epochs, and extend completed trials whose budget has grown."""
        for trial in self.ledger.trials.values():
            if trial.epochs < trial.decided_epochs:
                self._recover_epochs(trial)
            epochs = self.budget.epochs(trial.arm)
            if trial.outcome == words.OUTCOME_COMPLETED and trial.epochs < epochs and trial.cause != words.CAUSE_OVER:
                self.ledger.write(Extended(trial=trial.number, max_epochs=epochs))

    def _recover_epochs(self, trial: Trial) -> None:
        """Restore epochs that the outbox has lost from the checkpoints; the others are trained again."""
        decided, before = trial.decided_epochs, trial.epochs
        restore_rows(self.ledger, trial)
        if trial.epochs >= decided:
            self.remarks.append(
                f"Trial {trial.number}: its outbox had lost the epochs after {before}; its checkpoints have them."
            )
        elif trial.epochs:
            self.ledger.lose(trial)
            goes_on = "" if trial.outcome else "; it resumes from there"
            self.remarks.append(
                f"Trial {trial.number}: of the {decided} epochs that it had recorded, those after {trial.epochs} are "
                f"lost{goes_on}."
            )
        else:
            lost = f"its folder no longer has the {decided} epochs that it had recorded"
            self.ledger.retry(trial, lost, from_scratch=True)
            self.remarks.append(f"Trial {trial.number}: {lost}; it is trained again from its parameters and seed.")

    def paused_arms(self) -> dict[str, Trial]:
        """Return the arms that get no more trials because their last ones all failed alike on the current code.

        Trials that ran out of memory pause an arm only while none of its trials has completed or been pruned. Otherwise
        TPE learns to avoid the parameters that need too much.

        Returns:
            The last failed trial of each paused arm, by the arm's name.
        """
        most = self.sweep.space.limits.max_same_errors
        if most is None:
            return {}
        paused_arms: dict[str, Trial] = {}
        for arm in self.sweep.arms:
            tally = self.ledger.tally(arm.name)
            last = [self.ledger.trials[number] for number in itertools.islice(tally.last_ended(), most)]
            if len(last) < most or not last[0].alike:
                continue
            got_through = sum(tally.statuses[outcome] for outcome in RANKED)
            if last[0].cause == words.CAUSE_OOM and got_through:
                continue
            failures = {(trial.alike, trial.codes[-1]) for trial in last}
            if failures == {(last[0].alike, self.code)}:
                paused_arms[arm.name] = last[0]
        return paused_arms

    def held_trials(self) -> list[Trial]:
        """Return the trials that a user stopped; the next start of the sweep resumes them."""
        return [trial for trial in self._unfinished(set()) if trial.held]

    def _unfinished(self, live: set[int]) -> list[Trial]:
        """Return the unfinished trials that no worker executes, by number."""
        return [self.ledger.trials[number] for number in sorted(self.ledger.unfinished - live)]

    def next_task(self, live: set[int], first: Sequence[int] = ()) -> Task | None:
        """Return the next task, or None if there is none now; write a new trial to the ledger if that is next.

        Args:
            live: numbers of the trials that workers execute now.
            first: numbers of trials that come before all others that wait, in this order.
        """
        paused = self.paused_arms()
        place = {number: index for index, number in enumerate(first)}
        for trial in sorted(self._unfinished(live), key=lambda trial: place.get(trial.number, len(place))):
            if not trial.held and trial.arm not in paused:
                return self._train(trial)
        if waiting := self._to_evaluate(live):
            trial = self.ledger.trials[min(waiting)]
            return Task("evaluate", trial, self.budget.epochs(trial.arm))
        arms = [arm for arm in self.sweep.arms if arm.name not in paused]
        trial_or_none = self._promote(arms, live) or self._ask_search(arms) or self._ask_confirm(arms)
        return None if trial_or_none is None else self._train(trial_or_none)

    def _to_evaluate(self, live: set[int]) -> set[int]:
        """Return the numbers of the trials to evaluate now; a pruned one that may be promoted has to wait."""
        waiting = self.ledger.unevaluated - live if self.evaluates else set()
        if not waiting or not self.promotion.is_wanted:
            return waiting
        open_arms = self.promotion.find_open_arms(self.sweep.arms)
        trials = [self.ledger.trials[number] for number in waiting]
        return {trial.number for trial in trials if trial.outcome != words.OUTCOME_PRUNED or trial.arm not in open_arms}

    def _promote(self, arms: Sequence[Arm], live: set[int]) -> Trial | None:
        """Resume the next paused trial, if one is to be promoted, and return it."""
        trial = self.promotion.next_trial(arms, live)
        if trial is not None:
            self.promotion.promote(trial)
        return trial

    def _train(self, trial: Trial) -> Task:
        return Task("train", trial, self.budget.epochs(trial.arm))

    def is_done(self) -> bool:
        """Return whether every task of the sweep is done; held trials and paused arms count as not done."""
        return (
            not self.ledger.unfinished
            and not (self.evaluates and self.ledger.unevaluated)
            and not self.hearing.unheard()
            and self._arm_to_search(self.sweep.arms) is None
            and self.promotion.next_trial(self.sweep.arms) is None
            and all(not self._to_confirm(arm) for arm in self.sweep.arms)
        )

    def waits_for_votes(self) -> bool:
        """Return whether there is nothing to do until listeners have voted on trials."""
        return (
            bool(self.hearing.unheard())
            and not self.ledger.unfinished
            and not (self.evaluates and self.ledger.unevaluated)
            and self._arm_to_search([arm for arm in self.sweep.arms if not self._is_held_back(arm)]) is None
            and all(not self._to_confirm(arm) for arm in self.sweep.arms)
        )

    def _is_held_back(self, arm: Arm) -> bool:
        """Return whether an arm's next search trial has to wait for votes."""
        return self.hearing.holds_back(arm, self._count(arm))

    def wants_evaluation(self, trial: Trial) -> bool:
        """Return whether the best checkpoint of a trial is still to be evaluated."""
        is_ranked = trial.outcome in RANKED and not trial.is_infeasible(self.objective)
        return self.evaluates and is_ranked and not trial.evaluated

    def _arm_to_search(self, arms: Sequence[Arm]) -> Arm | None:
        """Return the arm with the fewest search trials, of those below their budget; None if all have reached it."""
        counts = {arm.name: self._count(arm) for arm in arms}
        wanting = [arm for arm in arms if counts[arm.name] < self.budget.trials(arm.name)]
        return min(wanting, key=lambda arm: counts[arm.name], default=None)

    def _count(self, arm: Arm) -> int:
        """Return how many search trials an arm has."""
        return len(self.ledger.tally(arm.name).of_stage("search"))

    def _ask_search(self, arms: Sequence[Arm]) -> Trial | None:
        """Write the next search trial to the ledger; return it, or None if the search needs no more."""
        arms = [arm for arm in arms if not self._is_held_back(arm)]
        stop_when = self.sweep.space.budget.stop_when
        if stop_when is not None and stop_when.regret_below is not None:
            # It imports torch.
            from orchestrator.policy.regret import write_bounds

            write_bounds(self.sweep, self.ledger, arms)
        arm = self._arm_to_search(arms)
        if arm is None:
            return None
        # It imports Optuna and SciPy, which takes long and is not needed to resume trials.
        from orchestrator.policy.suggestions import Studies
        from orchestrator.policy.without_results import search_seed

        self._studies = self._studies or Studies(self.sweep, self.ledger)
        index = self._count(arm)
        searched, source = self._studies.suggest(arm, index)
        return self.ledger.ask(
            arm=arm.name,
            index=index,
            stage="search",
            source=source,
            of=None,
            seed=search_seed(self.sweep, index),
            compared=arm.compared,
            searched=searched,
            params={**arm.compared, **arm.fixed, **searched},
        )

    def _to_confirm(self, arm: Arm) -> list[tuple[int, int]]:
        """Return (trial number, repetition) of each confirm trial still to be run; none before the search has ended."""
        confirm = self.sweep.space.confirm
        if confirm is None or self._count(arm) < self.budget.trials(arm.name):
            return []
        search_trials = self.ledger.of_arm(arm.name, "search")
        if any(trial.outcome is None for trial in search_trials) or self.hearing.unheard(arm.name):
            return []
        if self.hearing.is_wanted:
            strengths = {trial.number: self.ledger.preferences.get(trial.number) for trial in search_trials}
            ranks: dict[int, Rank] = {
                number: (0, strength) for number, strength in strengths.items() if strength is not None
            }
        else:
            candidates = {
                trial.number: trial.rank(self.objective) for trial in search_trials if trial.outcome in RANKED
            }
            ranks = {number: rank for number, rank in candidates.items() if rank is not None}
        # The sort is stable, also in reverse: of equal trials the earlier one is first.
        best_first = sorted(ranks, key=ranks.__getitem__, reverse=True)
        existing_pairs = {(trial.of, trial.index % confirm.seeds) for trial in self.ledger.of_arm(arm.name, "confirm")}
        wanted = [(number, repetition) for number in best_first[: confirm.top] for repetition in range(confirm.seeds)]
        return [pair for pair in wanted if pair not in existing_pairs]

    def _ask_confirm(self, arms: Sequence[Arm]) -> Trial | None:
        """Write the next confirm trial to the ledger; return it, or None if no arm needs one now."""
        from orchestrator.policy.without_results import derive_seed

        for arm in arms:
            for number, repetition in self._to_confirm(arm):
                original = self.ledger.trials[number]
                num_seeds = self.sweep.space.confirm.seeds if self.sweep.space.confirm else 1
                return self.ledger.ask(
                    arm=arm.name,
                    index=original.index * num_seeds + repetition,
                    stage="confirm",
                    source="confirm",
                    of=number,
                    seed=derive_seed(self.sweep.space.seed, "confirm", original.index, repetition),
                    compared=original.compared,
                    searched=original.searched,
                    params=original.params,
                )
        return None

"""What comes next in a sweep: go on, evaluate, ask, confirm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.ledger import Ledger, Objective, Trial
from orchestrator.search_space import Arm, Sweep
from reports import vocabulary as words

RANKED = (words.OUTCOME_COMPLETED, words.OUTCOME_PRUNED)


@dataclass(frozen=True)
class Task:
    """Something that a worker does next."""

    kind: Literal["train", "evaluate"]
    trial: Trial


class Agenda:
    """One policy for all that is waiting; a trial whose worker died or was interrupted waits like any other."""

    def __init__(self, sweep: Sweep, ledger: Ledger, *, evaluates: bool) -> None:
        """Args:
        sweep: what is to be done.
        ledger: what has been done.
        evaluates: whether ended trials are rendered and judged once more from their best checkpoint.
        """
        self.sweep = sweep
        self.ledger = ledger
        self.objective = Objective(sweep.space.objective.metric, sweep.space.objective.mode)
        self.evaluates = evaluates
        self._extend()

    def _extend(self) -> None:
        """Let completed trials go on when the budget has grown since."""
        for trial in self.ledger.trials.values():
            if trial.outcome == words.OUTCOME_COMPLETED and trial.epochs < self.sweep.space.budget.max_epochs:
                self.ledger.write("extended", trial=trial.number, max_epochs=self.sweep.space.budget.max_epochs)

    def next(self, live: set[int]) -> Task | None:
        """The next task, or none for now; `live` holds the numbers of trials that workers have in hand."""
        waiting = [trial for trial in self.ledger.trials.values() if trial.number not in live]
        for trial in waiting:
            if trial.outcome is None:
                return Task("train", trial)
        for trial in waiting:
            if self._wants_evaluation(trial):
                return Task("evaluate", trial)
        trial_or_none = self._ask_search() or self._ask_confirm()
        return None if trial_or_none is None else Task("train", trial_or_none)

    def done(self) -> bool:
        """Whether nothing is left to do; asks for nothing."""
        trials = self.ledger.trials.values()
        return (
            all(trial.outcome is not None and not self._wants_evaluation(trial) for trial in trials)
            and self._arm_to_search() is None
            and all(not self._to_confirm(arm) for arm in self.sweep.arms)
        )

    def _wants_evaluation(self, trial: Trial) -> bool:
        return self.evaluates and trial.outcome in RANKED and not trial.evaluated

    def _arm_to_search(self) -> Arm | None:
        counts = {arm.name: len(self.ledger.of_arm(arm.name, "search")) for arm in self.sweep.arms}
        arm = min(self.sweep.arms, key=lambda each: counts[each.name])
        return arm if counts[arm.name] < self.sweep.space.budget.trials_per_arm else None

    def _ask_search(self) -> Trial | None:
        arm = self._arm_to_search()
        if arm is None:
            return None
        from orchestrator.studies import derive_seed, suggest

        trials = self.ledger.of_arm(arm.name, "search")
        index = len(trials)
        searched, source = suggest(self.sweep, arm, trials, index)
        return self.ledger.ask(
            arm=arm.name,
            index=index,
            stage="search",
            source=source,
            of=None,
            # Trials at the same place in their arms start from the same seed, which makes arms easier to compare.
            seed=derive_seed(self.sweep.space.seed, "search", index),
            compared=arm.compared,
            searched=searched,
            params={**arm.compared, **arm.fixed, **searched},
        )

    def _to_confirm(self, arm: Arm) -> list[tuple[int, int]]:
        """(trial, repetition) pairs that the confirm stage still has to run; none before the arm's search has ended."""
        confirm = self.sweep.space.confirm
        found = self.ledger.of_arm(arm.name, "search")
        if confirm is None or len(found) < self.sweep.space.budget.trials_per_arm:
            return []
        if any(trial.outcome is None for trial in found):
            return []
        values = {trial.number: self.objective.best(trial) for trial in found if trial.outcome in RANKED}
        sign = -1 if self.objective.mode == "max" else 1
        ranked = sorted((sign * value, number) for number, value in values.items() if value is not None)
        asked = {(trial.of, trial.index % confirm.seeds) for trial in self.ledger.of_arm(arm.name, "confirm")}
        wanted = [(number, repetition) for _, number in ranked[: confirm.top] for repetition in range(confirm.seeds)]
        return [pair for pair in wanted if pair not in asked]

    def _ask_confirm(self) -> Trial | None:
        from orchestrator.studies import derive_seed

        for arm in self.sweep.arms:
            for number, repetition in self._to_confirm(arm):
                original = self.ledger.trials[number]
                return self.ledger.ask(
                    arm=arm.name,
                    index=original.index * (self.sweep.space.confirm.seeds if self.sweep.space.confirm else 1)
                    + repetition,
                    stage="confirm",
                    source="confirm",
                    of=number,
                    seed=derive_seed(self.sweep.space.seed, "confirm", original.index, repetition),
                    compared=original.compared,
                    searched=original.searched,
                    params=original.params,
                )
        return None

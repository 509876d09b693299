"""What comes next in a sweep: go on, evaluate, ask, confirm."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.policy.lost_rows import restore_rows
from orchestrator.search_space.reader import Arm, Sweep
from orchestrator.state import events
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import RANKED, Trial
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.policy.suggestions import Studies


@dataclass(frozen=True)
class Task:
    """Something that a worker does next."""

    kind: Literal["train", "evaluate"]
    trial: Trial


class Agenda:
    """One policy for all that is waiting; a trial whose worker died or was interrupted waits like any other."""

    def __init__(self, sweep: Sweep, ledger: Ledger, *, evaluates: bool, code: str = "") -> None:
        """Args:
        sweep: what is to be done.
        ledger: what has been done.
        evaluates: whether ended trials are rendered and judged once more from their best checkpoint.
        code: the fingerprint of the code as it is now.
        """
        self.sweep = sweep
        self.ledger = ledger
        self.budget = Budget(sweep, ledger)
        self.code = code
        self.objective = Objective(sweep.space.objective.metric, sweep.space.objective.mode)
        self.evaluates = evaluates
        self.remarks: list[str] = []
        """What somebody should know before it goes on, a line each."""
        self._studies: Studies | None = None
        self._open_again()

    def _open_again(self) -> None:
        """Let completed trials go on when the budget has grown since, and make good for epochs that were lost."""
        for trial in self.ledger.trials.values():
            if trial.epochs < trial.judged:
                self._make_good(trial)
            epochs = self.budget.epochs(trial.arm)
            if trial.outcome == words.OUTCOME_COMPLETED and trial.epochs < epochs:
                self.ledger.write(events.Extended(trial=trial.number, max_epochs=epochs))

    def _make_good(self, trial: Trial) -> None:
        """Find epochs in the checkpoints that the outbox has lost; what is nowhere is trained again."""
        judged, before = trial.judged, trial.epochs
        restore_rows(self.ledger, trial)
        if trial.epochs >= judged:
            self.remarks.append(
                f"Trial {trial.number}: its outbox had lost the epochs after {before}; its checkpoints have them."
            )
        elif trial.epochs:
            self.ledger.lose(trial)
            goes_on = "" if trial.outcome else "; it goes on from there"
            self.remarks.append(
                f"Trial {trial.number}: of the {judged} epochs that it had recorded, those after {trial.epochs} are "
                f"lost{goes_on}."
            )
        else:
            lost = f"its folder no longer has the {judged} epochs that it had recorded"
            self.ledger.retry(trial, lost, from_scratch=True)
            self.remarks.append(f"Trial {trial.number}: {lost}; it is trained again from its parameters and seed.")

    def paused(self) -> dict[str, Trial]:
        """Arms whose last trials all failed alike on the code as it is now, each with the last of them.

        Shortages of memory pause an arm only while none of its trials got through: where some do, TPE learns from them.
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
            if {(trial.alike, trial.codes[-1]) for trial in last} == {(last[0].alike, self.code)}:
                paused_arms[arm.name] = last[0]
        return paused_arms

    def held(self) -> list[Trial]:
        """Trials that somebody stopped; the next start goes on with them."""
        return [trial for trial in self._unfinished(set()) if trial.held]

    def _unfinished(self, live: set[int]) -> list[Trial]:
        return [self.ledger.trials[number] for number in sorted(self.ledger.unfinished - live)]

    def next(self, live: set[int]) -> Task | None:
        """The next task, or none for now; `live` holds the numbers of trials that workers have in hand."""
        paused = self.paused()
        for trial in self._unfinished(live):
            if not trial.held and trial.arm not in paused:
                return Task("train", trial)
        waiting = self.ledger.unevaluated - live if self.evaluates else set()
        if waiting:
            return Task("evaluate", self.ledger.trials[min(waiting)])
        arms = [arm for arm in self.sweep.arms if arm.name not in paused]
        trial_or_none = self._ask_search(arms) or self._ask_confirm(arms)
        return None if trial_or_none is None else Task("train", trial_or_none)

    def done(self) -> bool:
        """Whether nothing is left to do, also for those that wait for somebody; asks for nothing."""
        return (
            not self.ledger.unfinished
            and not (self.evaluates and self.ledger.unevaluated)
            and self._arm_to_search(self.sweep.arms) is None
            and all(not self._to_confirm(arm) for arm in self.sweep.arms)
        )

    def wants_evaluation(self, trial: Trial) -> bool:
        """Whether a trial is to be rendered and judged once more from its best checkpoint."""
        return self.evaluates and trial.outcome in RANKED and not trial.evaluated

    def _arm_to_search(self, arms: Sequence[Arm]) -> Arm | None:
        """The arm that has been asked for the fewest trials, of those that are to have more."""
        counts = {arm.name: self._count(arm) for arm in arms}
        wanting = [arm for arm in arms if counts[arm.name] < self.budget.trials(arm.name)]
        return min(wanting, key=lambda arm: counts[arm.name], default=None)

    def _count(self, arm: Arm) -> int:
        """How many trials of its search an arm has been asked for."""
        return len(self.ledger.tally(arm.name).of_stage("search"))

    def _ask_search(self, arms: Sequence[Arm]) -> Trial | None:
        arm = self._arm_to_search(arms)
        if arm is None:
            return None
        from orchestrator.policy.suggestions import Studies, derive_seed

        self._studies = self._studies or Studies(self.sweep, self.ledger)
        index = self._count(arm)
        searched, source = self._studies.suggest(arm, index)
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
        if confirm is None or self._count(arm) < self.budget.trials(arm.name):
            return []
        search_trials = self.ledger.of_arm(arm.name, "search")
        if any(trial.outcome is None for trial in search_trials):
            return []
        values = {trial.number: trial.best_value for trial in search_trials if trial.outcome in RANKED}
        sign = -1 if self.objective.mode == "max" else 1
        ranked = sorted((sign * value, number) for number, value in values.items() if value is not None)
        existing_pairs = {(trial.of, trial.index % confirm.seeds) for trial in self.ledger.of_arm(arm.name, "confirm")}
        wanted = [(number, repetition) for _, number in ranked[: confirm.top] for repetition in range(confirm.seeds)]
        return [pair for pair in wanted if pair not in existing_pairs]

    def _ask_confirm(self, arms: Sequence[Arm]) -> Trial | None:
        from orchestrator.policy.suggestions import derive_seed

        for arm in arms:
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

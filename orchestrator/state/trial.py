"""A trial: its parameters, and its state according to the sweep log and its outbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.search_space.scalars import Value
from orchestrator.state.curve import Curve, Objective, Point, Rank, describe_constraints, select_valid
from orchestrator.state.origin import Origin
from orchestrator.storage.json_lines import Line
from reports import vocabulary as words

Stage = Literal["search", "confirm"]
Rendering = Mapping[str, Any]
"""One rendering of a trained model: its `name`, its `settings`, its `folder` in the trial's, and its `metrics`."""
RANKED = (words.OUTCOME_COMPLETED, words.OUTCOME_PRUNED)
"""Outcomes of trials whose result samplers learn from, and which a confirm stage may train again."""
BROKEN = (words.OUTCOME_FAILED, words.OUTCOME_DIVERGED)
"""Outcomes of trials that can be tried again."""
PARAMETER_CAUSES = (words.CAUSE_OOM, words.CAUSE_TIMEOUT)
"""Causes of failures that depend on the parameters: TPE has to learn from them, as it does from divergences."""
WARM = "warm"
"""The source of the parameters of another sweep's trials."""
MAX_NAMED = 20
"""The most trials whose numbers a sentence lists."""


@dataclass
class Trial:
    """One set of parameters in an arm; `number` identifies it in the sweep, `index` is its place in the arm and stage.

    Attributes:
        id: distinguishes it from any other trial that ever had its number, as in a log that was lost; empty in sweeps
            from before trials had one.
        asked_ms, ended_ms, evaluated_ms: when that last happened, in milliseconds since 1970; None if it has not.
        started: what the driver that ran it last wrote at its start: the judge, the commit, the corpus.
        left_ms: since when it waits for another attempt; None while it runs, and in a new trial.
        since: the attempt from which on its epochs count: 1, a later one after it was started over, and `TAKEN_OVER` if
            its first epochs are those of another trial.
        retried: attempts that it had when it was last retried; earlier deaths and divergences no longer count.
        share: how many times its arm's resources it gets.
        diverged: the cause and the reason, if its training has diverged.
        codes: the fingerprint of the code that each attempt ran.
        keys: what the training of each attempt depended on (see `policy.trial_key`); empty where that is not known.
        origin: the trial from which it has its first epochs; None if it has trained all of them.
        decided_epochs: the last epoch after which the trial was allowed to continue, or ended.
        died_at: the epochs recorded at each death of its process since it was last retried.
        displaced_at: the epochs recorded each time when it lost its machine or its process by nothing that it did,
            since it was last retried.
        broken_off: why its last attempt that ended before its time did; "" if none has since it was last retried.
        ends: how often it has ended; more than once after it was retried or extended.
        held: whether a user stopped it until the next start.
        alike: distinguishes the place of an error in the code from others.
        evaluation_error: why its best checkpoint could not be evaluated.
    """

    number: int
    arm: str
    index: int
    stage: Stage
    source: str
    of: int | None
    seed: int
    compared: dict[str, Value]
    searched: dict[str, Value]
    params: dict[str, Value]
    id: str = ""
    asked_ms: int = 0
    started: Mapping[str, Any] = field(default_factory=dict)
    left_ms: int | None = None
    attempts: int = 0
    since: int = 1
    retried: int = 0
    share: float = 1
    codes: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    origin: Origin | None = None
    curve: Curve = field(default_factory=Curve)
    diverged: Mapping[str, str] | None = None
    decided_epochs: int = 0
    outcome: str | None = None
    cause: str = words.CAUSE_NONE
    reason: str = ""
    alike: str = ""
    ended_ms: int | None = None
    ends: int = 0
    evaluated_ms: int | None = None
    evaluation_error: str = ""
    test: dict[str, float] = field(default_factory=dict)
    renderings: list[Rendering] = field(default_factory=list)
    died_at: list[int] = field(default_factory=list)
    displaced_at: list[int] = field(default_factory=list)
    broken_off: str = ""
    held: bool = False

    @classmethod
    def from_other_sweep(cls, record: Mapping[str, Any], number: int, objective: Objective) -> Trial:
        """Return a trial of another sweep, which only a study knows.

        Args:
            record: the trial in an event `Warmed`.
            number: a number below 0, which no trial of this sweep has.
            objective: the metric of both sweeps.
        """
        searched = dict(record["searched"])
        trial = cls(number, record["arm"], -1, "search", WARM, None, 0, {}, searched, searched)
        trial.outcome, trial.cause = record["outcome"], record["cause"]
        trial.curve = Curve.restore(record["values"], objective)
        if "at_best" in record:
            trial.curve.best_row = {"metrics": record["at_best"]}
        return trial

    @property
    def epochs(self) -> int:
        """The number of epochs recorded."""
        return self.curve.last_epoch

    @property
    def trained_epochs(self) -> int:
        """The number of epochs that this sweep has trained."""
        return self.epochs - (self.origin.epochs if self.origin else 0)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that its checkpoints may contain: its own, and those of the trial from which it has its epochs."""
        return (self.id, *(self.origin.ids if self.origin else ()))

    @property
    def best_value(self) -> float | None:
        """The objective at the best epoch; None before the first number."""
        return self.curve.best_value

    @property
    def deaths(self) -> int:
        """Deaths of its process since its last new epoch."""
        return self.died_at.count(self.epochs)

    @property
    def evaluated(self) -> bool:
        """Whether its best checkpoint was evaluated, or could not be."""
        return self.evaluated_ms is not None

    @property
    def status(self) -> str:
        """Its outcome; before it has one, `running`, or `interrupted` while it waits for another attempt."""
        if self.outcome is not None:
            return self.outcome
        return words.OUTCOME_RUNNING if self.left_ms is None else words.OUTCOME_INTERRUPTED

    def take(self, lines: Iterable[Line], objective: Objective) -> None:
        """Add the new epochs of its outbox to its curve, and note whether the last one diverged."""
        for line in select_valid(lines, self.since):
            is_broken = "diverged" in line
            # A retry starts afresh: what diverged before it no longer counts.
            self.diverged = line["diverged"] if is_broken and line["attempt"] > self.retried else None
            if not is_broken and line["epoch"] > self.epochs:
                self.curve.add(line, objective)

    def start_over(self) -> None:
        """Go back to before the first epoch: what was recorded so far no longer counts."""
        self.since, self.decided_epochs, self.curve, self.origin = self.attempts + 1, 0, Curve(), None

    def reopen(self) -> None:
        """Take its outcome and its evaluation back, so that it continues."""
        self.outcome, self.cause, self.reason, self.alike = None, words.CAUSE_NONE, "", ""
        self.ended_ms = None
        self.forget_evaluation()

    def forget_evaluation(self) -> None:
        """Take its evaluation back, so that it is done again."""
        self.evaluated_ms, self.evaluation_error, self.renderings = None, "", []

    def is_infeasible(self, objective: Objective) -> bool:
        """Return whether it has epochs, but none that meets the constraints."""
        return bool(objective.constraints) and self.epochs > 0 and self.best_value is None

    def point(self, objective: Objective) -> Point | None:
        """Return its values of several objectives at its best epoch; None if it can't be on a front.

        A pruned trial can: what it has reached was measured, and it keeps its checkpoint.
        """
        row = self.curve.best_row
        if not objective.beside or self.stage != words.STAGE_SEARCH or self.outcome not in RANKED or row is None:
            return None
        return objective.point_of(row)

    def front_place(self, places: Mapping[int, str]) -> str | None:
        """Return one of `words.FRONT_…` in a sweep with several objectives; None in the confirm stage.

        Args:
            places: where the trials on a front are, by number.
        """
        return places.get(self.number, words.FRONT_NO) if self.stage == words.STAGE_SEARCH else None

    def rank(self, objective: Objective) -> Rank | None:
        """Return what orders it among its arm's trials; None if it can't be the best."""
        return objective.rank(self.stage, self.outcome, self.best_value)


def best_trial(trials: Iterable[Trial], objective: Objective) -> Trial | None:
    """Return the best of an arm's trials, the first of equals; None if no trial can be the best."""
    best: Trial | None = None
    best_rank: Rank | None = None
    for trial in trials:
        rank = trial.rank(objective)
        if rank is not None and (best_rank is None or rank > best_rank):
            best, best_rank = trial, rank
    return best


def infeasible_line(trials: Iterable[Trial], objective: Objective) -> str | None:
    """Return a sentence about the trials that have met the constraints in no epoch; None if there are none."""
    numbers = [str(trial.number) for trial in trials if trial.is_infeasible(objective)]
    if not numbers:
        return None
    shown = ", ".join(numbers[:MAX_NAMED]) + (", …" if len(numbers) > MAX_NAMED else "")
    of_trials = words.amount(len(numbers), "trial")
    return f"{of_trials} met {describe_constraints(objective)} in no epoch, and can't be the best: {shown}."


def unfinished_line(arm: str, best: Trial | None) -> str | None:
    """Return a warning that the best of an arm's trials had less than its budget; None if it had all of it."""
    if best is None or best.outcome == words.OUTCOME_COMPLETED:
        return None
    state = f"{best.outcome or 'not ended'} after {words.amount(best.epochs, 'epoch')}"
    return f"{arm}: no trial has trained to the end; trial {best.number}, {state}, can't be ranked against full ones."

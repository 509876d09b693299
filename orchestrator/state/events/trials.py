"""A trial from the first request to its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from orchestrator.search_space.scalars import Value
from orchestrator.state.curve import TAKEN_OVER
from orchestrator.state.events.base import TrialChange, TrialEvent
from orchestrator.state.origin import Origin
from orchestrator.state.sweep_state import SweepState
from orchestrator.state.trial import Rendering, Stage, Trial
from reports import vocabulary as words


@dataclass(frozen=True, kw_only=True)
class Asked(TrialEvent):
    """A new trial; `Trial` describes the attributes."""

    arm: str
    index: int
    stage: Stage
    source: str
    of: int | None
    seed: int
    compared: Mapping[str, Value]
    searched: Mapping[str, Value]
    params: Mapping[str, Value]
    id: str = ""

    def change(self, state: SweepState) -> set[int]:
        """Add the trial."""
        trial = Trial(
            number=self.trial,
            arm=self.arm,
            index=self.index,
            stage=self.stage,
            source=self.source,
            of=self.of,
            seed=self.seed,
            compared=dict(self.compared),
            searched=dict(self.searched),
            params=dict(self.params),
            id=self.id,
            asked_ms=self.ts,
            started=state.started,
        )
        state.trials[trial.number] = trial
        state.searched |= dict.fromkeys(trial.searched)
        state.update(trial)
        return {trial.number}


@dataclass(frozen=True, kw_only=True)
class Attempted(TrialChange):
    """A worker is about to start or resume a trial.

    Attributes:
        attempt: the number of the attempt, from 1 on.
        code: the fingerprint of the code.
        share: how many times its arm's resources the trial gets.
        key: identifies all that the training depends on (see `policy.trial_key`); empty if it is not known.
    """

    KIND: ClassVar[str] = "attempt"
    attempt: int
    code: str
    share: float = 1
    key: str = ""

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Mark the trial as running, and record its code, its resources and the driver that runs it."""
        trial.attempts, trial.share = self.attempt, self.share
        trial.codes.append(self.code)
        trial.keys.append(self.key)
        trial.started, trial.left_ms = state.started, None
        state.live.add(trial.number)


@dataclass(frozen=True, kw_only=True)
class Linked(TrialChange):
    """A trial was not trained: it has completed with the epochs and checkpoints of an equal trial of another sweep.

    Its folder is complete before this is written.

    Attributes:
        sweep: the name of the other sweep.
        number: the number of the trial there.
        ids: the ids of the trials that its checkpoints may contain.
        run: the trial's run in MLflow; None if it had none yet.
        epochs: the number of its epochs.
        code: the fingerprint of the code.
        key: as in `Attempted`.
    """

    sweep: str
    number: int
    ids: list[str]
    run: str | None
    epochs: int
    code: str
    key: str

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Mark the trial as completed with the epochs of the other one."""
        trial.origin = Origin(self.sweep, self.number, tuple(self.ids), self.run, self.epochs)
        trial.since, trial.started, trial.left_ms = TAKEN_OVER, state.started, None
        trial.codes.append(self.code)
        trial.keys.append(self.key)
        trial.outcome, trial.ended_ms = words.OUTCOME_COMPLETED, self.ts
        trial.reason = f"all {self.epochs} epochs"
        trial.ends += 1
        # Pruning takes them in as if they had been trained now.
        for epoch in range(1, self.epochs + 1):
            state.add_decision(trial, epoch)


@dataclass(frozen=True, kw_only=True)
class Decided(TrialEvent):
    """A trial may continue after its epoch number `epochs`: pruning has decided so."""

    KIND: ClassVar[str] = "judged"
    is_sign_of_life = True
    epochs: int

    def change(self, state: SweepState) -> set[int]:
        """Note the epoch; the most frequent event changes nothing that a tally has."""
        state.add_decision(state.trials[self.trial], self.epochs)
        return {self.trial}


@dataclass(frozen=True, kw_only=True)
class Ended(TrialChange):
    """A trial has ended; `alike` identifies the place of an error in the code."""

    is_sign_of_life = True
    epochs: int
    outcome: str
    cause: str = words.CAUSE_NONE
    reason: str = ""
    alike: str = ""

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Note the outcome."""
        trial.outcome, trial.cause, trial.reason = self.outcome, self.cause, self.reason
        trial.alike, trial.ended_ms = self.alike, self.ts
        trial.ends += 1
        state.add_decision(trial, self.epochs)
        state.live.discard(trial.number)


@dataclass(frozen=True, kw_only=True)
class Evaluated(TrialChange):
    """The best checkpoint of a trial was evaluated; `error` says why if that failed."""

    is_sign_of_life = True
    metrics: Mapping[str, float]
    error: str | None = None
    renderings: list[Rendering] = field(default_factory=list)

    def change_trial(self, trial: Trial, state: SweepState) -> None:
        """Take in the evaluation."""
        trial.evaluated_ms, trial.renderings = self.ts, self.renderings
        trial.test, trial.evaluation_error = dict(self.metrics), self.error or ""

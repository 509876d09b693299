"""The state of a sweep and its trials, which the events of its log change (`events`).

The driver uses it through `ledger`, tracking through `history`.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.state.curve import Objective
from orchestrator.state.front import JoinedFronts
from orchestrator.state.tally import Tally
from orchestrator.state.timekeeper import Dated, Timekeeper
from orchestrator.state.trial import RANKED, Stage, Trial

FINISHED = "finished"
"""The outcome of a sweep that has nothing left to do."""
NO_OBJECTIVE = Objective("", "max")
"""The objective of a sweep that was never started: it has no reports to order."""


@dataclass
class Grant:
    """The budget that an arm, or the sweep, was granted beyond its search space; 0 if none was."""

    trials: int = 0
    epochs: int = 0
    hours: float = 0


@dataclass(frozen=True, kw_only=True)
class Start(Dated):
    """A start of a driver; `record` describes the run: arms, versions, corpus, judge, command."""

    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Closing(Dated):
    """The end of a driver; `late` means that it was killed, and a later process wrote this."""

    outcome: str
    reason: str
    late: bool = False


@dataclass(frozen=True, kw_only=True)
class Suspect(Dated):
    """A machine, by Ray's id, that is `left out` by its driver, or `slow`; `text` is the sentence for the user."""

    machine: str
    fault: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RegretBound(Dated):
    """How much better than its best trial a trial of an arm may still become, by a model of its trials.

    Attributes:
        arm: the arm.
        trials: how many of its trials had ended.
        regret: the bound, in the unit of the objective.
        limit: the bound below which the search of the arm ends.
    """

    arm: str
    trials: int
    regret: float
    limit: float

    @property
    def ends_search(self) -> bool:
        """Whether the search of the arm ends."""
        return self.regret < self.limit

    def describe(self, metric: str) -> str:
        """Return the bound, as a clause."""
        return f"by a model of {self.trials} trials, {metric} can still improve by at most {self.regret:.2g}"


class SweepState:
    """The trials of one sweep, and the state of the sweep itself.

    Attributes:
        folder: the sweep's folder.
        trials: by number.
        objective: orders the trials.
        starts: every start of a driver, the first one first.
        started: what the last driver wrote at its start, with the MLflow that the sweep is sent to now; empty before
            the first start.
        closed: how the last driver ended, if it has and wrote that down.
        unfinished: numbers of the trials that have not ended.
        unevaluated: numbers of the completed and pruned trials whose best checkpoint was not evaluated.
        granted: more budget, by arm; hours are the sweep's, under `""`.
        live: numbers of the trials that workers execute, as far as the log says.
        searched: the parameters that Optuna chose for some trial.
        tallies: the arms in numbers, in the order in which they were first asked for.
        reopened: how often a trial that had ended was opened again, by arm.
        preferences: strengths of trials from the votes of listeners, by number.
        preference_updates: how often such scores have come; each time, those of all trials may change.
        warm_trials: the trials of other sweeps that the study of each arm begins with, by arm.
        warm_sweeps: the names of these sweeps.
        regret_bounds: the last bound of the regret of each arm, by arm.
        top_rungs: the epoch of PASHA's top rung, by arm, once it has risen; under `""` that of all arms together.
        gpu_seconds: the time for which trials have held GPUs, where the budget limits it.
        suspects: the machines with which something is wrong, since the last start.
        restarts: how often Ray has died since a trial last gave a sign of life.
        is_restart: whether the next driver only takes the place of one whose Ray had died.
        follows_starts: whether each start sets the objective.
        last_ms: the time of the last event.
        timekeeper: how long drivers have worked.
    """

    def __init__(self, folder: Path, objective: Objective | None = None) -> None:
        """Start from an empty log.

        Args:
            folder: the sweep's folder.
            objective: orders the trials; by default that of the last start.
        """
        self.folder = folder
        self.trials: dict[int, Trial] = {}
        self.objective = objective or NO_OBJECTIVE
        self.follows_starts = objective is None
        self.starts: list[Start] = []
        self.started: dict[str, Any] = {}
        self.closed: Closing | None = None
        self.unfinished: set[int] = set()
        self.unevaluated: set[int] = set()
        self.granted: dict[str, Grant] = {}
        self.live: set[int] = set()
        self.searched: dict[str, None] = {}
        self.tallies: dict[str, Tally] = {}
        self.reopened: Counter[str] = Counter()
        self.preferences: dict[int, float] = {}
        self.preference_updates = 0
        self.warm_trials: dict[str, list[Trial]] = {}
        self.warm_sweeps: list[str] = []
        self.regret_bounds: dict[str, RegretBound] = {}
        self.top_rungs: dict[str, int] = {}
        self.gpu_seconds = 0.0
        self.suspects: list[Suspect] = []
        self.restarts = 0
        self.is_restart = False
        self.last_ms = 0
        self._joined_fronts = JoinedFronts()
        self.timekeeper = Timekeeper()
        self._decided_trials, self._decided_epochs = array("l"), array("l")
        self._forgotten: dict[int, list[tuple[int, int]]] = {}
        """By trial: (reports, epoch). Its epochs after `epoch` don't count in the first `reports` decided reports."""

    def leave_running(self, ts: int) -> set[int]:
        """Note that the driver has stopped: a trial that it ran waits for the next one."""
        left = {number for number in self.unfinished if self.trials[number].left_ms is None}
        for number in left:
            self.trials[number].left_ms = ts
            self.update(self.trials[number])
        return left

    def reopen(self, trial: Trial, ts: int) -> None:
        """Take a trial's outcome back: from the time `ts` on it waits for another attempt."""
        trial.reopen()
        trial.started, trial.left_ms = self.started, ts
        self.reopened[trial.arm] += 1

    def add_decision(self, trial: Trial, epochs: int) -> None:
        """Note that a driver has decided on a trial at an epoch, if that is new."""
        if epochs > trial.decided_epochs:
            self._decided_trials.append(trial.number)
            self._decided_epochs.append(epochs)
            trial.decided_epochs = epochs

    def forget_decisions(self, trial: Trial, epochs: int) -> None:
        """Forget the decisions on a trial after its first `epochs` epochs."""
        # The reports of all trials are not copied, since a sweep of thousands may retry hundreds.
        self._forgotten.setdefault(trial.number, []).append((len(self._decided_trials), epochs))

    def update(self, trial: Trial) -> None:
        """Keep the tallies and the sets of numbers in step with a trial that has changed."""
        if trial.arm not in self.tallies:
            self.tallies[trial.arm] = Tally()
        self.tallies[trial.arm].update(trial, self.objective)
        is_ranked = trial.outcome in RANKED
        for numbers, belongs in (
            (self.unfinished, trial.outcome is None),
            (self.unevaluated, is_ranked and not trial.evaluated and not trial.is_infeasible(self.objective)),
        ):
            (numbers.add if belongs else numbers.discard)(trial.number)

    def take_rows(self, trial: Trial, lines: Iterable[dict[str, Any]]) -> None:
        """Add lines of a trial's outbox to its curve."""
        trial.take(lines, self.objective)
        self.update(trial)

    def final_bound(self, arm: str) -> RegretBound | None:
        """Return the bound that has ended the search of an arm; None if none has, or more trials were granted since."""
        bound = self.regret_bounds.get(arm)
        granted = self.granted.get(arm, Grant()).trials
        is_final = bound is not None and bound.ends_search and len(self.of_arm(arm, "search")) >= granted
        return bound if is_final else None

    def tally(self, arm: str) -> Tally:
        """Return an arm in numbers."""
        return self.tallies[arm] if arm in self.tallies else Tally()

    def best_trials(self) -> list[Trial]:
        """Return the best trial of each arm that has one."""
        return [tally.best for tally in self.tallies.values() if tally.best is not None]

    def front_places(self) -> Mapping[int, str]:
        """Return where the trials on a front are (see `join_fronts`); empty with a single objective."""
        return self._joined_fronts.places([tally.front for tally in self.tallies.values()])

    def statuses(self) -> Counter[str]:
        """Return how many trials of all arms have each status."""
        return sum((tally.statuses for tally in self.tallies.values()), Counter())

    def of_arm(self, arm: str, stage: Stage) -> list[Trial]:
        """Return an arm's trials in the order in which they were asked for."""
        return list(self.tally(arm).of_stage(stage))

    def decided_reports(self) -> Iterator[tuple[int, int]]:
        """Yield (trial, epoch) of every report on which a driver has decided, in that order."""
        for place, (number, epoch) in enumerate(zip(self._decided_trials, self._decided_epochs, strict=True)):
            forgotten = self._forgotten.get(number, ())
            if not any(place < end and epoch > epochs for end, epochs in forgotten):
                yield number, epoch

    @property
    def is_finished(self) -> bool:
        """Whether the last driver ended because nothing was left to do."""
        return self.closed is not None and self.closed.outcome == FINISHED

    def seconds_run(self) -> float:
        """Return how long drivers have worked on this sweep; one that was killed counts to its last event."""
        return self.timekeeper.seconds

"""The state of a sweep and its trials: the only module that computes it from the events of a sweep log.

The driver uses it through `ledger`, tracking through `history`.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.state import events
from orchestrator.state.curve import Objective
from orchestrator.state.events import Stage
from orchestrator.state.front import JoinedFronts
from orchestrator.state.tally import Tally
from orchestrator.state.timekeeper import Timekeeper
from orchestrator.state.trial import RANKED, Trial

FINISHED = "finished"
"""The outcome of a sweep that has nothing left to do."""
NO_OBJECTIVE = Objective("", "max")
"""The objective of a sweep that was never started: it has no reports to order."""
SIGNS_OF_LIFE = (events.Judged, events.Ended, events.Evaluated)
"""Events that only occur while Ray works."""


@dataclass
class Grant:
    """The budget that an arm, or the sweep, was granted beyond its search space; 0 if none was."""

    trials: int = 0
    epochs: int = 0
    hours: float = 0


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
        reopened: how often a trial that had ended was opened again.
        preferences: strengths of trials from the votes of listeners, by number.
        hearings: how often such strengths have come; each time, those of all trials may change.
        warm_trials: the trials of other sweeps that the study of each arm begins with, by arm.
        warm_sweeps: the names of these sweeps.
        top_rungs: the epoch of PASHA's top rung, by arm, once it has risen; under `""` that of all arms together.
        gpu_seconds: the time for which trials have held graphics cards, where the budget limits it.
        suspects: the machines with which something is wrong, since the last start.
        restarts: how often Ray has died since a trial last gave a sign of life.
        is_restart: whether the next driver only takes the place of one whose Ray had died.
        last_ms: the time of the last event.
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
        self._follows_starts = objective is None
        self.starts: list[events.Started] = []
        self.started: dict[str, Any] = {}
        self.closed: events.Closed | None = None
        self.unfinished: set[int] = set()
        self.unevaluated: set[int] = set()
        self.granted: dict[str, Grant] = {}
        self.live: set[int] = set()
        self.searched: dict[str, None] = {}
        self.tallies: dict[str, Tally] = {}
        self.reopened = 0
        self.preferences: dict[int, float] = {}
        self.hearings = 0
        self.warm_trials: dict[str, list[Trial]] = {}
        self.warm_sweeps: list[str] = []
        self.top_rungs: dict[str, int] = {}
        self.gpu_seconds = 0.0
        self.suspects: list[events.Suspected] = []
        self.restarts = 0
        self.is_restart = False
        self.last_ms = 0
        self._joined_fronts = JoinedFronts()
        self._timekeeper = Timekeeper()
        self._judged_trials, self._judged_epochs = array("l"), array("l")

    def apply(self, event: events.Event) -> set[int]:
        """Let an event change the state.

        Returns:
            The numbers of the trials that it is about.
        """
        self._timekeeper.take(event)
        previous_ms, self.last_ms = self.last_ms, event.ts
        if isinstance(event, SIGNS_OF_LIFE):
            self.restarts = 0
        match event:
            case events.Judged():
                # The most frequent event changes nothing that a tally has.
                self._add_judged(self.trials[event.trial], event.epochs)
                return {event.trial}
            case events.Asked():
                self.trials[event.trial] = Trial.from_event(event, self.started)
                self.searched |= dict.fromkeys(event.searched)
                changed = {event.trial}
            case events.TrialEvent():
                self._apply_to_trial(self.trials[event.trial], event)
                changed = {event.trial}
            case _:
                changed = self._apply_to_sweep(event, previous_ms)
        for number in changed:
            self.update(self.trials[number])
        return changed

    def _apply_to_sweep(self, event: events.Event, previous_ms: int) -> set[int]:
        match event:
            case events.Started():
                # A start continues every trial that was stopped by hand, but for a driver whose Ray had died.
                for number in self.unfinished:
                    self.trials[number].held &= self.is_restart
                self.is_restart = False
                self.live.clear()
                self.suspects = []
                self.starts.append(event)
                self.started, self.closed = dict(event.record), None
                if self._follows_starts and "objective" in event.record:
                    self.objective = Objective(**event.record["objective"])
                return self._leave_running(previous_ms)
            case events.Closed():
                self.closed = event
                return self._leave_running(event.ts)
            case events.Suspected():
                self.suspects.append(event)
            case events.Redirected():
                self.started |= {"tracking_uri": event.tracking_uri, "artifact_root": event.artifact_root}
            case events.Granted():
                self.granted[event.arm] = Grant(event.trials, event.epochs, event.hours)
            case events.Warmed():
                self.warm_sweeps.append(event.sweep)
                first = -1 - sum(map(len, self.warm_trials.values()))
                for index, record in enumerate(event.trials):
                    trial = Trial.from_other_sweep(record, first - index, self.objective)
                    self.warm_trials.setdefault(trial.arm, []).append(trial)
            case events.Raised():
                self.top_rungs[event.arm] = event.epochs
            case events.Spent():
                self.gpu_seconds += event.gpu_s
            case events.Preferred():
                self.preferences = {int(number): score for number, score in event.scores.items()}
                self.hearings += 1
            case events.Restarted():
                self.is_restart = True
                self.restarts += 1
        return set()

    def _apply_to_trial(self, trial: Trial, event: events.TrialEvent) -> None:
        match event:
            case events.Attempted():
                trial.attempt(event, self.started)
                self.live.add(trial.number)
            case events.Linked():
                trial.link(event, self.started)
                # Pruning takes them in as if they had been trained now.
                for epoch in range(1, event.epochs + 1):
                    self._add_judged(trial, epoch)
            case events.Died():
                trial.died_at.append(event.epochs)
                trial.broken_off = event.reason
                self.live.discard(trial.number)
            case events.Displaced():
                trial.displaced_at.append(event.epochs)
                trial.broken_off = event.reason
                self.live.discard(trial.number)
            case events.Ended():
                trial.end(event)
                self._add_judged(trial, event.epochs)
                self.live.discard(trial.number)
            case events.Extended() | events.Promoted():
                self._reopen(trial, event.ts)
            case events.Lost():
                trial.judged = event.epochs
                self._forget_judged(trial, event.epochs)
                if trial.outcome in RANKED:
                    self._reopen(trial, event.ts)
            case events.Retried():
                self._reopen(trial, event.ts)
                trial.retried, trial.share, trial.died_at, trial.diverged = trial.attempts, event.share, [], None
                trial.displaced_at, trial.broken_off = [], ""
                if event.from_scratch:
                    trial.start_over()
                    self._forget_judged(trial, 0)
                self.live.discard(trial.number)
            case events.Held():
                trial.held, trial.left_ms = True, event.ts
                self.live.discard(trial.number)
            case events.Released():
                trial.held = False
            case events.Yielded():
                trial.left_ms = event.ts
                self.live.discard(trial.number)
            case events.Evaluated():
                trial.evaluate(event)
            case events.Reevaluated():
                trial.forget_evaluation()

    def _leave_running(self, ts: int) -> set[int]:
        """Note that the driver has stopped: a trial that it ran waits for the next one."""
        left = {number for number in self.unfinished if self.trials[number].left_ms is None}
        for number in left:
            self.trials[number].left_ms = ts
        return left

    def _reopen(self, trial: Trial, ts: int) -> None:
        """Take a trial's outcome back: from the time `ts` on it waits for another attempt."""
        trial.reopen()
        trial.started, trial.left_ms = self.started, ts
        self.reopened += 1

    def _add_judged(self, trial: Trial, epochs: int) -> None:
        """Note that a trial was judged at an epoch, if that is new."""
        if epochs > trial.judged:
            self._judged_trials.append(trial.number)
            self._judged_epochs.append(epochs)
            trial.judged = epochs

    def _forget_judged(self, trial: Trial, epochs: int) -> None:
        """Forget that a trial was judged after its first `epochs` epochs."""
        kept = [(number, epoch) for number, epoch in self.judged() if number != trial.number or epoch <= epochs]
        self._judged_trials = array("l", (number for number, _ in kept))
        self._judged_epochs = array("l", (epoch for _, epoch in kept))

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

    def judged(self) -> Iterator[tuple[int, int]]:
        """Yield (trial, epoch) of every report that was judged, in that order."""
        return zip(self._judged_trials, self._judged_epochs, strict=True)

    @property
    def is_finished(self) -> bool:
        """Whether the last driver ended because nothing was left to do."""
        return self.closed is not None and self.closed.outcome == FINISHED

    def seconds_run(self) -> float:
        """Return how long drivers have worked on this sweep; one that was killed counts to its last event."""
        return self._timekeeper.seconds

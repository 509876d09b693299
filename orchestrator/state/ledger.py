"""What the sweep log and the outboxes say, in memory: the one place where a trial's state is kept and changed.

Every change is written to the sweep log before it is acted on. Opening a ledger rebuilds it from the files alone.
"""

from __future__ import annotations

import uuid
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.state import events
from orchestrator.state.arm_tally import Tally
from orchestrator.state.foreign import set_foreign_folders_aside
from orchestrator.state.timekeeper import Timekeeper
from orchestrator.state.trial import (
    OUTBOX,
    RANKED,
    SWEEP_LOG,
    Objective,
    Rendering,
    Stage,
    Trial,
    counted,
    trial_folder,
)
from orchestrator.storage import durable, json_lines
from reports import vocabulary as words

FINISHED = "finished"
"""The outcome of a sweep that has nothing left to do."""
NO_OBJECTIVE = Objective("", "max")
"""Of a sweep that has never started: nothing was reported that it could order."""
SIGNS_OF_LIFE = (events.Judged, events.Ended, events.Evaluated)
"""Events that need a Ray that works."""


@dataclass
class Grant:
    """What an arm, or the sweep, has been given beyond its search space; 0 where nothing."""

    trials: int = 0
    epochs: int = 0
    hours: float = 0


def asked_trial(event: events.Asked) -> Trial:
    """Return the trial that an event asks for."""
    return Trial(
        number=event.trial,
        arm=event.arm,
        index=event.index,
        stage=event.stage,
        source=event.source,
        of=event.of,
        seed=event.seed,
        compared=dict(event.compared),
        searched=dict(event.searched),
        params=dict(event.params),
        id=event.id,
    )


class Ledger:
    """The trials of one sweep, rebuilt from its folder; the only writer of its log.

    Attributes:
        trials: by number.
        unfinished: numbers of the trials that have not ended.
        unevaluated: numbers of the completed and pruned trials whose best checkpoint was not evaluated.
        granted: more budget, by arm; hours are the sweep's, under `""`.
        live: numbers of the trials that workers have in hand, as far as the log tells.
        reopened: how often a trial that had ended was opened again.
        restarts: how often Ray has died since a trial last gave a sign of life.
        remarks: what somebody should know of the folder, a line each.
        objective: orders the trials.
    """

    def __init__(self, folder: Path, objective: Objective | None = None, *, read_only: bool = False) -> None:
        """Args:
        folder: of the sweep.
        objective: orders its trials; by default the one of its last start.
        read_only: only look, also while a driver writes.
        """
        self.folder = folder
        self.trials: dict[int, Trial] = {}
        self.unfinished: set[int] = set()
        self.unevaluated: set[int] = set()
        self.granted: dict[str, Grant] = {}
        self.live: set[int] = set()
        self.reopened = 0
        self.restarts = 0
        self.last_ms = 0
        self.remarks: list[str] = []
        self._tallies: dict[str, Tally] = {}
        self._timekeeper = Timekeeper()
        self._of_sweep: list[events.Event] = []
        self._judged_trials, self._judged_epochs = array("l"), array("l")
        self._is_restart = False
        self._held: list[events.Event] | None = None
        self._log = None if read_only else json_lines.Log(folder / SWEEP_LOG)
        with json_lines.collector_paused():
            self._rebuild(objective)

    def _rebuild(self, objective: Objective | None) -> None:
        """Read the sweep log and the outboxes."""
        lines = self._log.take_lines() if self._log else json_lines.read(self.folder / SWEEP_LOG)[0]
        recorded = events.parse_all(lines, self.folder / SWEEP_LOG)
        starts = [event.record for event in recorded if isinstance(event, events.Started)]
        objectives = [Objective(**record["objective"]) for record in starts if "objective" in record]
        self.objective = objective or (objectives[-1] if objectives else NO_OBJECTIVE)
        for event in recorded:
            self._apply(event)
        if self._log:
            self.remarks += set_foreign_folders_aside(
                self.folder, {trial.number: trial.id for trial in self.trials.values()}
            )
        for trial in self.trials.values():
            trial.take(json_lines.read(self._outbox(trial))[0], self.objective)
            self._update(trial)

    def _outbox(self, trial: Trial) -> Path:
        return trial_folder(self.folder, trial.number) / OUTBOX

    def _apply(self, event: events.Event) -> None:
        self._timekeeper.take(event)
        self.last_ms = event.ts
        if isinstance(event, SIGNS_OF_LIFE):
            self.restarts = 0
        match event:
            case events.Judged():
                # The most frequent event changes nothing that is shown of an arm.
                self._note_judged(self.trials[event.trial], event.epochs)
            case events.Asked():
                self.trials[event.trial] = asked_trial(event)
                self._update(self.trials[event.trial])
            case events.TrialEvent():
                self._apply_to(self.trials[event.trial], event)
                self._update(self.trials[event.trial])
            case _:
                self._of_sweep.append(event)
                self._apply_to_sweep(event)

    def _apply_to_sweep(self, event: events.Event) -> None:
        match event:
            case events.Granted():
                self.granted[event.arm] = Grant(event.trials, event.epochs, event.hours)
            case events.Started():
                # Somebody wants to go on with all of them; unless it is only a driver whose Ray had died.
                for number in self.unfinished:
                    self.trials[number].held &= self._is_restart
                self._is_restart = False
                self.live.clear()
            case events.Restarted():
                self._is_restart = True
                self.restarts += 1

    def _apply_to(self, trial: Trial, event: events.TrialEvent) -> None:
        match event:
            case events.Attempted():
                trial.attempts, trial.share = event.attempt, event.share
                trial.codes.append(event.code)
                self.live.add(trial.number)
            case events.Died():
                trial.died_at.append(event.epochs)
                self.live.discard(trial.number)
            case events.Ended():
                trial.outcome, trial.cause, trial.reason = event.outcome, event.cause, event.reason
                trial.alike = event.alike
                self._note_judged(trial, event.epochs)
                self.live.discard(trial.number)
            case events.Extended():
                self._open_again(trial)
            case events.Lost():
                trial.judged = event.epochs
                self._forget_judged(trial, event.epochs)
                if trial.outcome in RANKED:
                    self._open_again(trial)
            case events.Retried():
                self._open_again(trial)
                trial.retried, trial.share, trial.died_at, trial.diverged = trial.attempts, event.share, [], None
                if event.from_scratch:
                    trial.start_over()
                    self._forget_judged(trial, 0)
                self.live.discard(trial.number)
            case events.Held():
                trial.held = True
                self.live.discard(trial.number)
            case events.Evaluated():
                trial.evaluated, trial.test, trial.evaluation_error = True, dict(event.metrics), event.error or ""
                trial.renderings = event.renderings
            case events.Reevaluated():
                trial.evaluated, trial.evaluation_error, trial.renderings = False, "", []

    def _note_judged(self, trial: Trial, epochs: int) -> None:
        if epochs > trial.judged:
            self._judged_trials.append(trial.number)
            self._judged_epochs.append(epochs)
            trial.judged = epochs

    def _forget_judged(self, trial: Trial, behind: int) -> None:
        kept = [(number, epoch) for number, epoch in self.judged() if number != trial.number or epoch <= behind]
        self._judged_trials = array("l", (number for number, _ in kept))
        self._judged_epochs = array("l", (epoch for _, epoch in kept))

    def _open_again(self, trial: Trial) -> None:
        trial.open_again()
        self.reopened += 1

    def _update(self, trial: Trial) -> None:
        """Keep what is indexed by a trial's state in step with it."""
        self.tally(trial.arm).update(trial)
        is_ranked = trial.outcome in RANKED
        for numbers, belongs in (
            (self.unfinished, trial.outcome is None),
            (self.unevaluated, is_ranked and not trial.evaluated),
        ):
            (numbers.add if belongs else numbers.discard)(trial.number)

    def hold(self) -> None:
        """Keep what is written from now on in memory, until it is known to be possible."""
        self._held = []

    def release(self) -> None:
        """Write down what was held."""
        held, self._held = self._held or [], None
        for event in held:
            self._append(event, sync=event is held[-1])

    def discard(self) -> None:
        """Never write down what was held. The ledger goes on with it, so that it may only be read from now on."""
        self._held = None

    def _append(self, event: events.Event, *, sync: bool = True) -> None:
        assert self._log is not None, "opened read-only"
        self._log.append(events.to_line(event), sync=sync)

    def write(self, event: events.Event, *, sync: bool = True) -> None:
        """Append an event, then let it change the trials."""
        if self._held is None:
            self._append(event, sync=sync)
        else:
            self._held.append(event)
        self._apply(event)

    def ask(self, **fields: Any) -> Trial:
        """A new trial, with the next number; nobody acts on it before its first attempt is written."""
        number = len(self.trials) + 1
        # Its first attempt is written next, and takes it to the disk.
        self.write(events.Asked(trial=number, id=uuid.uuid4().hex[:12], **fields), sync=False)
        return self.trials[number]

    def attempt(self, trial: Trial, code: str) -> None:
        """A worker is about to go on with a trial, on this code."""
        durable.make_folder(trial_folder(self.folder, trial.number))
        self.write(events.Attempted(trial=trial.number, attempt=trial.attempts + 1, code=code, share=trial.share))

    def report(self, trial: Trial, row: json_lines.Line) -> None:
        """Take over an epoch that the worker has put into its outbox."""
        trial.take([row], self.objective)
        self._update(trial)

    def judge(self, trial: Trial, epoch: int) -> None:
        """A trial may go on behind this epoch."""
        self.write(events.Judged(trial=trial.number, epochs=epoch))

    def died(self, trial: Trial, cause: str, reason: str) -> None:
        """The worker's process ended without a word."""
        self.write(events.Died(trial=trial.number, epochs=trial.epochs, cause=cause, reason=reason))

    def end(
        self, trial: Trial, outcome: str, cause: str = words.CAUSE_NONE, reason: str = "", *, alike: str = ""
    ) -> None:
        """A trial has ended, for the reason given in words; `alike` tells the place of an error from others."""
        self.write(
            events.Ended(
                trial=trial.number, outcome=outcome, cause=cause, reason=reason, epochs=trial.epochs, alike=alike
            )
        )

    def lose(self, trial: Trial) -> None:
        """Epochs that were judged are no longer recorded: the trial goes on behind the newest one that is."""
        self.write(events.Lost(trial=trial.number, epochs=trial.epochs))

    def retry(self, trial: Trial, reason: str, *, share: float | None = None, from_scratch: bool = False) -> None:
        """A trial waits for another attempt, with so many times its arm's resources, or from its first epoch on."""
        share = trial.share if share is None else share
        self.write(events.Retried(trial=trial.number, reason=reason, share=share, from_scratch=from_scratch))

    def grant(self, arm: str, *, trials: int = 0, epochs: int = 0, hours: float = 0) -> None:
        """An arm (or, for hours, the sweep: `""`) has this much in all."""
        before = self.granted.get(arm, Grant())
        self.write(
            events.Granted(
                arm=arm,
                trials=max(trials, before.trials),
                epochs=max(epochs, before.epochs),
                hours=max(hours, before.hours),
            )
        )

    def redirect(self, destination: Mapping[str, str | None]) -> None:
        """From now on the sweep is sent to another MLflow, by its `tracking_uri` and `artifact_root`."""
        uri, root = destination["tracking_uri"], destination["artifact_root"]
        self.write(events.Redirected(tracking_uri=str(uri), artifact_root=root))

    def evaluate(
        self,
        trial: Trial,
        metrics: Mapping[str, float],
        renderings: Sequence[Rendering] = (),
        error: str | None = None,
    ) -> None:
        """The best checkpoint of a trial has been rendered and judged, or could not be."""
        self.write(
            events.Evaluated(trial=trial.number, metrics=dict(metrics), renderings=list(renderings), error=error)
        )

    @property
    def is_restart(self) -> bool:
        """Whether this driver only takes the place of one whose Ray had died."""
        return self._is_restart

    def tally(self, arm: str) -> Tally:
        """An arm in numbers."""
        if arm not in self._tallies:
            self._tallies[arm] = Tally(self.objective)
        return self._tallies[arm]

    def of_arm(self, arm: str, stage: Stage) -> list[Trial]:
        """An arm's trials in the order in which they were asked for."""
        return list(self.tally(arm).of_stage(stage))

    def judged(self) -> Iterator[tuple[int, int]]:
        """(trial, epoch) of every report that was judged, in that order."""
        return zip(self._judged_trials, self._judged_epochs, strict=True)

    @property
    def started(self) -> Mapping[str, Any]:
        """What the last driver that started said of itself; empty before the first."""
        starts = (event.record for event in reversed(self._of_sweep) if isinstance(event, events.Started))
        return next(starts, {})

    @property
    def closed(self) -> events.Closed | None:
        """How the last driver ended, if it has and said so."""
        marks = (event for event in reversed(self._of_sweep) if isinstance(event, events.Started | events.Closed))
        last = next(marks, None)
        return last if isinstance(last, events.Closed) else None

    @property
    def is_finished(self) -> bool:
        """Whether the last driver's last word was that nothing is left to do."""
        return self.closed is not None and self.closed.outcome == FINISHED

    @property
    def destination(self) -> dict[str, Any]:
        """The MLflow that the sweep is sent to, as `tracking_uri` and `artifact_root`; empty before the first start."""
        for event in reversed(self._of_sweep):
            if isinstance(event, events.Redirected):
                return {"tracking_uri": event.tracking_uri, "artifact_root": event.artifact_root}
            if isinstance(event, events.Started):
                return {key: event.record.get(key) for key in ("tracking_uri", "artifact_root")}
        return {}

    def seconds_run(self) -> float:
        """How long drivers have worked on this sweep; one that was killed counts to its last event."""
        return self._timekeeper.seconds

    def read_events(self) -> list[events.Event]:
        """Every event of the sweep log, from the disk."""
        return events.read_events(self.folder / SWEEP_LOG)

    def read_rows(self, trial: Trial) -> list[json_lines.Line]:
        """Every epoch of a trial with all of its metrics, from the disk."""
        lines = json_lines.read(self._outbox(trial))[0]
        return [row for row in counted(lines, trial.since) if "diverged" not in row]

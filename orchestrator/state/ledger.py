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

from orchestrator.errors import UserError
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
    now_ms,
    trial_folder,
)
from orchestrator.storage import durable, json_lines
from reports import vocabulary as words

FINISHED = "finished"
"""The outcome of a sweep that has nothing left to do."""
NO_OBJECTIVE = Objective("", "max")
"""Of a sweep that has never started: nothing was reported that it could order."""
SIGNS_OF_LIFE = ("judged", "ended", "evaluated")
"""Events that need a Ray that works."""


@dataclass
class Granted:
    """What an arm, or the sweep, has been given beyond its search space; 0 where nothing."""

    trials: int = 0
    epochs: int = 0
    hours: float = 0


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
        self.granted: dict[str, Granted] = {}
        self.live: set[int] = set()
        self.reopened = 0
        self.restarts = 0
        self.last_ms = 0
        self.remarks: list[str] = []
        self._tallies: dict[str, Tally] = {}
        self._timekeeper = Timekeeper()
        self._of_sweep: list[json_lines.Event] = []
        self._judged_trials, self._judged_epochs = array("l"), array("l")
        self._is_restart = False
        self._held: list[json_lines.Event] | None = None
        self._log = None if read_only else json_lines.Log(folder / SWEEP_LOG)
        events = self._log.take_events() if self._log else json_lines.read(folder / SWEEP_LOG)[0]
        starts = [event for event in events if event["event"] == "started" and "objective" in event]
        self.objective = objective or (Objective(**starts[-1]["objective"]) if starts else NO_OBJECTIVE)
        for event in events:
            self._apply(event)
        if self._log:
            self.remarks += set_foreign_folders_aside(
                folder, {trial.number: trial.id for trial in self.trials.values()}
            )
        for trial in self.trials.values():
            trial.take(json_lines.read(self._outbox(trial))[0], self.objective)
            self._update(trial)

    def _outbox(self, trial: Trial) -> Path:
        return trial_folder(self.folder, trial.number) / OUTBOX

    def _apply(self, event: json_lines.Event) -> None:
        self._timekeeper.take(event)
        self.last_ms = event["ts"]
        if "trial" not in event:
            self._of_sweep.append(event)
        match event["event"]:
            case "granted":
                self.granted[event["arm"]] = Granted(event["trials"], event["epochs"], event["hours"])
            case "asked":
                self._apply_asked(event)
            case "started":
                # Somebody wants to go on with all of them; unless it is only a driver whose Ray had died.
                for number in self.unfinished:
                    self.trials[number].held &= self._is_restart
                self._is_restart = False
                self.live.clear()
            case "restarted":
                self._is_restart = True
                self.restarts += 1
            case "judged":
                # The most frequent event changes nothing that is shown of an arm.
                self._note_judged(self.trials[event["trial"]], event["epochs"])
            case _ if "trial" in event:
                self._apply_to(self.trials[event["trial"]], event)
                self._update(self.trials[event["trial"]])
        if event["event"] in SIGNS_OF_LIFE:
            self.restarts = 0

    def _apply_asked(self, event: json_lines.Event) -> None:
        fields = {key: value for key, value in event.items() if key not in ("event", "ts", "trial")}
        try:
            trial = Trial(number=event["trial"], **fields)
        except TypeError:
            raise UserError(
                f"{self.folder / SWEEP_LOG}: trial {event['trial']} was written by another version of orchestrate, "
                "with other fields; go on with that one, or start another sweep with --name"
            ) from None
        self.trials[trial.number] = trial
        self._update(trial)

    def _apply_to(self, trial: Trial, event: json_lines.Event) -> None:
        match event["event"]:
            case "attempt":
                trial.attempts, trial.share = event["attempt"], event.get("share", 1)
                trial.codes.append(event["code"])
                self.live.add(trial.number)
            case "died":
                trial.died_at.append(event["epochs"])
                self.live.discard(trial.number)
            case "ended":
                trial.outcome, trial.cause, trial.reason = event["outcome"], event["cause"], event["reason"]
                trial.alike = event.get("alike", "")
                self._note_judged(trial, event["epochs"])
                self.live.discard(trial.number)
            case "extended":
                self._open_again(trial)
            case "lost":
                trial.judged = event["epochs"]
                self._forget_judged(trial, event["epochs"])
                if trial.outcome in RANKED:
                    self._open_again(trial)
            case "retried":
                self._open_again(trial)
                trial.retried, trial.share, trial.died_at, trial.diverged = trial.attempts, event["share"], [], None
                if event["from_scratch"]:
                    trial.start_over()
                    self._forget_judged(trial, 0)
                self.live.discard(trial.number)
            case "held":
                trial.held = True
                self.live.discard(trial.number)
            case "evaluated":
                trial.evaluated, trial.test, trial.evaluation_error = True, event["metrics"], event["error"] or ""
                trial.renderings = event.get("renderings", [])
            case "reevaluated":
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

    def _append(self, event: json_lines.Event, *, sync: bool = True) -> None:
        assert self._log is not None, "opened read-only"
        self._log.append(event, sync=sync)

    def write(self, event: str, **fields: Any) -> None:
        """Append an event, then let it change the trials."""
        self._write({"event": event, "ts": now_ms(), **fields})

    def _write(self, line: json_lines.Event, *, sync: bool = True) -> None:
        if self._held is None:
            self._append(line, sync=sync)
        else:
            self._held.append(line)
        self._apply(line)

    def ask(self, **fields: Any) -> Trial:
        """A new trial, with the next number; nobody acts on it before its first attempt is written."""
        number = len(self.trials) + 1
        identity = {"trial": number, "id": uuid.uuid4().hex[:12]}
        # Its first attempt is written next, and takes it to the disk.
        self._write({"event": "asked", "ts": now_ms(), **identity, **fields}, sync=False)
        return self.trials[number]

    def attempt(self, trial: Trial, code: str) -> None:
        """A worker is about to go on with a trial, on this code."""
        durable.make_folder(trial_folder(self.folder, trial.number))
        self.write("attempt", trial=trial.number, attempt=trial.attempts + 1, code=code, share=trial.share)

    def report(self, trial: Trial, row: json_lines.Event) -> None:
        """Take over an epoch that the worker has put into its outbox."""
        trial.take([row], self.objective)
        self._update(trial)

    def judge(self, trial: Trial, epoch: int) -> None:
        """A trial may go on behind this epoch."""
        self.write("judged", trial=trial.number, epochs=epoch)

    def died(self, trial: Trial, cause: str, reason: str) -> None:
        """The worker's process ended without a word."""
        self.write("died", trial=trial.number, epochs=trial.epochs, cause=cause, reason=reason)

    def end(
        self, trial: Trial, outcome: str, cause: str = words.CAUSE_NONE, reason: str = "", *, alike: str = ""
    ) -> None:
        """A trial has ended, for the reason given in words; `alike` tells the place of an error from others."""
        more = {"alike": alike} if alike else {}
        self.write(
            "ended", trial=trial.number, outcome=outcome, cause=cause, reason=reason, epochs=trial.epochs, **more
        )

    def lose(self, trial: Trial) -> None:
        """Epochs that were judged are no longer recorded: the trial goes on behind the newest one that is."""
        self.write("lost", trial=trial.number, epochs=trial.epochs)

    def retry(self, trial: Trial, reason: str, *, share: float | None = None, from_scratch: bool = False) -> None:
        """A trial waits for another attempt, with so many times its arm's resources, or from its first epoch on."""
        share = trial.share if share is None else share
        self.write("retried", trial=trial.number, reason=reason, share=share, from_scratch=from_scratch)

    def grant(self, arm: str, *, trials: int = 0, epochs: int = 0, hours: float = 0) -> None:
        """An arm (or, for hours, the sweep: `""`) has this much in all."""
        before = self.granted.get(arm, Granted())
        self.write(
            "granted",
            arm=arm,
            trials=max(trials, before.trials),
            epochs=max(epochs, before.epochs),
            hours=max(hours, before.hours),
        )

    def evaluate(
        self,
        trial: Trial,
        metrics: Mapping[str, float],
        renderings: Sequence[Rendering] = (),
        error: str | None = None,
    ) -> None:
        """The best checkpoint of a trial has been rendered and judged, or could not be."""
        self.write("evaluated", trial=trial.number, metrics=dict(metrics), renderings=list(renderings), error=error)

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

    def last(self, *names: str) -> json_lines.Event:
        """The last event of the sweep, not of a trial, of these names; empty if there is none."""
        return next((event for event in reversed(self._of_sweep) if event["event"] in names), {})

    def seconds_run(self) -> float:
        """How long drivers have worked on this sweep; one that was killed counts to its last event."""
        return self._timekeeper.seconds

    def read_events(self) -> list[json_lines.Event]:
        """Every event of the sweep log, from the disk."""
        return json_lines.read(self.folder / SWEEP_LOG)[0]

    def read_rows(self, trial: Trial) -> list[json_lines.Event]:
        """Every epoch of a trial with all of its metrics, from the disk."""
        lines = json_lines.read(self._outbox(trial))[0]
        return [row for row in counted(lines, trial.since) if "diverged" not in row]

"""What the sweep log and the outboxes say, in memory: the one place where a trial's state is kept and changed.

Every change is written to the sweep log before it is acted on. Opening a ledger rebuilds it from the files alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import log
from orchestrator.errors import UserError
from orchestrator.trial import OUTBOX, SWEEP_LOG, Rendering, Stage, Trial, now_ms, trial_folder
from reports import vocabulary as words

FINISHED = "finished"
"""The outcome of a sweep that has nothing left to do."""
BETWEEN_DRIVERS = ("granted", "retried", "extended", "reevaluated", "redirected")
"""Events that are written long after a driver was killed, too, by whoever wants to go on."""


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
        ended: numbers of the trials that have ended, in the order of their ends.
        granted: more budget, by arm; hours are the sweep's, under `""`.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Args:
        folder: of the sweep.
        read_only: only look, also while a driver writes.
        """
        self.folder = folder
        self.trials: dict[int, Trial] = {}
        self.ended: list[int] = []
        self._restarts = False
        self.granted: dict[str, Granted] = {}
        self.log = None if read_only else log.Log(folder / SWEEP_LOG)
        self.events = self.log.events if self.log else log.read(folder / SWEEP_LOG)[0]
        for event in self.events:
            self._apply(event)
        for trial in self.trials.values():
            trial.take(log.read(trial_folder(folder, trial.number) / OUTBOX)[0])

    def _apply(self, event: log.Event) -> None:
        if event["event"] == "granted":
            granted = self.granted.setdefault(event["arm"], Granted())
            granted.trials, granted.epochs, granted.hours = (event[key] for key in ("trials", "epochs", "hours"))
        elif event["event"] == "asked":
            given = {key: value for key, value in event.items() if key not in ("event", "ts", "trial")}
            try:
                self.trials[event["trial"]] = Trial(number=event["trial"], **given)
            except TypeError:
                raise UserError(
                    f"{self.folder / SWEEP_LOG}: trial {event['trial']} was written by another version of orchestrate, "
                    "with other fields; go on with that one, or start another sweep with --name"
                ) from None
        elif event["event"] == "started":
            # Somebody wants to go on with all of them; unless it is only a driver whose Ray had died.
            for trial in self.trials.values():
                trial.held &= self._restarts
            self._restarts = False
        elif event["event"] == "restarted":
            self._restarts = True
        elif "trial" in event:
            self._apply_to(self.trials[event["trial"]], event)

    def _apply_to(self, trial: Trial, event: log.Event) -> None:
        match event["event"]:
            case "attempt":
                trial.attempts, trial.share = event["attempt"], event.get("share", 1)
                trial.codes.append(event["code"])
            case "judged":
                trial.judged = event["epochs"]
            case "died":
                trial.died_at.append(event["epochs"])
            case "ended":
                trial.outcome, trial.cause, trial.reason = event["outcome"], event["cause"], event["reason"]
                trial.alike = event.get("alike", "")
                trial.judged = max(trial.judged, event["epochs"])
                self.ended.append(trial.number)
            case "extended":
                self._open_again(trial)
            case "retried":
                self._open_again(trial)
                trial.retried, trial.share, trial.died_at, trial.diverged = trial.attempts, event["share"], [], None
                if event["from_scratch"]:
                    trial.since, trial.judged, trial.rows = trial.attempts + 1, 0, []
            case "held":
                trial.held = True
            case "evaluated":
                trial.evaluated, trial.test, trial.evaluation_error = True, event["metrics"], event["error"] or ""
                trial.renderings = event.get("renderings", [])
            case "reevaluated":
                trial.evaluated, trial.evaluation_error, trial.renderings = False, "", []

    def _open_again(self, trial: Trial) -> None:
        trial.open_again()
        if trial.number in self.ended:
            self.ended.remove(trial.number)

    def write(self, event: str, **fields: Any) -> None:
        """Append an event, then let it change the trials."""
        assert self.log is not None, "opened read-only"
        self.log.append({"event": event, "ts": now_ms(), **fields})
        self._apply(self.events[-1])

    def ask(self, **fields: Any) -> Trial:
        """A new trial, with the next number."""
        number = len(self.trials) + 1
        self.write("asked", trial=number, **fields)
        return self.trials[number]

    def attempt(self, trial: Trial, code: str) -> None:
        """A worker is about to go on with a trial, on this code."""
        trial_folder(self.folder, trial.number).mkdir(parents=True, exist_ok=True)
        self.write("attempt", trial=trial.number, attempt=trial.attempts + 1, code=code, share=trial.share)

    def report(self, trial: Trial, row: log.Event) -> None:
        """Take over an epoch that the worker has put into its outbox."""
        trial.take([row])

    def judge(self, trial: Trial) -> None:
        """A trial's last epoch is good enough to go on."""
        self.write("judged", trial=trial.number, epochs=trial.epochs)

    def died(self, trial: Trial, cause: str, reason: str) -> None:
        """The worker's process ended without a word."""
        self.write("died", trial=trial.number, epochs=trial.epochs, cause=cause, reason=reason)

    def end(
        self, trial: Trial, outcome: str, cause: str = words.CAUSE_NONE, reason: str = "", *, alike: str = ""
    ) -> None:
        """A trial has ended, for the reason given in words; `alike` tells the place of an error from others."""
        told = {"alike": alike} if alike else {}
        self.write(
            "ended", trial=trial.number, outcome=outcome, cause=cause, reason=reason, epochs=trial.epochs, **told
        )

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
    def restarts(self) -> bool:
        """Whether this driver only takes the place of one whose Ray had died."""
        return self._restarts

    def of_arm(self, arm: str, stage: Stage) -> list[Trial]:
        """An arm's trials in the order in which they were asked for."""
        return [trial for trial in self.trials.values() if trial.arm == arm and trial.stage == stage]

    def last(self, *names: str) -> log.Event:
        """The last event of these names; empty if there is none."""
        return next((event for event in reversed(self.events) if event["event"] in names), {})

    def seconds_run(self) -> float:
        """How long drivers have worked on this sweep until now, when none does; one that was killed counts to its
        last event."""
        total = 0
        started: int | None = None
        last = 0
        for event in self.events:
            if event["event"] == "started":
                total += 0 if started is None else last - started
                started = last = event["ts"]
            elif event["event"] not in BETWEEN_DRIVERS and not event.get("late"):
                last = event["ts"]
            if event["event"] == "closed" and started is not None:
                total, started = total + last - started, None
        return (total + (0 if started is None else last - started)) / 1000

"""What the sweep log and the outboxes say, in memory: the one place where a trial's state is kept and changed.

Every change is written to the sweep log before it is acted on. Opening a ledger rebuilds it from the files alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestrator import log
from reports import vocabulary as words

Value = str | int | float | bool
Stage = Literal["search", "confirm"]


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


@dataclass
class Trial:
    """One set of parameters inside an arm; `number` is its name for ever, `index` its place in the arm and stage."""

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
    attempts: int = 0
    rows: list[log.Event] = field(default_factory=list)
    outcome: str | None = None
    cause: str = words.CAUSE_NONE
    reason: str = ""
    evaluated: bool = False
    test: dict[str, float] = field(default_factory=dict)
    died_at: list[int] = field(default_factory=list)
    """Epochs recorded at each death of its process."""

    @property
    def epochs(self) -> int:
        """Epochs recorded."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    @property
    def deaths(self) -> int:
        """Deaths of its process since its last new epoch."""
        return self.died_at.count(self.epochs)

    @property
    def diverged(self) -> Mapping[str, str] | None:
        """Cause and reason, when the last epoch went wrong."""
        found: Mapping[str, str] | None = self.rows[-1].get("diverged") if self.rows else None
        return found


@dataclass(frozen=True)
class Objective:
    """The metric that orders trials."""

    metric: str
    mode: Literal["min", "max"]

    def better(self, value: float, than: float | None) -> bool:
        """Whether a value beats another; nothing beats with NaN, and anything beats none."""
        if math.isnan(value):
            return False
        return than is None or (value > than if self.mode == "max" else value < than)

    def best_row(self, trial: Trial) -> log.Event | None:
        """The epoch with the best value, the earliest of equals."""
        best_row: log.Event | None = None
        best: float | None = None
        for row in trial.rows:
            value = row["metrics"].get(self.metric, math.nan)
            if self.better(value, best):
                best, best_row = value, row
        return best_row

    def best(self, trial: Trial) -> float | None:
        """The best value of any epoch."""
        row = self.best_row(trial)
        return None if row is None else float(row["metrics"][self.metric])

    def best_so_far(self, trial: Trial) -> Iterator[tuple[log.Event, float]]:
        """(row, best value up to it), from the first epoch with a number on."""
        best: float | None = None
        for row in trial.rows:
            value = row["metrics"].get(self.metric, math.nan)
            best = value if self.better(value, best) else best
            if best is not None:
                yield row, best


def trial_folder(sweep_folder: Path, number: int) -> Path:
    """Where a trial keeps its outbox, checkpoints and media."""
    return sweep_folder / "trials" / f"{number:04d}"


class Ledger:
    """The trials of one sweep, rebuilt from its folder; the only writer of its log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials: dict[int, Trial] = {}
        self.log = log.Log(folder / "sweep.jsonl")
        for event in self.log.events:
            self._apply(event)
        for trial in self.trials.values():
            trial.rows, _ = log.read(trial_folder(folder, trial.number) / "outbox.jsonl")

    def _apply(self, event: log.Event) -> None:
        match event["event"]:
            case "asked":
                given = {key: value for key, value in event.items() if key not in ("event", "ts", "trial")}
                self.trials[event["trial"]] = Trial(number=event["trial"], **given)
            case "attempt":
                self.trials[event["trial"]].attempts = event["attempt"]
            case "died":
                self.trials[event["trial"]].died_at.append(event["epochs"])
            case "ended":
                trial = self.trials[event["trial"]]
                trial.outcome, trial.cause, trial.reason = event["outcome"], event["cause"], event["reason"]
            case "extended":
                trial = self.trials[event["trial"]]
                trial.outcome, trial.cause, trial.reason, trial.evaluated = None, words.CAUSE_NONE, "", False
            case "evaluated":
                trial = self.trials[event["trial"]]
                trial.evaluated, trial.test = True, event["metrics"]

    def write(self, event: str, **fields: Any) -> None:
        """Append an event, then let it change the trials."""
        self.log.append({"event": event, "ts": now_ms(), **fields})
        self._apply(self.log.events[-1])

    def ask(self, **fields: Any) -> Trial:
        """A new trial, with the next number."""
        number = len(self.trials) + 1
        self.write("asked", trial=number, **fields)
        return self.trials[number]

    def attempt(self, trial: Trial, code: str) -> None:
        """A worker is about to go on with a trial, on this code."""
        trial_folder(self.folder, trial.number).mkdir(parents=True, exist_ok=True)
        self.write("attempt", trial=trial.number, attempt=trial.attempts + 1, code=code)

    def report(self, trial: Trial, row: log.Event) -> None:
        """Take over an epoch that the worker has put into its outbox."""
        if row["epoch"] > trial.epochs:
            trial.rows.append(row)

    def died(self, trial: Trial, reason: str) -> None:
        """The worker's process ended without a word."""
        self.write("died", trial=trial.number, epochs=trial.epochs, reason=reason)

    def end(self, trial: Trial, outcome: str, cause: str = words.CAUSE_NONE, reason: str = "") -> None:
        """A trial has ended, for the reason given in words."""
        self.write("ended", trial=trial.number, outcome=outcome, cause=cause, reason=reason, epochs=trial.epochs)

    def evaluate(self, trial: Trial, metrics: Mapping[str, float], error: str | None) -> None:
        """The best checkpoint of a trial has been rendered and judged, or could not be."""
        self.write("evaluated", trial=trial.number, metrics=dict(metrics), error=error)

    def of_arm(self, arm: str, stage: Stage) -> list[Trial]:
        """An arm's trials in the order in which they were asked for."""
        return [trial for trial in self.trials.values() if trial.arm == arm and trial.stage == stage]

    def seconds_run(self) -> float:
        """How long drivers have worked on this sweep; one that was killed counts to its last event."""
        total = 0.0
        started: int | None = None
        last = 0
        for event in self.log.events:
            if event["event"] == "started":
                total += 0 if started is None else last - started
                started = event["ts"]
            last = event["ts"]
            if event["event"] == "closed" and started is not None:
                total, started = total + last - started, None
        return (total + (0 if started is None else now_ms() - started)) / 1000

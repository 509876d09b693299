"""A trial as the sweep log and its outbox tell it, and the metric that orders trials."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from orchestrator.storage import json_lines
from reports import vocabulary as words

T = TypeVar("T")
Value = str | int | float | bool
Stage = Literal["search", "confirm"]
Rendering = Mapping[str, Any]
"""One rendering of a trained model: its `name`, its `settings`, its `folder` in the trial's, and its `metrics`."""
SWEEP_LOG = "sweep.jsonl"
OUTBOX = "outbox.jsonl"
TRIAL_LOG = "log.txt"
STOP_FILE = "stop"
"""In a trial's folder: asks the driver to stop it."""
RANKED = (words.OUTCOME_COMPLETED, words.OUTCOME_PRUNED)
"""Outcomes of trials that may be an arm's best."""
CHECKPOINT = "checkpoint"
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
"""Files in a trial's checkpoint folder."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def trial_folder(sweep_folder: Path, number: int) -> Path:
    """Where a trial keeps its outbox, checkpoints and media."""
    return sweep_folder / "trials" / f"{number:04d}"


def counted(lines: Iterable[json_lines.Line], since: int) -> list[json_lines.Line]:
    """The epochs of an outbox that count, each once, and behind them the divergence that ended them, if one did.

    Args:
        lines: the outbox, from its beginning or from some epoch on.
        since: the first attempt that counts; those before it were given up when the trial was started over.
    """
    rows: list[json_lines.Line] = []
    for line in lines:
        if "epoch" not in line or line["attempt"] < since:
            # The first line says whose outbox it is.
            continue
        if rows and "diverged" in rows[-1]:
            # A later attempt tried the epoch again.
            rows.pop()
        # A divergence counts in an epoch that is executed again, too: what comes after it is of a broken network.
        if not rows or "diverged" in line or line["epoch"] > rows[-1]["epoch"]:
            rows.append(line)
    return rows


class Curve:
    """The objective over a trial's epochs, in 20 bytes an epoch; all other metrics stay in the outbox.

    Attributes:
        best_row: the outbox line of the best epoch; None before the first number.
        trained_s: what the epochs took in all.
    """

    def __init__(self) -> None:
        self._epochs = array("i")
        self._times_ms = array("q")
        self._values = array("d")
        self.best_row: json_lines.Line | None = None
        self.trained_s = 0.0

    def __len__(self) -> int:
        return len(self._epochs)

    @property
    def last_epoch(self) -> int:
        """The newest epoch; 0 before the first."""
        return self._epochs[-1] if self._epochs else 0

    @property
    def last_ms(self) -> int | None:
        """When the newest epoch ended; None before the first."""
        return self._times_ms[-1] if self._times_ms else None

    def add(self, row: json_lines.Line, objective: Objective) -> None:
        """Take over the next epoch."""
        value = objective.value_in(row)
        self._epochs.append(row["epoch"])
        self._times_ms.append(row["ts"])
        self._values.append(value)
        self.trained_s += row["metrics"].get(words.EPOCH_S, 0.0)
        if objective.better(value, None if self.best_row is None else objective.value_in(self.best_row)):
            self.best_row = row

    def best_so_far(self, objective: Objective) -> Iterator[tuple[int, int, float]]:
        """(epoch, its time in ms, best value up to it), from the first epoch with a number on."""
        best: float | None = None
        for epoch, time_ms, value in zip(self._epochs, self._times_ms, self._values, strict=True):
            best = value if objective.better(value, best) else best
            if best is not None:
                yield epoch, time_ms, best


@dataclass
class Trial:
    """One set of parameters inside an arm; `number` is its name for ever, `index` its place in the arm and stage.

    Attributes:
        id: tells it from any other trial that ever had its number, such as one of a log that was lost; empty in sweeps
            that were begun before trials had one.
        since: the attempt from which on its epochs count; a later one than the first after it was started over.
        retried: attempts that it had when it was last retried; what went wrong in them is forgiven.
        share: how many times its arm's resources it gets.
        diverged: the cause and the reason, if its training has gone wrong.
        codes: the fingerprint of the code that each attempt ran.
        judged: the last epoch that was judged good enough to go on.
        died_at: epochs recorded at each death of its process since it was last retried.
        held: somebody stopped it; it goes on at the next start.
        alike: tells the place of an error in the code from others.
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
    attempts: int = 0
    since: int = 1
    retried: int = 0
    share: float = 1
    codes: list[str] = field(default_factory=list)
    curve: Curve = field(default_factory=Curve)
    diverged: Mapping[str, str] | None = None
    judged: int = 0
    outcome: str | None = None
    cause: str = words.CAUSE_NONE
    reason: str = ""
    alike: str = ""
    evaluated: bool = False
    evaluation_error: str = ""
    test: dict[str, float] = field(default_factory=dict)
    renderings: list[Rendering] = field(default_factory=list)
    died_at: list[int] = field(default_factory=list)
    held: bool = False

    @property
    def epochs(self) -> int:
        """Epochs recorded."""
        return self.curve.last_epoch

    @property
    def deaths(self) -> int:
        """Deaths of its process since its last new epoch."""
        return self.died_at.count(self.epochs)

    def take(self, lines: Iterable[json_lines.Line], objective: Objective) -> None:
        """Take over lines of its outbox."""
        for line in counted(lines, self.since):
            is_broken = "diverged" in line
            # What a retry has forgiven is past.
            self.diverged = line["diverged"] if is_broken and line["attempt"] > self.retried else None
            if not is_broken and line["epoch"] > self.epochs:
                self.curve.add(line, objective)

    def start_over(self) -> None:
        """It begins from its first epoch: what it has recorded so far counts no more."""
        self.since, self.judged, self.curve = self.attempts + 1, 0, Curve()

    def open_again(self) -> None:
        """It goes on, whatever it had come to."""
        self.outcome, self.cause, self.reason, self.alike = None, words.CAUSE_NONE, "", ""
        self.evaluated, self.evaluation_error, self.renderings = False, "", []


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

    def best_of(self, rows: Iterable[json_lines.Line]) -> json_lines.Line | None:
        """The epoch with the best value, the earliest of equals."""
        best_row: json_lines.Line | None = None
        best: float | None = None
        for row in rows:
            value = self.value_in(row)
            if self.better(value, best):
                best, best_row = value, row
        return best_row

    def value_in(self, row: json_lines.Line) -> float:
        """Its value in an outbox line; NaN where it has none."""
        return float(row["metrics"].get(self.metric, math.nan))

    def best(self, trial: Trial) -> float | None:
        """The best value of any epoch."""
        row = trial.curve.best_row
        return None if row is None else self.value_in(row)

    def rank(self, stage: str, outcome: str | None, value: float | None) -> tuple[bool, float] | None:
        """What an arm's trials are ordered by, the best has the largest; None of one that can't be its best.

        Those of the search that trained to the end come first: only as long as there is none, one that was pruned or is
        still training is the best so far.
        """
        if stage != words.STAGE_SEARCH or outcome == words.OUTCOME_FAILED or value is None or math.isnan(value):
            return None
        return outcome == words.OUTCOME_COMPLETED, value if self.mode == "max" else -value

    def best_trial(self, trials: Iterable[Trial]) -> Trial | None:
        """The best of an arm's trials, the first of equals."""
        ranks = [(self.rank(trial.stage, trial.outcome, self.best(trial)), trial) for trial in trials]
        return first_best(ranks)


def first_best(ranked: Iterable[tuple[tuple[bool, float] | None, T]]) -> T | None:
    """The first of those with the largest rank; None if nothing has one."""
    entries = [(rank, entry) for rank, entry in ranked if rank is not None]
    return max(entries, key=lambda pair: pair[0])[1] if entries else None


def unfinished_line(arm: str, best: Trial | None) -> str | None:
    """That the best of an arm's trials had less than its budget, where it had."""
    if best is None or best.outcome == words.OUTCOME_COMPLETED:
        return None
    state = f"{best.outcome or 'not ended'} after {words.counted(best.epochs, 'epoch')}"
    return f"{arm}: no trial has trained to the end; trial {best.number}, {state}, can't be ranked against full ones."

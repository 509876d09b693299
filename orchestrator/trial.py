"""A trial as the sweep log and its outbox tell it, and the metric that orders trials."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from orchestrator import log
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
CHECKPOINT = "checkpoint"
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
"""Files in a trial's checkpoint folder."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def trial_folder(sweep_folder: Path, number: int) -> Path:
    """Where a trial keeps its outbox, checkpoints and media."""
    return sweep_folder / "trials" / f"{number:04d}"


def counted(lines: Iterable[log.Event], since: int) -> list[log.Event]:
    """The epochs of an outbox that count, each once, and behind them the divergence that ended them, if one did.

    Args:
        lines: the outbox, from its beginning.
        since: the first attempt that counts; those before it were given up when the trial was started over.
    """
    rows: list[log.Event] = []
    for line in lines:
        if line["attempt"] < since:
            continue
        if rows and "diverged" in rows[-1]:
            # A later attempt tried the epoch again.
            rows.pop()
        if not rows or line["epoch"] > rows[-1]["epoch"]:
            rows.append(line)
    return rows


@dataclass
class Trial:
    """One set of parameters inside an arm; `number` is its name for ever, `index` its place in the arm and stage.

    Attributes:
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
    attempts: int = 0
    since: int = 1
    retried: int = 0
    share: float = 1
    codes: list[str] = field(default_factory=list)
    rows: list[log.Event] = field(default_factory=list)
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
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    @property
    def deaths(self) -> int:
        """Deaths of its process since its last new epoch."""
        return self.died_at.count(self.epochs)

    def take(self, lines: Iterable[log.Event]) -> None:
        """Take over lines of its outbox."""
        rows = counted([*self.rows, *lines], self.since)
        broken = rows.pop() if rows and "diverged" in rows[-1] else None
        self.diverged = broken["diverged"] if broken and broken["attempt"] > self.retried else None
        self.rows.extend(rows[len(self.rows) :])

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

    def best_of(self, rows: Iterable[log.Event]) -> log.Event | None:
        """The epoch with the best value, the earliest of equals."""
        best_row: log.Event | None = None
        best: float | None = None
        for row in rows:
            value = row["metrics"].get(self.metric, math.nan)
            if self.better(value, best):
                best, best_row = value, row
        return best_row

    def best_row(self, trial: Trial) -> log.Event | None:
        """A trial's best epoch."""
        return self.best_of(list(trial.rows))

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
    known = [(rank, each) for rank, each in ranked if rank is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def unfinished_line(arm: str, best: Trial | None) -> str | None:
    """That the best of an arm's trials had less than its budget, where it had."""
    if best is None or best.outcome == words.OUTCOME_COMPLETED:
        return None
    state = f"{best.outcome or 'not ended'} after {words.counted(best.epochs, 'epoch')}"
    return f"{arm}: no trial has trained to the end; trial {best.number}, {state}, can't be ranked against full ones."

"""A trial as those see it who only read a sweep's folder: its newest events, its outbox and its files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.state import events
from orchestrator.state.trial import Objective, Rendering, counted
from orchestrator.storage import json_lines
from reports import vocabulary as words

MEDIA = "media"
FILES = (words.ARTIFACT_CONFIG, words.ARTIFACT_PER_RECORDING)


@dataclass
class Trial:
    """A trial as its newest events tell it.

    Attributes:
        started: the start of the driver under which it ran last: the judge, the commit and the corpus of then.
        since: the first attempt whose epochs count; a later one than the first after it was started over.
        left_ms: when its driver stopped or was last heard of, if that left the trial unfinished.
        codes: fingerprints of the code that its attempts ran.
        ends: how often it has ended; more than once after it was retried or extended.
        size: bytes of its outbox when last looked at.
        files: what else it keeps for MLflow, each with the time of its making in nanoseconds: complete folders of
            renderings (`media/best`) and the files named in `FILES`.
        trained_s: how long its epochs took, known once it has ended.
    """

    number: int
    folder: Path
    asked: events.Asked
    started: Mapping[str, Any]
    since: int = 1
    left_ms: int | None = None
    attempt: events.Attempted | None = None
    ended: events.Ended | None = None
    codes: set[str] = field(default_factory=set)
    ends: int = 0
    evaluated: events.Evaluated | None = None
    size: int = 0
    files: dict[str, int] = field(default_factory=dict)
    best: json_lines.Line | None = None
    trained_s: float = 0.0

    @property
    def outbox(self) -> Path:
        """Where its worker writes epochs."""
        return self.folder / "outbox.jsonl"

    @property
    def arm(self) -> str:
        """Its arm's name."""
        return self.asked.arm

    @property
    def outcome(self) -> str:
        """How it stands; one that was left unfinished waits for its next attempt."""
        if self.ended:
            return self.ended.outcome
        return words.OUTCOME_RUNNING if self.left_ms is None else words.OUTCOME_INTERRUPTED

    def resume(self, started: Mapping[str, Any]) -> None:
        """It runs, or runs again."""
        self.started, self.left_ms, self.ended, self.best, self.evaluated = started, None, None, None, None

    @property
    def renderings(self) -> list[Rendering]:
        """Its trained model, rendered with other settings."""
        return self.evaluated.renderings if self.evaluated else []

    def look(self) -> bool:
        """Whether the outbox has grown or a file is new; a folder with a dot in its name is being made."""
        before = self.size, self.files
        self.files = read_times(self.folder, FILES)
        with contextlib.suppress(FileNotFoundError):
            self.size = self.outbox.stat().st_size
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder / MEDIA) as entries:
            renderings = ((entry.name, entry.stat().st_mtime_ns) for entry in entries if "." not in entry.name)
            self.files |= {f"{MEDIA}/{name}": made_ns for name, made_ns in renderings}
        return before != (self.size, self.files)

    def sum_up(self, objective: Objective) -> None:
        """Read what its epochs came to, once it has ended."""
        if self.ended and self.best is None:
            rows = counted(json_lines.read(self.outbox)[0], self.since)
            self.best = objective.best_of(row for row in rows if "diverged" not in row)
            self.trained_s = sum(row["metrics"].get(words.EPOCH_S, 0.0) for row in rows)


def read_times(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Return when each of some files was made, in nanoseconds, of those that there are."""
    times: dict[str, int] = {}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            times[name] = (folder / name).stat().st_mtime_ns
    return times

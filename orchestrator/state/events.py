"""The events of a sweep log: a class for each kind, and its form as a line of JSON.

A new kind of event is a new class here. Its name in the log is that of the class in lower case, unless it has a `KIND`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from orchestrator.errors import UserError
from orchestrator.search_space.scalars import Value
from orchestrator.storage import json_lines
from orchestrator.storage.json_lines import Line
from reports import vocabulary as words

Stage = Literal["search", "confirm"]
Rendering = Mapping[str, Any]
"""One rendering of a trained model: its `name`, its `settings`, its `folder` in the trial's, and its `metrics`."""


def now_ms() -> int:
    """Return the milliseconds since 1970."""
    return int(time.time() * 1000)


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event of a sweep.

    Attributes:
        ts: when it happened, in milliseconds since 1970.
    """

    is_of_driver: ClassVar[bool] = True
    """Whether only a running driver writes it; other events may be written long after a driver was killed."""
    ts: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class TrialEvent(Event):
    """An event of the trial with the number `trial`."""

    trial: int


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """A driver has started; `record` describes the run: arms, versions, corpus, judge, command."""

    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Restarted(Event):
    """Ray has died, and a new driver replaces this one."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Closed(Event):
    """A driver has stopped; `late` means that it was killed, and a later process wrote this."""

    outcome: str
    reason: str
    late: bool = False


@dataclass(frozen=True, kw_only=True)
class Redirected(Event):
    """From now on the sweep is sent to another MLflow."""

    is_of_driver = False
    tracking_uri: str
    artifact_root: str | None


@dataclass(frozen=True, kw_only=True)
class Granted(Event):
    """An arm was granted a budget; hours are granted to the sweep, with "" as the arm.

    Each number is the whole budget, not an increment. The larger of it and the budget in the search space counts.
    """

    is_of_driver = False
    arm: str
    trials: int = 0
    epochs: int = 0
    hours: float = 0


@dataclass(frozen=True, kw_only=True)
class Preferred(Event):
    """Listeners have voted: the strengths of all trials with enough votes, which replace earlier ones.

    Attributes:
        scores: the strengths by the trial's number, which JSON makes a string.
        votes: the number of votes.
    """

    is_of_driver = False
    scores: Mapping[str, float]
    votes: int


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


@dataclass(frozen=True, kw_only=True)
class Attempted(TrialEvent):
    """A worker is about to start or resume a trial.

    Attributes:
        attempt: the number of the attempt, from 1 on.
        code: the fingerprint of the code.
        share: how many times its arm's resources the trial gets.
    """

    KIND: ClassVar[str] = "attempt"
    attempt: int
    code: str
    share: float = 1


@dataclass(frozen=True, kw_only=True)
class Judged(TrialEvent):
    """A trial may continue after its epoch number `epochs`."""

    epochs: int


@dataclass(frozen=True, kw_only=True)
class Died(TrialEvent):
    """The process of a trial was killed or crashed, without an exception in Python."""

    epochs: int
    cause: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ended(TrialEvent):
    """A trial has ended; `alike` identifies the place of an error in the code."""

    epochs: int
    outcome: str
    cause: str = words.CAUSE_NONE
    reason: str = ""
    alike: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluated(TrialEvent):
    """The best checkpoint of a trial was evaluated; `error` says why if that failed."""

    metrics: Mapping[str, float]
    error: str | None = None
    renderings: list[Rendering] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Reevaluated(TrialEvent):
    """An evaluation that failed will be repeated."""

    is_of_driver = False


@dataclass(frozen=True, kw_only=True)
class Lost(TrialEvent):
    """Judged epochs were lost with all copies: the trial continues after its epoch number `epochs`."""

    is_of_driver = False
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Extended(TrialEvent):
    """The budget of a completed trial has grown to `max_epochs`: it continues."""

    is_of_driver = False
    max_epochs: int


@dataclass(frozen=True, kw_only=True)
class Retried(TrialEvent):
    """A trial waits for another attempt, with `share` times its arm's resources."""

    is_of_driver = False
    reason: str
    share: float = 1
    from_scratch: bool = False


@dataclass(frozen=True, kw_only=True)
class Held(TrialEvent):
    """A user has stopped a trial; the next start of the sweep resumes it."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Released(TrialEvent):
    """A user lets a trial that was stopped continue in the running sweep."""


@dataclass(frozen=True, kw_only=True)
class Yielded(TrialEvent):
    """A trial has given its place back, because the sweep pauses or runs too many at once; it waits for another."""


def _subclasses(cls: type[Event]) -> Iterator[type[Event]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


KINDS: dict[str, type[Event]] = {
    getattr(cls, "KIND", cls.__name__.lower()): cls for cls in _subclasses(Event) if cls is not TrialEvent
}
"""The class of each kind of event, by its name in the log."""
NAMES = {cls: name for name, cls in KINDS.items()}


def _required_fields(cls: type[Event]) -> frozenset[str]:
    return frozenset(
        event_field.name
        for event_field in fields(cls)
        if event_field.default is MISSING and event_field.default_factory is MISSING
    )


_FIELDS = {cls: frozenset(event_field.name for event_field in fields(cls)) for cls in NAMES}
_REQUIRED = {cls: _required_fields(cls) for cls in NAMES}


def parse(line: Line) -> Event:
    """Return the event that a line of the log holds.

    Raises:
        UserError: another version of orchestrate wrote the line.
    """
    cls = KINDS.get(line["event"])
    values = {key: value for key, value in line.items() if key != "event"}
    if cls is Started:
        return Started(ts=values.pop("ts"), record=values)
    if cls is None or not values.keys() <= _FIELDS[cls] or not _REQUIRED[cls] <= values.keys():
        of_trial = f" of trial {line['trial']}" if "trial" in line else ""
        raise UserError(
            f"the event {line['event']!r}{of_trial} was written by another version of orchestrate, with other fields; "
            "go on with that one, or start another sweep with --name"
        )
    return cls(**values)


def to_line(event: Event) -> Line:
    """Return an event as a line of the log; fields with their default value are left out."""
    if isinstance(event, Started):
        return {"event": "started", "ts": event.ts, **event.record}
    line: Line = {"event": NAMES[type(event)], "ts": event.ts}
    for event_field in fields(event):
        value = getattr(event, event_field.name)
        if event_field.name != "ts" and (event_field.name in _REQUIRED[type(event)] or value != event_field.default):
            line[event_field.name] = value
    return line


def parse_all(lines: Iterable[Line], path: Path) -> list[Event]:
    """Return the events that lines of the log at `path` hold.

    Raises:
        UserError: another version of orchestrate wrote one of them; the message names the file.
    """
    try:
        return [parse(line) for line in lines]
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def read_events(path: Path) -> list[Event]:
    """Read every event of a sweep log; an incomplete last line is left out."""
    return parse_all(json_lines.read(path)[0], path)

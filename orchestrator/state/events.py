"""The events of a sweep log: one type for each kind, and the line that each is on the disk.

Whoever reads the log matches on these types. A new kind is a class here; it is found by its name in snake case.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from orchestrator.errors import UserError
from orchestrator.search_space.domains import Value
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
    """Something that happened to a sweep.

    Attributes:
        ts: when, in milliseconds since 1970.
    """

    is_of_driver: ClassVar[bool] = True
    """Whether only a driver writes it, while it works; others are also written long after a driver was killed."""
    ts: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class TrialEvent(Event):
    """Something that happened to a trial, by its number."""

    trial: int


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """A driver has started; `record` is all that it said of itself: arms, versions, corpus, judge, command."""

    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Restarted(Event):
    """Ray has died, and a fresh driver takes the place of this one."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Closed(Event):
    """A driver has stopped; `late` if a later one wrote that down."""

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
    """An arm (or, for hours, the sweep: an empty name) has this much in all beside its file's budget."""

    is_of_driver = False
    arm: str
    trials: int = 0
    epochs: int = 0
    hours: float = 0


@dataclass(frozen=True, kw_only=True)
class Asked(TrialEvent):
    """A trial exists; the attributes are those of `Trial`."""

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
    """A worker is about to go on with a trial, on this code, with so many times its arm's resources."""

    KIND: ClassVar[str] = "attempt"
    attempt: int
    code: str
    share: float = 1


@dataclass(frozen=True, kw_only=True)
class Judged(TrialEvent):
    """A trial may go on behind this epoch."""

    epochs: int


@dataclass(frozen=True, kw_only=True)
class Died(TrialEvent):
    """The process of a trial has ended without a word."""

    epochs: int
    cause: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ended(TrialEvent):
    """A trial has ended; `alike` tells the place of an error in the code from others."""

    epochs: int
    outcome: str
    cause: str = words.CAUSE_NONE
    reason: str = ""
    alike: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluated(TrialEvent):
    """The best checkpoint of a trial has been rendered and judged, or could not be."""

    metrics: Mapping[str, float]
    error: str | None = None
    renderings: list[Rendering] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Reevaluated(TrialEvent):
    """An evaluation that failed is done again."""

    is_of_driver = False


@dataclass(frozen=True, kw_only=True)
class Lost(TrialEvent):
    """Epochs that were judged are nowhere any more: the trial goes on behind `epochs`."""

    is_of_driver = False
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Extended(TrialEvent):
    """A completed trial has more epochs to go."""

    is_of_driver = False
    max_epochs: int


@dataclass(frozen=True, kw_only=True)
class Retried(TrialEvent):
    """A trial waits for another attempt."""

    is_of_driver = False
    reason: str
    share: float = 1
    from_scratch: bool = False


@dataclass(frozen=True, kw_only=True)
class Held(TrialEvent):
    """Somebody has stopped a trial until the next start."""

    reason: str


def _subclasses(cls: type[Event]) -> Iterator[type[Event]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


KINDS: dict[str, type[Event]] = {
    getattr(cls, "KIND", cls.__name__.lower()): cls for cls in _subclasses(Event) if cls is not TrialEvent
}
"""By the name that each has in the log."""
NAMES = {cls: name for name, cls in KINDS.items()}
_KNOWN = {cls: frozenset(event_field.name for event_field in fields(cls)) for cls in NAMES}
_REQUIRED = {
    cls: frozenset(
        event_field.name
        for event_field in fields(cls)
        if event_field.default is MISSING and event_field.default_factory is MISSING
    )
    for cls in NAMES
}


def parse(line: Line) -> Event:
    """Return the event of a line.

    Raises:
        UserError: another version of orchestrate has written it.
    """
    cls = KINDS.get(line["event"])
    values = {key: value for key, value in line.items() if key != "event"}
    if cls is Started:
        return Started(ts=values.pop("ts"), record=values)
    if cls is None or not values.keys() <= _KNOWN[cls] or not _REQUIRED[cls] <= values.keys():
        of_trial = f" of trial {line['trial']}" if "trial" in line else ""
        raise UserError(
            f"the event {line['event']!r}{of_trial} was written by another version of orchestrate, with other fields; "
            "go on with that one, or start another sweep with --name"
        )
    return cls(**values)


def to_line(event: Event) -> Line:
    """Return the line that an event is in the log; what is as always is left out."""
    if isinstance(event, Started):
        return {"event": "started", "ts": event.ts, **event.record}
    line: Line = {"event": NAMES[type(event)], "ts": event.ts}
    for event_field in fields(event):
        value = getattr(event, event_field.name)
        if event_field.name != "ts" and (event_field.name in _REQUIRED[type(event)] or value != event_field.default):
            line[event_field.name] = value
    return line


def parse_all(lines: Iterable[Line], path: Path) -> list[Event]:
    """Return the events of some lines.

    Raises:
        UserError: another version has written one of them; the message names the file.
    """
    try:
        return [parse(line) for line in lines]
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def read_events(path: Path) -> list[Event]:
    """Read every event of a sweep log; a last line that is not whole yet is left out."""
    return parse_all(json_lines.read(path)[0], path)

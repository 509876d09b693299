"""Events of a sweep log as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.state.events import drivers, interruptions, reopenings, sweep, trials
from orchestrator.state.events.base import Event
from orchestrator.state.events.drivers import Started
from orchestrator.storage import json_lines
from orchestrator.storage.json_lines import Line

SUBJECTS = (drivers, interruptions, reopenings, sweep, trials)
"""The modules of `events` that have kinds of events."""
KINDS: dict[str, type[Event]] = {
    getattr(cls, "KIND", cls.__name__.lower()): cls
    for subject in SUBJECTS
    for cls in vars(subject).values()
    if isinstance(cls, type) and issubclass(cls, Event) and cls.__module__ == subject.__name__
}
"""The class of each kind of event, by its name in the log."""
NAMES = {cls: name for name, cls in KINDS.items()}


def _all_fields(cls: type[Event]) -> frozenset[str]:
    return frozenset(event_field.name for event_field in fields(cls))


def _required_fields(cls: type[Event]) -> frozenset[str]:
    return frozenset(
        event_field.name
        for event_field in fields(cls)
        if event_field.default is MISSING and event_field.default_factory is MISSING
    )


_FIELDS = {cls: _all_fields(cls) for cls in NAMES}
_REQUIRED = {cls: _required_fields(cls) for cls in NAMES}


def parse(line: Line) -> Event:
    """Return the event that a line of the log holds.

    Raises:
        UserError: another version of orchestrate wrote the line.
    """
    kind = str(line.get("event", ""))
    cls = KINDS.get(kind)
    values = {key: value for key, value in line.items() if key != "event"}
    if cls is Started and "ts" in values:
        return Started(ts=values.pop("ts"), record=values)
    if cls is None or not values.keys() <= _FIELDS[cls] or not _REQUIRED[cls] <= values.keys():
        of_trial = f" of trial {line['trial']}" if "trial" in line else ""
        raise UserError(
            f"the event {kind!r}{of_trial} is in the format of another version of orchestrate; "
            "resume with that version, or start another sweep with --name"
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


def parse_all(lines: Iterable[Line], place: Path | str) -> list[Event]:
    """Return the events that lines of the log at `place` hold.

    Raises:
        UserError: another version of orchestrate wrote one of them; the message names the place.
    """
    try:
        return [parse(line) for line in lines]
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


def read_events(path: Path) -> list[Event]:
    """Read every event of a sweep log; an incomplete last line is left out."""
    return parse_all(json_lines.read(path)[0], path)

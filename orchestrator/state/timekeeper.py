"""Times in a sweep log, and how long drivers have worked on a sweep according to them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


def now_ms() -> int:
    """Return the milliseconds since 1970."""
    return int(time.time() * 1000)


@dataclass(frozen=True, kw_only=True)
class Dated:
    """Something that has happened.

    Attributes:
        ts: when, in milliseconds since 1970.
    """

    ts: int = field(default_factory=now_ms)


class Timekeeper:
    """The sum of the times that drivers ran: by their own clock, or else between events.

    Between events, a step back of the clock counts as 0.
    """

    def __init__(self) -> None:
        self._run_ms = self._ms_before = 0
        self._last_ms: int | None = None

    @property
    def seconds(self) -> float:
        """The time that drivers have run, up to their last event."""
        return self._run_ms / 1000

    def begin(self, ts: int) -> None:
        """Start the clock of a driver at this time."""
        self._last_ms, self._ms_before = ts, self._run_ms

    def add(self, ts: int) -> None:
        """Count up to this time, if a driver runs."""
        if self._last_ms is not None:
            self._run_ms += max(0, ts - self._last_ms)
            self._last_ms = ts

    def end(self, ran_s: float | None) -> None:
        """Count no more; if the driver has measured how long it ran, that counts instead."""
        if ran_s is not None:
            self._run_ms = self._ms_before + round(1000 * ran_s)
        self._last_ms = None

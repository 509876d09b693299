"""How long drivers have worked on a sweep, computed from the times in its log."""

from __future__ import annotations

from orchestrator.state import events


class Timekeeper:
    """The sum of the times between events while a driver runs; a step back of the clock counts as 0."""

    def __init__(self) -> None:
        self._run_ms = 0
        self._last_ms: int | None = None

    @property
    def seconds(self) -> float:
        """The time that drivers have run, up to their last event."""
        return self._run_ms / 1000

    def take(self, event: events.Event) -> None:
        """Add the next event of the log."""
        is_late = isinstance(event, events.Closed) and event.late
        if isinstance(event, events.Started):
            self._last_ms = event.ts
        elif self._last_ms is not None and event.is_of_driver and not is_late:
            self._run_ms += max(0, event.ts - self._last_ms)
            self._last_ms = event.ts
        if isinstance(event, events.Closed):
            self._last_ms = None

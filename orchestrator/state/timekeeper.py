"""How long drivers have worked on a sweep, as the times in its log tell."""

from __future__ import annotations

from orchestrator.storage import json_lines

BETWEEN_DRIVERS = ("granted", "retried", "extended", "lost", "reevaluated", "redirected")
"""Events that are written long after a driver was killed, too, by whoever wants to go on."""


class Timekeeper:
    """Adds up the time between events while a driver runs; a clock that was set back counts as no time."""

    def __init__(self) -> None:
        self._run_ms = 0
        self._last_ms: int | None = None

    @property
    def seconds(self) -> float:
        """Until the last event of a driver."""
        return self._run_ms / 1000

    def take(self, event: json_lines.Event) -> None:
        """Take over the next event of the log."""
        name, now_ms = event["event"], event["ts"]
        if name == "started":
            self._last_ms = now_ms
        elif self._last_ms is not None and name not in BETWEEN_DRIVERS and not event.get("late"):
            self._run_ms += max(0, now_ms - self._last_ms)
            self._last_ms = now_ms
        if name == "closed":
            self._last_ms = None

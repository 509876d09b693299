"""The driver of a sweep starts, ends, and suspects machines."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.state.curve import Objective
from orchestrator.state.events.base import Event
from orchestrator.state.sweep_state import Closing, Start, Suspect, SweepState
from orchestrator.state.timekeeper import Timekeeper


@dataclass(frozen=True, kw_only=True)
class Started(Event, Start):
    """A driver has started; `record` describes the run: arms, versions, corpus, judge, command."""

    def pass_time(self, timekeeper: Timekeeper) -> None:
        """Start the clock of this driver."""
        timekeeper.begin(self.ts)

    def change(self, state: SweepState) -> set[int]:
        """Let every trial that was running wait for this driver."""
        # A start continues every trial that was stopped by hand, but for a driver whose Ray had died.
        for number in state.unfinished:
            state.trials[number].held &= state.is_restart
        state.is_restart = False
        state.live.clear()
        state.suspects = []
        state.starts.append(self)
        state.started, state.closed = dict(self.record), None
        if state.follows_starts and "objective" in self.record:
            state.objective = Objective(**self.record["objective"])
        # They have run until the last event before this one.
        return state.leave_running(state.last_ms)


@dataclass(frozen=True, kw_only=True)
class Restarted(Event):
    """Ray has died, and a new driver replaces this one."""

    reason: str

    def change(self, state: SweepState) -> set[int]:
        """Count it, and expect the new driver."""
        state.is_restart = True
        state.restarts += 1
        return set()


@dataclass(frozen=True, kw_only=True)
class Closed(Event, Closing):
    """A driver has stopped; `late` means that it was killed, and a later process wrote this.

    `ran_s` is how long it ran by a monotonic clock, which stands still while the machine sleeps.
    """

    ran_s: float | None = None

    def pass_time(self, timekeeper: Timekeeper) -> None:
        """Stop the clock: at this event, or at the last event before it if the driver was killed."""
        if not self.late:
            timekeeper.add(self.ts)
        timekeeper.end(self.ran_s)

    def change(self, state: SweepState) -> set[int]:
        """Let every trial that was running wait for the next driver."""
        state.closed = self
        return state.leave_running(self.ts)


@dataclass(frozen=True, kw_only=True)
class Suspected(Event, Suspect):
    """A machine, by Ray's id, is `left out` by this driver, or `slow`; `text` is the sentence for the user."""

    def change(self, state: SweepState) -> set[int]:
        """Note the machine."""
        state.suspects.append(self)
        return set()

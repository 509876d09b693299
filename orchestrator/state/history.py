"""What a sweep's folder tells, for those who only read it: the sweep log and the outboxes, folded as they grow."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.state import events
from orchestrator.state.home import driver_note
from orchestrator.state.tally import Tallies
from orchestrator.state.tracked import Trial, read_times
from orchestrator.state.trial import RANKED, SWEEP_LOG, Objective, trial_folder
from orchestrator.storage import json_lines
from reports import vocabulary as words

LATE_MS = 60_000
"""How long after an event, by the log's own clock, a trial that has ended may still get a file."""
IN_TURN = 50
"""As many others are looked at each time: what comes later than that is found, too, at the latest at the end."""
OWN_BUSINESS = frozenset({"event", "ts", "pid", "tracking_uri", "artifact_root"})
"""What the start of a driver says to nobody but this machine."""


class History:
    """A sweep and its trials, by number; `refresh` reads what is new.

    Attributes:
        offset: bytes of the sweep log that were read.
        tallies: what is said of each arm and of all trials.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials: dict[int, Trial] = {}
        self.started: dict[str, Any] = {}
        self.closed: events.Closed | None = None
        self.first: events.Started | None = None
        self.tallies = Tallies()
        self._searched: dict[str, None] = {}
        self._open: set[int] = set()
        """Trials that have not ended."""
        self._recent: deque[tuple[int, int]] = deque()
        """The time and the trial of each event of the last moment."""
        self._turns: deque[int] = deque()
        """Every trial, the one first that was not looked at for the longest."""
        self._last_ms = 0
        self.offset = 0

    @property
    def name(self) -> str:
        """The sweep's name."""
        return str(self.started["sweep"])

    @property
    def sweep_id(self) -> str:
        """Tells this folder's sweep from any other, for ever: where and when it was first started."""
        assert self.first is not None, "a history is of a sweep that was started"
        return _sweep_id(self.name, self.first)

    @property
    def first_ms(self) -> int:
        """When the sweep was first started, in milliseconds since 1970."""
        return self.first.ts if self.first else 0

    @property
    def objective(self) -> Objective:
        """What orders the trials."""
        return Objective(**self.started["objective"])

    def record(self) -> dict[str, Any]:
        """What the sweep said of itself when it last started."""
        return {key: value for key, value in self.started.items() if key not in OWN_BUSINESS}

    def refresh(self, *, everywhere: bool = False, late: bool = False) -> set[int]:
        """Read on.

        Args:
            everywhere: look for new files of every trial, not only of those that run or have an event.
            late: look for new files of the trials that had an event a moment ago, and of some others in turn.

        Returns:
            The trials about which something is new.
        """
        path = self.folder / SWEEP_LOG
        lines, self.offset = json_lines.read(path, self.offset)
        changed = {number for event in events.parse_all(lines, path) for number in self._fold(event)}
        looked = set(self.trials) if everywhere else changed | self._open | (self._late() if late else set())
        changed |= {number for number in looked if self.trials[number].look()}
        self._take_over(changed)
        return changed

    def _take_over(self, changed: Iterable[int]) -> None:
        """Keep what is said of all trials in step with those that have changed."""
        # In the order in which they were asked for, which is that of the arms.
        for number in sorted(changed):
            trial = self.trials[number]
            trial.sum_up(self.objective)
            self.tallies.update(trial, self.objective)
            (self._open.discard if trial.ended else self._open.add)(number)

    def _late(self) -> set[int]:
        """The trials that had an event a moment ago, and some others, each in its turn."""
        while self._recent and self._recent[0][0] < self._last_ms - LATE_MS:
            self._recent.popleft()
        numbers = {number for _, number in self._recent}
        for _ in range(min(IN_TURN, len(self._turns))):
            numbers.add(self._turns[0])
            self._turns.rotate(-1)
        return numbers

    def lose_driver(self) -> set[int]:
        """The driver has gone without a word.

        Returns:
            The trials about which that says something.
        """
        self.closed = events.Closed(
            ts=self._last_ms, outcome=words.OUTCOME_INTERRUPTED, reason="the driver died", late=True
        )
        left = self._leave(self._last_ms)
        self._take_over(left)
        return left

    def driver_is_dead(self) -> bool:
        """Whether nobody drives the sweep: a driver holds the lock for as long as it lives."""
        return driver_note(self.folder) is None

    def files(self) -> dict[str, int]:
        """The sweep's own files for MLflow, each with the time of its making in nanoseconds."""
        return read_times(self.folder, [words.ARTIFACT_SEARCH_SPACE])

    def ids(self) -> dict[str, str]:
        """What tells each trial from any other that had its number, by that number as text."""
        return {str(number): trial.asked.id for number, trial in self.trials.items()}

    def searched(self) -> list[str]:
        """Every parameter that Optuna chose for some trial."""
        return list(self._searched)

    def _fold(self, event: events.Event) -> set[int]:
        """Take over an event; the trials that it says something about."""
        before, self._last_ms = self._last_ms, event.ts
        match event:
            case events.Started():
                self.first = self.first or event
                self.started, self.closed = dict(event.record), None
                return self._leave(before)
            case events.Redirected():
                self.started |= {"tracking_uri": event.tracking_uri, "artifact_root": event.artifact_root}
            case events.Closed():
                self.closed = event
                return self._leave(event.ts)
            case events.Asked():
                folder = trial_folder(self.folder, event.trial)
                self.trials[event.trial] = Trial(event.trial, folder, event, self.started)
                self._searched |= dict.fromkeys(event.searched)
                self._turns.append(event.trial)
            case events.TrialEvent():
                self._fold_into(self.trials[event.trial], event)
        if not isinstance(event, events.TrialEvent):
            return set()
        self._recent.append((event.ts, event.trial))
        return {event.trial}

    def _fold_into(self, trial: Trial, event: events.TrialEvent) -> None:
        match event:
            case events.Attempted():
                trial.resume(self.started)
                trial.attempt = event
                trial.codes.add(event.code)
            case events.Extended() | events.Retried():
                trial.resume(self.started)
                # It waits until its next attempt.
                trial.left_ms = event.ts
                if isinstance(event, events.Retried) and event.from_scratch:
                    trial.since = (trial.attempt.attempt if trial.attempt else 0) + 1
            case events.Lost() if trial.outcome in RANKED:
                trial.resume(self.started)
                trial.left_ms = event.ts
            case events.Held():
                trial.left_ms = event.ts
            case events.Ended():
                trial.ended = event
                trial.ends += 1
            case events.Evaluated():
                trial.evaluated = event

    def _leave(self, ts: int) -> set[int]:
        """The driver has stopped: what it had not finished waits for the next one."""
        left = {number for number, trial in self.trials.items() if not trial.ended and trial.left_ms is None}
        for number in left:
            self.trials[number].left_ms = ts
        return left


def read_identity(folder: Path) -> tuple[str, str]:
    """The name and the id of the sweep in a folder that was run."""
    starts = [event for event in events.read_events(folder / SWEEP_LOG) if isinstance(event, events.Started)]
    name = str(starts[-1].record["sweep"])
    return name, _sweep_id(name, starts[0])


def _sweep_id(name: str, first: events.Started) -> str:
    text = f"{name} {first.record.get('host')} {first.record.get('pid')} {first.ts}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]

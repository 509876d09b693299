"""The state of a sweep, read from its folder while another process may write there."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.state import event_lines
from orchestrator.state.curve import Curve
from orchestrator.state.events.base import Event, TrialEvent
from orchestrator.state.events.drivers import Closed, Started
from orchestrator.state.events.trials import Asked
from orchestrator.state.home import driver_note
from orchestrator.state.paths import SWEEP_LOG, trial_folder
from orchestrator.state.sweep_state import Start, SweepState
from orchestrator.state.trial_files import TrialFiles, read_times
from orchestrator.storage import json_lines
from reports import vocabulary as words

LATE_MS = 60_000
"""How long after an event, by the log's own clock, a trial that has ended may still get a file."""
IN_TURN = 50
"""How many other trials each look includes: a file that comes later than `LATE_MS` is found by them."""
PRIVATE = frozenset({"event", "ts", "pid", "tracking_uri", "artifact_root"})
"""Keys of a driver's start that concern this machine only."""


class History(SweepState):
    """The state of a sweep that another process may be driving; `refresh` reads what is new.

    Attributes:
        files: what each trial's folder has, by the trial's number.
        places: where the trials on a front are, by number.
        with_media: numbers of the trials that have sounds or pictures.
    """

    def __init__(self, folder: Path) -> None:
        """Read nothing yet.

        Args:
            folder: the sweep's folder.
        """
        self._log = json_lines.Reader(folder / SWEEP_LOG)
        self._begin(folder)

    def _begin(self, folder: Path) -> None:
        """Set the state before the first event."""
        super().__init__(folder)
        self.files: dict[int, TrialFiles] = {}
        self.with_media: set[int] = set()
        self.places: Mapping[int, str] = {}
        self._read_ends: dict[int, int] = {}
        """How often a trial had ended when its outbox was read."""
        self._recent: deque[tuple[int, int]] = deque()
        """The time and the trial of each event of the last moment."""
        self._turns: deque[int] = deque()
        """Every trial, the one first that was not looked at for the longest."""

    @property
    def offset(self) -> int:
        """The bytes of the sweep log that were read."""
        return self._log.offset

    @property
    def name(self) -> str:
        """The sweep's name."""
        return str(self.started["sweep"])

    @property
    def sweep_id(self) -> str:
        """The id that no other sweep ever has."""
        return identify(self.name, self.starts[0])

    @property
    def first_ms(self) -> int:
        """When the sweep was first started, in milliseconds since 1970; 0 before that."""
        return self.starts[0].ts if self.starts else 0

    def record(self) -> dict[str, Any]:
        """Return what the driver wrote at its last start, without what concerns this machine only."""
        return {key: value for key, value in self.started.items() if key not in PRIVATE}

    def refresh(self, *, everywhere: bool = False, late: bool = False) -> set[int]:
        """Read what was added since the last call.

        Args:
            everywhere: look for new files of every trial, not only of those that run or have an event.
            late: look for new files of the trials that had an event recently, and of some others in turn.

        Returns:
            The numbers of the trials about which something is new.
        """
        lines, has_lost_lines = self._log.read_new()
        if has_lost_lines:
            self._begin(self.folder)
        events = event_lines.parse_all(lines, self.folder / SWEEP_LOG)
        changed = {number for event in events for number in self._take(event)}
        to_look_at = set(self.trials) if everywhere else changed | self.unfinished
        if late and not everywhere:
            to_look_at |= self._late()
        for number in to_look_at:
            if self.files[number].look():
                changed.add(number)
                (self.with_media.add if self.files[number].has_media else self.with_media.discard)(number)
        self._read_outboxes(changed)
        return changed | self._update_fronts()

    def _update_fronts(self) -> set[int]:
        """Return the trials that have come to a front, or have left one, because of other trials."""
        before, self.places = self.places, self.front_places()
        if self.places is before:
            return set()
        numbers = before.keys() | self.places.keys()
        return {number for number in numbers if before.get(number) != self.places.get(number)}

    def _take(self, event: Event) -> set[int]:
        if isinstance(event, Asked):
            self.files[event.trial] = TrialFiles(trial_folder(self.folder, event.trial))
            self._turns.append(event.trial)
        if isinstance(event, TrialEvent):
            self._recent.append((event.ts, event.trial))
        return event.apply(self)

    def _read_outboxes(self, numbers: Iterable[int]) -> None:
        """Read the outbox of each trial that has ended since it was last read."""
        for trial in (self.trials[number] for number in numbers):
            if trial.outcome is not None and self._read_ends.get(trial.number) != trial.ends:
                self._read_ends[trial.number] = trial.ends
                # Epochs that were lost are no longer there, so that it is read from its beginning.
                trial.curve = Curve()
                self.take_rows(trial, json_lines.read(self.files[trial.number].outbox)[0])

    def _late(self) -> set[int]:
        """Return the trials that had an event recently, and some others, each in its turn."""
        while self._recent and self._recent[0][0] < self.last_ms - LATE_MS:
            self._recent.popleft()
        numbers = {number for _, number in self._recent}
        for _ in range(min(IN_TURN, len(self._turns))):
            numbers.add(self._turns[0])
            self._turns.rotate(-1)
        return numbers

    def lose_driver(self) -> set[int]:
        """Note that the driver has died without closing the sweep.

        Returns:
            The numbers of the trials that it left unfinished.
        """
        died = Closed(ts=self.last_ms, outcome=words.OUTCOME_INTERRUPTED, reason="the driver died", late=True)
        return died.apply(self)

    def driver_is_dead(self) -> bool:
        """Return whether the sweep has no driver: a driver holds the lock for as long as it lives."""
        return driver_note(self.folder) is None

    def sweep_files(self) -> dict[str, int]:
        """Return the sweep's own files for MLflow, each with the time of its making in nanoseconds."""
        return read_times(self.folder, [words.ARTIFACT_SEARCH_SPACE])

    def ids(self) -> dict[str, str]:
        """Return each trial's id, by its number as text."""
        return {str(number): trial.id for number, trial in self.trials.items()}


def read_identity(folder: Path) -> tuple[str, str]:
    """Read the name and the id of the sweep in a folder that was run."""
    starts = [event for event in event_lines.read_events(folder / SWEEP_LOG) if isinstance(event, Started)]
    name = str(starts[-1].record["sweep"])
    return name, identify(name, starts[0])


def identify(name: str, first: Start) -> str:
    """Return an id that no other sweep ever has: it is made of where and when the sweep was first started."""
    text = f"{name} {first.record.get('host')} {first.record.get('pid')} {first.ts}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]

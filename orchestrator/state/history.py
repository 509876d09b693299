"""What a sweep's folder tells, for those who only read it: the sweep log and the outboxes, folded as they grow."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path

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
        self.started: json_lines.Event = {}
        self.closed: json_lines.Event | None = None
        self.first: json_lines.Event = {}
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
        return _sweep_id(self.name, self.first)

    @property
    def objective(self) -> Objective:
        """What orders the trials."""
        return Objective(**self.started["objective"])

    def record(self) -> json_lines.Event:
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
        events, self.offset = json_lines.read(self.folder / SWEEP_LOG, self.offset)
        changed = {number for event in events for number in self._fold(event)}
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
        self.closed = {"ts": self._last_ms, "outcome": words.OUTCOME_INTERRUPTED, "reason": "the driver died"}
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
        return {str(number): str(trial.asked.get("id", "")) for number, trial in self.trials.items()}

    def searched(self) -> list[str]:
        """Every parameter that Optuna chose for some trial."""
        return list(self._searched)

    def _fold(self, event: json_lines.Event) -> set[int]:
        """Take over an event; the trials that it says something about."""
        before, self._last_ms = self._last_ms, event["ts"]
        match event["event"]:
            case "started":
                self.first = self.first or event
                self.started, self.closed = event, None
                return self._leave(before)
            case "redirected":
                self.started = self.started | {key: event[key] for key in ("tracking_uri", "artifact_root")}
            case "closed":
                self.closed = event
                return self._leave(event["ts"])
            case "asked":
                number = event["trial"]
                self.trials[number] = Trial(number, trial_folder(self.folder, number), event, self.started)
                self._searched |= dict.fromkeys(event["searched"])
                self._turns.append(number)
            case "attempt":
                self.trials[event["trial"]].resume(self.started)
                self.trials[event["trial"]].attempt = event
                self.trials[event["trial"]].codes.add(event["code"])
            case "extended" | "retried":
                trial = self.trials[event["trial"]]
                trial.resume(self.started)
                # It waits until its next attempt.
                trial.left_ms = event["ts"]
                if event.get("from_scratch"):
                    trial.since = (trial.attempt or {}).get("attempt", 0) + 1
            case "lost":
                trial = self.trials[event["trial"]]
                if trial.outcome in RANKED:
                    trial.resume(self.started)
                    trial.left_ms = event["ts"]
            case "held":
                self.trials[event["trial"]].left_ms = event["ts"]
            case "ended":
                self.trials[event["trial"]].ended = event
                self.trials[event["trial"]].ends += 1
            case "evaluated":
                self.trials[event["trial"]].evaluated = event
        if "trial" not in event:
            return set()
        self._recent.append((event["ts"], event["trial"]))
        return {event["trial"]}

    def _leave(self, ts: int) -> set[int]:
        """The driver has stopped: what it had not finished waits for the next one."""
        left = {number for number, trial in self.trials.items() if not trial.ended and trial.left_ms is None}
        for number in left:
            self.trials[number].left_ms = ts
        return left


def read_identity(folder: Path) -> tuple[str, str]:
    """The name and the id of the sweep in a folder that was run."""
    started = [event for event in json_lines.read(folder / "sweep.jsonl")[0] if event["event"] == "started"]
    name = str(started[-1]["sweep"])
    return name, _sweep_id(name, started[0])


def _sweep_id(name: str, first: json_lines.Event) -> str:
    text = f"{name} {first.get('host')} {first.get('pid')} {first['ts']}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]

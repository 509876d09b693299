"""What a sweep's folder tells, for those who only read it: the sweep log and the outboxes, folded as they grow."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator import log
from orchestrator.home import driver_note
from orchestrator.trial import Objective, Rendering, counted, first_best, trial_folder
from reports import vocabulary as words

MEDIA = "media"
OWN_BUSINESS = frozenset({"event", "ts", "pid", "tracking_uri", "artifact_root"})
"""What the start of a driver says to nobody but this machine."""
FILES = (words.ARTIFACT_CONFIG, words.ARTIFACT_PER_RECORDING)


@dataclass
class Trial:
    """A trial as its newest events tell it.

    Attributes:
        started: the start of the driver under which it ran last: the judge, the commit and the corpus of then.
        since: the first attempt whose epochs count; a later one than the first after it was started over.
        left_ms: when its driver stopped or was last heard of, if that left the trial unfinished.
        codes: fingerprints of the code that its attempts ran.
        ends: how often it has ended; more than once after it was retried or extended.
        size: bytes of its outbox when last looked at.
        files: what else it keeps for MLflow, each with the time of its making in nanoseconds: complete folders of
            renderings (`media/best`) and the files named in `FILES`.
        trained_s: how long its epochs took, known once it has ended.
    """

    number: int
    folder: Path
    asked: log.Event
    started: log.Event
    since: int = 1
    left_ms: int | None = None
    attempt: log.Event | None = None
    ended: log.Event | None = None
    codes: set[str] = field(default_factory=set)
    ends: int = 0
    evaluated: log.Event | None = None
    size: int = 0
    files: dict[str, int] = field(default_factory=dict)
    best: log.Event | None = None
    trained_s: float = 0.0

    @property
    def outbox(self) -> Path:
        """Where its worker writes epochs."""
        return self.folder / "outbox.jsonl"

    @property
    def arm(self) -> str:
        """Its arm's name."""
        return str(self.asked["arm"])

    @property
    def outcome(self) -> str:
        """How it stands; one that was left unfinished waits for its next attempt."""
        if self.ended:
            return str(self.ended["outcome"])
        return words.OUTCOME_RUNNING if self.left_ms is None else words.OUTCOME_INTERRUPTED

    def resume(self, started: log.Event) -> None:
        """It runs, or runs again."""
        self.started, self.left_ms, self.ended, self.best, self.evaluated = started, None, None, None, None

    @property
    def renderings(self) -> list[Rendering]:
        """Its trained model, rendered with other settings."""
        return self.evaluated.get("renderings", []) if self.evaluated else []


class History:
    """A sweep and its trials, by number; `refresh` reads what is new.

    Attributes:
        offset: bytes of the sweep log that were read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials: dict[int, Trial] = {}
        self.started: log.Event = {}
        self.closed: log.Event | None = None
        self.first: log.Event = {}
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

    def record(self) -> log.Event:
        """What the sweep said of itself when it last started."""
        return {key: value for key, value in self.started.items() if key not in OWN_BUSINESS}

    def refresh(self, *, everywhere: bool) -> set[int]:
        """Read on.

        Args:
            everywhere: look for new files of every trial, not only of those that run or have an event.

        Returns:
            The trials about which something is new.
        """
        events, self.offset = log.read(self.folder / "sweep.jsonl", self.offset)
        changed = {number for event in events for number in self._fold(event)}
        looked = (trial for trial in self.trials.values() if everywhere or not trial.ended or trial.number in changed)
        changed |= {trial.number for trial in looked if self._look(trial)}
        for trial in (self.trials[number] for number in changed):
            if trial.ended and trial.best is None:
                rows = counted(log.read(trial.outbox)[0], trial.since)
                trial.best = self.objective.best_of(row for row in rows if "diverged" not in row)
                trial.trained_s = sum(row["metrics"].get(words.EPOCH_S, 0.0) for row in rows)
        return changed

    def lose_driver(self) -> set[int]:
        """The driver has gone without a word.

        Returns:
            The trials about which that says something.
        """
        self.closed = {"ts": self._last_ms, "outcome": words.OUTCOME_INTERRUPTED, "reason": "the driver died"}
        return self._leave(self._last_ms)

    def driver_is_dead(self) -> bool:
        """Whether nobody drives the sweep: a driver holds the lock for as long as it lives."""
        return driver_note(self.folder) is None

    def files(self) -> dict[str, int]:
        """The sweep's own files for MLflow, each with the time of its making in nanoseconds."""
        return _made(self.folder, [words.ARTIFACT_SEARCH_SPACE])

    def searched(self) -> list[str]:
        """Every parameter that Optuna chose for some trial."""
        return list(dict.fromkeys(name for trial in self.trials.values() for name in trial.asked["searched"]))

    def rendered(self) -> list[str]:
        """Every setting that renderings differ by."""
        each = (rendering for trial in self.trials.values() for rendering in trial.renderings)
        return list(dict.fromkeys(name for rendering in each for name in rendering["settings"]))

    def arms(self) -> dict[str, list[Trial]]:
        """The trials of each arm, arms in the order in which they were first asked for."""
        arms: dict[str, list[Trial]] = {}
        for trial in self.trials.values():
            arms.setdefault(trial.arm, []).append(trial)
        return arms

    def best_trial(self, trials: list[Trial]) -> Trial | None:
        """The best of an arm's ended trials."""
        objective = self.objective
        values = ((trial.best["metrics"][objective.metric] if trial.best else None, trial) for trial in trials)
        return first_best(
            (objective.rank(trial.asked["stage"], trial.outcome, value), trial) for value, trial in values
        )

    def _fold(self, event: log.Event) -> set[int]:
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
            case "held":
                self.trials[event["trial"]].left_ms = event["ts"]
            case "ended":
                self.trials[event["trial"]].ended = event
                self.trials[event["trial"]].ends += 1
            case "evaluated":
                self.trials[event["trial"]].evaluated = event
        return {event["trial"]} if "trial" in event else set()

    def _leave(self, ts: int) -> set[int]:
        """The driver has stopped: what it had not finished waits for the next one."""
        left = {trial.number for trial in self.trials.values() if not trial.ended and trial.left_ms is None}
        for number in left:
            self.trials[number].left_ms = ts
        return left

    def _look(self, trial: Trial) -> bool:
        """Whether the outbox has grown or a file is new; a folder with a dot in its name is being made."""
        seen = trial.size, trial.files
        trial.files = _made(trial.folder, FILES)
        with contextlib.suppress(FileNotFoundError):
            trial.size = trial.outbox.stat().st_size
        with contextlib.suppress(FileNotFoundError), os.scandir(trial.folder / MEDIA) as entries:
            made = ((entry.name, entry.stat().st_mtime_ns) for entry in entries if "." not in entry.name)
            trial.files |= {f"{MEDIA}/{name}": made_ns for name, made_ns in made}
        return seen != (trial.size, trial.files)


def read_identity(folder: Path) -> tuple[str, str]:
    """The name and the id of the sweep in a folder that was run."""
    started = [event for event in log.read(folder / "sweep.jsonl")[0] if event["event"] == "started"]
    name = str(started[-1]["sweep"])
    return name, _sweep_id(name, started[0])


def _sweep_id(name: str, first: log.Event) -> str:
    text = f"{name} {first.get('host')} {first.get('pid')} {first['ts']}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _made(folder: Path, names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            found[name] = (folder / name).stat().st_mtime_ns
    return found

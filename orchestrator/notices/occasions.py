"""The occasions for notices of a sweep, found by reading its folder again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.command_line import format_command
from orchestrator.search_space.section import Level, Occasion
from orchestrator.state.history import History
from orchestrator.state.home import driver_note, home_option
from orchestrator.state.requests import read_controls
from orchestrator.state.sweep_state import FINISHED
from orchestrator.state.timekeeper import now_ms
from orchestrator.state.trial import RANKED, Trial, best_trial
from reports import vocabulary as words

MAX_REASON = 300
"""The longest reason in a notice, in characters."""
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Happening:
    """Something that has happened to a sweep.

    Attributes:
        key: identifies it among all happenings of the sweep, also when it is found again later.
        occasion: its kind.
        level: how bad it is.
        title: a few words.
        text: one or two lines.
        ts: when it happened, in milliseconds since 1970.
    """

    key: str
    occasion: Occasion
    level: Level
    title: str
    text: str
    ts: int


class Watch:
    """Finds what happens to a sweep."""

    def __init__(self, folder: Path, clock_ms: Callable[[], int] = now_ms) -> None:
        """Read nothing yet.

        Args:
            folder: the sweep's folder.
            clock_ms: returns the milliseconds since 1970.
        """
        self._folder = folder
        self._clock_ms = clock_ms
        self._history = History(folder)
        self._progress_ms = clock_ms()
        self._best: tuple[int, float | None] | None = None

    def look(self) -> Iterator[Happening]:
        """Read what is new, and yield what has happened; what happened before may come once more."""
        changed = self._history.refresh()
        if changed or not self._history.started:
            self._progress_ms = self._clock_ms()
        if not self._history.started:
            return
        for number in sorted(changed):
            trial = self._history.trials[number]
            if trial.outcome in (words.OUTCOME_FAILED, words.OUTCOME_DIVERGED):
                yield self._describe_failure(trial)
        yield from self._find_suspects()
        if changed:
            yield from self._find_best()
        yield from self._find_end()

    def find_stall(self, minutes: float) -> Happening | None:
        """Return that no epoch has ended for some minutes; None if one has, or the sweep is paused by hand."""
        quiet_ms = self._clock_ms() - self._progress_ms
        if quiet_ms < minutes * MINUTE_MS or not self.is_open:
            return None
        note = driver_note(self._folder)
        if note is None or read_controls(self._folder).paused:
            return None
        reason = str(note.get("paused") or f"{words.amount(len(self._history.unfinished), 'trial')} unfinished")
        return Happening(
            f"stalled/{self._progress_ms}",
            "stalled",
            "warning",
            f"{self._folder.name}: stalled",
            f"No epoch has ended for {quiet_ms / MINUTE_MS:.0f} min: {reason}\n{self._command('status')}",
            self._clock_ms(),
        )

    @property
    def is_open(self) -> bool:
        """Whether the sweep has started, and its driver has not written that it has ended."""
        return bool(self._history.started) and not self._history.closed

    def note_death(self) -> None:
        """Note if the driver has died without an event; the next look finds it."""
        if self.is_open and self._history.driver_is_dead():
            self._history.lose_driver()

    def _describe_failure(self, trial: Trial) -> Happening:
        name = f"{self._folder.name}/{trial.number}"
        reason = " ".join(trial.reason.split())[:MAX_REASON]
        text = (
            f"{trial.arm}, after {words.amount(trial.epochs, 'epoch')}: {reason}\n{self._command('why', trial.number)}"
        )
        key = f"failed/{trial.number}/{trial.ends}"
        return Happening(key, "failed", "warning", f"{name}: {trial.outcome}", text, trial.ended_ms or 0)

    def _find_suspects(self) -> Iterator[Happening]:
        for event in self._history.suspects:
            occasion: Occasion = "stalled" if event.fault == "slow" else "failed"
            title = f"{self._folder.name}: a machine is {event.fault}"
            yield Happening(
                f"machine/{event.machine}/{event.ts}", occasion, "warning", title, event.text[:MAX_REASON], event.ts
            )

    def _find_best(self) -> Iterator[Happening]:
        """Yield the best trial of all that have ended, if it is another one than at the last look."""
        ended = [trial for trial in self._history.best_trials() if trial.outcome in RANKED]
        best = best_trial(ended, self._history.objective)
        if best is None or (self._best is not None and self._best[0] == best.number):
            return
        before = f" (before: trial {self._best[0]}, {self._best[1]:.4g})" if self._best else ""
        self._best = best.number, best.best_value
        text = f"{self._describe_trial(best)}{before}\n{self._command('compare')}"
        key = f"best/{best.number}/{best.ends}"
        title = f"{self._folder.name}/{best.number}: the best so far"
        yield Happening(key, "best", "info", title, text, best.ended_ms or 0)

    def _find_end(self) -> Iterator[Happening]:
        closed = self._history.closed
        if closed is None:
            return
        counts = ", ".join(f"{count} {status}" for status, count in self._history.statuses().items() if count)
        parts = [f"{words.amount(len(self._history.trials), 'trial')}: {counts or 'none'}"]
        if closed.reason:
            parts.append(" ".join(closed.reason.split())[:MAX_REASON])
        ended = [trial for trial in self._history.best_trials() if trial.outcome in RANKED]
        if (best := best_trial(ended, self._history.objective)) is not None:
            parts.append(f"best: {self._describe_trial(best)}")
        level: Level = "error"
        if closed.outcome == FINISHED:
            level = "info"
        elif closed.outcome == words.OUTCOME_INTERRUPTED and not closed.late:
            level = "warning"
        text = f"{'. '.join(parts)}\n{self._command('report' if closed.outcome == FINISHED else 'resume')}"
        yield Happening(f"ended/{closed.ts}", "ended", level, f"{self._folder.name}: {closed.outcome}", text, closed.ts)

    def _describe_trial(self, trial: Trial) -> str:
        return f"trial {trial.number} ({trial.arm}), {self._history.objective.metric} {trial.best_value:.4g}"

    def _command(self, verb: str, number: int | None = None) -> str:
        """Return the command that a notice suggests."""
        name = self._folder.name if number is None else f"{self._folder.name}/{number}"
        return format_command(verb, name, *home_option(self._folder.parent))

"""How a sweep stands, read from its folder alone: while its driver runs or after it, without Ray and torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.state.curve import Objective
from orchestrator.state.events import now_ms
from orchestrator.state.home import driver_note, find_sweep
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial, best_trial
from orchestrator.tracking import sender
from reports import vocabulary as words

WAITING = "waiting"
STOPPED = "stopped"
PAUSED = "paused"
MIXED_CODE = "* Its trials ran on different code."
"""What a star behind an arm's name means."""


@dataclass(frozen=True)
class Standing:
    """A sweep and its trials as they are now.

    Attributes:
        driver: who drives it (`host`, `pid`, `paused`); None if nobody does.
        tracking: what the process that sends to MLflow last said.
    """

    ledger: Ledger
    driver: dict[str, Any] | None
    tracking: dict[str, Any]

    @property
    def name(self) -> str:
        return self.ledger.folder.name

    @property
    def started(self) -> Mapping[str, Any]:
        """What the last driver wrote at its start."""
        return self.ledger.started

    @property
    def objective(self) -> Objective:
        """The metric that orders the trials."""
        return self.ledger.objective

    @property
    def state(self) -> str:
        """`running`, `paused`, `finished`, `interrupted` or `failed`."""
        if self.driver is not None:
            return PAUSED if self.driver.get("paused") else words.OUTCOME_RUNNING
        closed = self.ledger.closed
        return closed.outcome if closed else words.OUTCOME_INTERRUPTED

    @property
    def reason(self) -> str:
        """Why it does not run, as far as that is known."""
        if self.driver is not None:
            return str(self.driver.get("paused", ""))
        closed = self.ledger.closed
        return closed.reason if closed else "its driver died without a word"

    def state_of(self, trial: Trial) -> str:
        """How a trial stands: its outcome, or `running`, `waiting`, `stopped`, `interrupted`."""
        if trial.outcome is not None:
            return trial.outcome
        if self.driver is None:
            return words.OUTCOME_INTERRUPTED
        if trial.held:
            return STOPPED
        return words.OUTCOME_RUNNING if trial.number in self.ledger.live else WAITING

    def best_of(self, trials: Iterable[Trial]) -> Trial | None:
        """Return the best of some trials, the first of equals; None if no trial can be the best."""
        return best_trial(trials, self.objective)

    def best_trials(self) -> dict[int, Trial]:
        """Each arm's best trial, by number."""
        return {best.number: best for best in self.ledger.best_trials()}

    def trial(self, number: int) -> Trial:
        """A trial by its number.

        Raises:
            UserError: there is none.
        """
        trials = self.ledger.trials
        if number not in trials:
            hint = f"it has 1 to {max(trials)}" if trials else "it has none yet"
            raise UserError(f"{self.name} has no trial {number}; {hint}")
        return trials[number]

    def has_mixed_code(self, arm: str) -> bool:
        """Whether an arm's trials ran on different code."""
        return len(self.ledger.tally(arm).codes) > 1

    def report_age_s(self, trial: Trial) -> float | None:
        """Seconds since a trial's last report."""
        last_ms = trial.curve.last_ms
        return None if last_ms is None else (now_ms() - last_ms) / 1000


def look(home: Path, name: str | None) -> Standing:
    """How a sweep stands; without a name, the one that wrote last.

    Raises:
        UserError: there is none.
    """
    folder = find_sweep(home, name)
    ledger = Ledger(folder, read_only=True)
    if not ledger.started:
        raise UserError(f"{folder.name}: nothing of it has started yet")
    return Standing(ledger, driver_note(folder), sender.status(folder))


def find_trial(home: Path, trial_reference: str) -> tuple[Standing, Trial]:
    """The trial that `NAME/7` names.

    Raises:
        UserError: there is no such sweep or trial.
    """
    name, slash, number = trial_reference.rpartition("/")
    if not slash or not number.isdecimal():
        raise UserError(
            f"{trial_reference}: give a sweep and the number of a trial, such as {name or trial_reference}/7"
        )
    standing = look(home, name)
    return standing, standing.trial(int(number))

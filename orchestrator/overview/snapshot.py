"""The state of a sweep, read from its folder alone while its driver runs or afterwards, without Ray and torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError
from orchestrator.state.curve import Objective
from orchestrator.state.home import driver_note, find_sweep
from orchestrator.state.ledger import Ledger
from orchestrator.state.timekeeper import now_ms
from orchestrator.state.trial import Trial, best_trial
from orchestrator.tracking import sender
from reports import vocabulary as words

WAITING = "waiting"
STOPPED = "stopped"
PAUSED = "paused"
MIXED_CODE = "* Its trials ran on different code."
"""The meaning of a star after an arm's name."""


@dataclass(frozen=True)
class Snapshot:
    """A sweep and its trials at one moment.

    Attributes:
        ledger: the trials and events of the sweep, read-only.
        driver: the process that runs the sweep (`host`, `pid`, and `paused` with a reason); None if it does not run.
        tracking: the last status of the process that sends to MLflow; empty before the first.
    """

    ledger: Ledger
    driver: dict[str, Any] | None
    tracking: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the sweep."""
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
        """Why the sweep is paused or does not run; empty if it runs or is finished."""
        if self.driver is not None:
            return str(self.driver.get("paused", ""))
        closed = self.ledger.closed
        return closed.reason if closed else "its driver died and gave no reason"

    def state_of(self, trial: Trial) -> str:
        """Return the outcome of a trial or, while it has none, `running`, `waiting`, `stopped` or `interrupted`."""
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
        """Return the best trial of each arm, by its number."""
        return {best.number: best for best in self.ledger.best_trials()}

    def trial(self, number: int) -> Trial:
        """Return the trial with this number.

        Raises:
            UserError: there is no such trial.
        """
        trials = self.ledger.trials
        if number not in trials:
            hint = f"it has 1 to {max(trials)}" if trials else "it has none yet"
            raise UserError(f"{self.name} has no trial {number}; {hint}")
        return trials[number]

    def has_mixed_code(self, arm: str) -> bool:
        """Return whether an arm's trials ran on different code."""
        return len(self.ledger.tally(arm).codes) > 1

    def report_age_s(self, trial: Trial) -> float | None:
        """Return the seconds since a trial's last report; None before the first."""
        last_ms = trial.curve.last_ms
        return None if last_ms is None else (now_ms() - last_ms) / 1000


def read_snapshot(home: Path, name: str | None) -> Snapshot:
    """Read the state of a sweep from its folder.

    Args:
        home: the folder of all sweeps.
        name: the sweep; None for the one whose log changed last.

    Raises:
        UserError: there is no such sweep, or its driver has not started it yet.
    """
    folder = find_sweep(home, name)
    ledger = Ledger(folder, read_only=True)
    if not ledger.started:
        raise UserError(f"{folder.name}: it has not started yet; wait until its driver has prepared it")
    return Snapshot(ledger, driver_note(folder), sender.status(folder))


def find_trial(home: Path, trial_reference: str) -> tuple[Snapshot, Trial]:
    """Return the sweep and the trial that a reference such as `vae/7` names.

    Raises:
        UserError: the reference has another form, or there is no such sweep or trial.
    """
    name, slash, number = trial_reference.rpartition("/")
    if not slash or not number.isdecimal():
        example = f"vae/{trial_reference}" if trial_reference.isdecimal() else f"{name or trial_reference}/7"
        raise UserError(f"{trial_reference}: give a sweep and the number of a trial, such as {example}")
    snapshot = read_snapshot(home, name)
    return snapshot, snapshot.trial(int(number))

"""The sentences about why a sweep stopped, and the command that resumes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.command_line import format_command
from orchestrator.state.budget import Budget
from orchestrator.state.home import home_option
from orchestrator.state.ledger import Ledger

if TYPE_CHECKING:
    from orchestrator.driver.controller import Engine
    from orchestrator.policy.agenda import Agenda
    from orchestrator.search_space.reader import Sweep


@dataclass(frozen=True)
class StopMessages:
    """Writes the sentences about the end of one sweep.

    Attributes:
        sweep: the search space.
        home: the folder of all sweeps.
        ledger: the state of the sweep.
    """

    sweep: Sweep
    home: Path
    ledger: Ledger

    @property
    def hours_line(self) -> str:
        """The sentence for a sweep that has spent its `budget.hours`."""
        hours = Budget(self.sweep, self.ledger).hours or 0
        command = self._resume("--hours", "+1")
        return f"Sweep {self.sweep.name} has spent its budget.hours of {hours:g}; {command} gives it one more."

    @property
    def gpu_line(self) -> str:
        """The sentence for a sweep that has spent its `budget.gpu_hours` or its `budget.cost`; "" without either."""
        budget = self.sweep.space.budget
        limit_s = Budget(self.sweep, self.ledger).gpu_seconds
        if limit_s is None:
            return ""
        by_hours = budget.gpu_hours is not None and limit_s == budget.gpu_hours * 3600
        key = "gpu_hours" if by_hours else "cost"
        limit = getattr(budget, key) or 0
        what = "" if by_hours else f" ({limit_s / 3600:g} GPU-hours at {budget.price_per_gpu_hour:g})"
        command = self._resume("--set", f"budget.{key}={2 * limit:g}")
        return f"Sweep {self.sweep.name} has spent its budget.{key} of {limit:g}{what}; {command} continues it."

    def ask_for_votes(self, agenda: Agenda) -> str:
        """Return the sentence for a sweep whose trials wait for the votes of listeners."""
        unheard = [str(trial.number) for trial in agenda.hearing.unheard()]
        listen = format_command("listen", self.sweep.name, "--method", "prefer", *home_option(self.home))
        trials = f"trial {unheard[0]} waits" if len(unheard) == 1 else f"trials {', '.join(unheard)} wait"
        return (
            f"Sweep {self.sweep.name} waits for listeners: {trials} for votes. Collect some with  {listen}  and "
            f"continue with  {self._resume()}"
        )

    @property
    def resume_line(self) -> str:
        """The sentence with the command that resumes the sweep."""
        return f"Nothing that was recorded is lost. Continue with: {self._resume()}"

    def explain_stop(self, engine: Engine) -> str:
        """Return why the sweep stopped before everything was done; an empty string if everything is done."""
        agenda = engine.agenda
        if agenda.is_done():
            return ""
        if engine.stop_reason:
            return engine.stop_reason
        lines = [f"Trial {trial.number} was stopped by hand." for trial in agenda.held_trials()]
        for arm, trial in agenda.paused_arms().items():
            times = self.sweep.space.limits.max_same_errors
            lines.append(
                f"{arm} is paused: its last {times} trials failed alike, {trial.reason}. Correct the code and resume, "
                f"or try them again as they are: {self._resume('--retry-failed')}"
            )
        if agenda.hearing.unheard():
            lines.append(self.ask_for_votes(agenda))
        log = self.ledger.folder / "driver.log"
        return "\n".join(lines) or f"Ray ended before the sweep did; see {log}"

    def _resume(self, *options: str) -> str:
        return format_command("resume", self.sweep.name, *options, *home_option(self.home))

"""How much an arm is to run: what its search space says, and what `orchestrate resume` has added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.state.ledger import Ledger
from orchestrator.state.sweep_state import Grant

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep


class Budget:
    """The larger of the two, so that neither takes back what the other gave."""

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        self._said = sweep.space.budget
        self._confirm = sweep.space.confirm
        self._granted = ledger.granted

    def _of(self, arm: str) -> Grant:
        return self._granted.get(arm, Grant())

    def trials(self, arm: str) -> int:
        """Trials of an arm's search."""
        return max(self._said.trials, self._of(arm).trials)

    def confirmed(self, arm: str) -> int:
        """Trials of its confirm stage."""
        return min(self._confirm.top, self.trials(arm)) * self._confirm.seeds if self._confirm else 0

    def epochs(self, arm: str) -> int:
        """Epochs of a trial that nothing stops."""
        return max(self._said.max_epochs, self._of(arm).epochs)

    @property
    def hours(self) -> float | None:
        """Hours that the sweep may take in all; None for as long as it takes."""
        return None if self._said.hours is None else max(self._said.hours, self._of("").hours)

"""Machines on which epochs take much longer than on others."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

SLOW_TIMES = 3.0
"""A machine is slow if its epochs take more than this many times as long as on other machines."""
MIN_EPOCHS, MIN_TRIALS = 5, 2
"""So many epochs of so many trials are needed on both sides: one trial may be slow by its parameters."""
LAST_EPOCHS = 20
"""The number of epochs of each arm on each machine that count."""


@dataclass
class _Epochs:
    """The last epochs of an arm on a machine: their seconds, and the trials they are of."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=LAST_EPOCHS))
    trials: set[int] = field(default_factory=set)

    @property
    def are_enough(self) -> bool:
        return len(self.seconds) >= MIN_EPOCHS and len(self.trials) >= MIN_TRIALS


class Stragglers:
    """Compares the machines by the time of the epochs of each arm."""

    def __init__(self) -> None:
        """Know of no epoch yet."""
        self._by_arm: dict[str, dict[str, _Epochs]] = {}
        self._named: set[str] = set()

    def note_epoch(self, machine: str, arm: str, trial: int, seconds: float) -> tuple[float, float] | None:
        """Note an epoch that was trained on a machine.

        Args:
            machine: Ray's id of it; "" if it is not known.
            arm: the trial's arm: only epochs of one arm are compared.
            trial: its number.
            seconds: how long the epoch took.

        Returns:
            The median seconds there and elsewhere if this is the first sign that the machine is slow, else None.
        """
        if not machine or machine in self._named:
            return None
        by_machine = self._by_arm.setdefault(arm, {})
        own = by_machine.setdefault(machine, _Epochs())
        own.seconds.append(seconds)
        own.trials.add(trial)
        if not own.are_enough:
            return None
        others = [median(epochs.seconds) for key, epochs in by_machine.items() if key != machine and epochs.are_enough]
        here_s = median(own.seconds)
        if not others or here_s <= SLOW_TIMES * median(others):
            return None
        self._named.add(machine)
        return here_s, median(others)

"""Machines on which epochs take much longer than on others."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

SLOW_TIMES = 3.0
"""A machine is slow if its epochs take more than this many times as long as on other machines."""
MIN_EPOCHS, MIN_TRIALS = 5, 2
"""This many epochs of this many trials are needed on both sides: one trial may be slow by its parameters."""
CERTAIN_TRIALS = 4
"""A machine is certainly slow if this many of its last trials were slow there, and none was not."""
LAST_EPOCHS, LAST_TRIALS = 10, 8
"""The epochs of a trial, and the trials of each arm on each machine, that count."""


@dataclass(frozen=True)
class Slowness:
    """How slow a machine is.

    Attributes:
        here_s: the seconds that an epoch of a typical trial takes there.
        elsewhere_s: the same on a typical other machine.
        is_certain: whether each of the machine's last trials, at least `CERTAIN_TRIALS`, was slow.
    """

    here_s: float
    elsewhere_s: float
    is_certain: bool


@dataclass
class _Epochs:
    """The seconds of the last epochs of an arm's trials on a machine, by trial; the newest trial is the last one."""

    by_trial: dict[int, deque[float]] = field(default_factory=dict)

    def add(self, trial: int, seconds: float) -> None:
        """Add an epoch of a trial."""
        own = self.by_trial.pop(trial, None) or deque[float](maxlen=LAST_EPOCHS)
        own.append(seconds)
        self.by_trial[trial] = own
        if len(self.by_trial) > LAST_TRIALS:
            del self.by_trial[next(iter(self.by_trial))]

    @property
    def are_enough(self) -> bool:
        num_epochs = sum(map(len, self.by_trial.values()))
        return num_epochs >= MIN_EPOCHS and len(self.by_trial) >= MIN_TRIALS

    @property
    def trials_s(self) -> list[float]:
        """The median seconds of each trial's epochs: a trial with many epochs counts once."""
        return [median(seconds) for seconds in self.by_trial.values()]


class Stragglers:
    """Compares the machines by the time of the epochs of each arm."""

    def __init__(self) -> None:
        """Know of no epoch yet."""
        self._by_arm: dict[str, dict[str, _Epochs]] = {}
        self._is_certain: dict[str, bool] = {}

    def note_epoch(self, machine: str, arm: str, trial: int, seconds: float) -> Slowness | None:
        """Note an epoch that was trained on a machine.

        Args:
            machine: Ray's id of it; "" if it is not known.
            arm: the trial's arm: only epochs of one arm are compared.
            trial: its number.
            seconds: how long the epoch took.

        Returns:
            How slow the machine is, once when there are first signs of it, and once when it is certain; else None.
        """
        if not machine or self._is_certain.get(machine):
            return None
        by_machine = self._by_arm.setdefault(arm, {})
        own = by_machine.setdefault(machine, _Epochs())
        own.add(trial, seconds)
        others = [
            median(epochs.trials_s)
            for other, epochs in by_machine.items()
            if other != machine and epochs.are_enough and not self._is_certain.get(other)
        ]
        if not own.are_enough or not others:
            return None
        here_s, elsewhere_s = median(own.trials_s), median(others)
        is_certain = len(own.trials_s) >= CERTAIN_TRIALS and min(own.trials_s) > SLOW_TIMES * elsewhere_s
        if here_s <= SLOW_TIMES * elsewhere_s or self._is_certain.get(machine) is is_certain:
            return None
        self._is_certain[machine] = is_certain
        return Slowness(here_s, elsewhere_s, is_certain)

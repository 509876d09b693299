"""The time for which trials have held GPUs, where `budget.gpu_hours` or `budget.cost` limits it."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable

from orchestrator.state.events.sweep import Spent
from orchestrator.state.ledger import Ledger

WRITE_S = 60.0
"""The time between two entries in the sweep's log: at most this much is not counted if a driver is killed."""


class GpuMeter:
    """Adds up the GPU-seconds of running tasks, and stops the sweep when all are spent.

    A task that holds a quarter of a GPU for a minute has spent 15 s.
    """

    def __init__(
        self,
        ledger: Ledger,
        limit_s: float | None,
        count_gpus: Callable[[], float],
        stop: Callable[[], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to measure.

        Args:
            ledger: the state of the sweep, with what earlier drivers have measured.
            limit_s: the seconds that the sweep may spend in all; None without a limit, which measures nothing.
            count_gpus: returns how many GPUs the running tasks hold.
            stop: is called as soon as the limit is reached.
            clock_s: returns the time in seconds.
        """
        self._ledger = ledger
        self._limit_s = limit_s
        self._count_gpus = count_gpus
        self._stop = stop
        self._clock_s = clock_s
        self._looked_s = self._written_s = clock_s()
        self._unwritten_s = 0.0

    def look(self) -> None:
        """Add the time since the last look; it is called several times a second."""
        if self._limit_s is None:
            return
        now_s = self._clock_s()
        self._unwritten_s += self._count_gpus() * (now_s - self._looked_s)
        self._looked_s = now_s
        is_spent = self._ledger.gpu_seconds + self._unwritten_s >= self._limit_s
        if is_spent or now_s - self._written_s > WRITE_S:
            self.write()
        if is_spent:
            self._stop()

    def write(self) -> None:
        """Write what is not in the log yet; on a full disk it is kept for the next time."""
        self._written_s = self._looked_s
        if not self._unwritten_s:
            return
        try:
            self._ledger.write(Spent(gpu_s=round(self._unwritten_s, 3)))
        except OSError as error:
            # A full disk pauses the sweep; raised in Tune's loop, it would end it as an error of Ray.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        else:
            self._unwritten_s = 0.0

"""Prometheus metrics of a running sweep, through Ray, which exports them with its own on every machine.

Ray puts `ray_` before each name: `orchestrate_trials` is scraped as `ray_orchestrate_trials`. Without the package
ray[default], and where Ray refuses a metric, nothing is exported, and the sweep runs on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.state.ledger import Ledger
from orchestrator.tracking import sender

EVERY_S = 5.0
"""The time between two updates; Ray itself exports a few seconds later."""
GAUGES = {
    "orchestrate_trials": ("trials by arm and state", ("sweep", "arm", "state")),
    "orchestrate_epochs": ("epochs that the trials of an arm have trained", ("sweep", "arm")),
    "orchestrate_best_value": ("the objective of an arm's best trial", ("sweep", "arm", "metric")),
    "orchestrate_slots": ("trials that can run at once", ("sweep",)),
    "orchestrate_slots_used": ("trials that run now", ("sweep",)),
    "orchestrate_waiting": ("1 while the sweep is paused, else 0", ("sweep",)),
    "orchestrate_mlflow_lag_lines": ("lines of outboxes that MLflow does not have yet", ("sweep",)),
}
"""By name, the description and the labels of each metric; all of them are gauges."""


@dataclass(frozen=True)
class Sample:
    """The value of a metric for one combination of its labels."""

    name: str
    labels: dict[str, str]
    value: float


class SweepMetrics:
    """Publishes the state of a sweep every few seconds.

    Attributes:
        ledger: the state of the sweep.
    """

    def __init__(
        self,
        ledger: Ledger,
        count_slots: Callable[[], int],
        count_used: Callable[[], int],
        is_waiting: Callable[[], bool],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Publish nothing yet.

        Args:
            ledger: the state of the sweep.
            count_slots: returns how many trials can run at once.
            count_used: returns how many trials run.
            is_waiting: returns whether the sweep is paused.
            clock_s: returns the time in seconds.
        """
        # Imported here: most modules of this package are used without Ray.
        from ray.util.metrics import Gauge

        self.ledger = ledger
        self._count_slots = count_slots
        self._count_used = count_used
        self._is_waiting = is_waiting
        self._clock_s = clock_s
        self._looked_s = float("-inf")
        self._gauges = {name: Gauge(name, what, tag_keys=labels) for name, (what, labels) in GAUGES.items()}

    def look(self) -> None:
        """Publish the current values, if the last time is long ago; it is called several times a second."""
        now_s = self._clock_s()
        if now_s - self._looked_s < EVERY_S:
            return
        self._looked_s = now_s
        try:
            for sample in self.samples():
                self._gauges[sample.name].set(sample.value, sample.labels)
        except (OSError, RuntimeError, ValueError) as error:
            # Ray refuses the values, or a file can't be read: nothing that watches a sweep may end it.
            logging.getLogger("ray").warning("metrics of the sweep could not be published: %s", error)

    def samples(self) -> Iterator[Sample]:
        """Yield the current values; the time for it grows with the arms, and not with the trials."""
        ledger = self.ledger
        sweep = {"sweep": ledger.folder.name}
        for arm, tally in list(ledger.tallies.items()):
            labels = {**sweep, "arm": arm}
            for state, number in dict(tally.statuses).items():
                yield Sample("orchestrate_trials", {**labels, "state": state}, number)
            yield Sample("orchestrate_epochs", labels, tally.epochs)
            if tally.best is not None and tally.best.best_value is not None:
                metric = {**labels, "metric": ledger.objective.metric}
                yield Sample("orchestrate_best_value", metric, tally.best.best_value)
        yield Sample("orchestrate_slots", sweep, self._count_slots())
        yield Sample("orchestrate_slots_used", sweep, self._count_used())
        yield Sample("orchestrate_waiting", sweep, float(self._is_waiting()))
        lag = sender.status(ledger.folder).get("backlog")
        if isinstance(lag, int | float):
            yield Sample("orchestrate_mlflow_lag_lines", sweep, lag)

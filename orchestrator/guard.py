"""Why a trial is stopped although nothing crashed, in words."""

from __future__ import annotations

import contextlib
import math
import signal
from collections.abc import Iterator, Mapping

from reports import vocabulary as words


def divergence(metrics: Mapping[str, float], objective: str) -> dict[str, str] | None:
    """The cause and the reason, if an epoch's metrics say that the training has gone wrong.

    Args:
        metrics: what the epoch reported.
        objective: the metric that orders trials; it must be there and be a number.
    """
    for name in ("train/loss", "val/loss", objective):
        value = metrics.get(name)
        if value is None and name == objective:
            return {"cause": words.CAUSE_NONFINITE, "reason": f"the trainable did not report {name}"}
        if value is not None and not math.isfinite(value):
            norm = metrics.get("train/grad_norm")
            after = "" if norm is None else f" (gradient norm {norm:.3g})"
            return {"cause": words.CAUSE_NONFINITE, "reason": f"{name} became {value}{after}"}
    return None


class TooSlow(Exception):
    """An epoch took longer than its search space allows."""


@contextlib.contextmanager
def time_limit(minutes: float | None) -> Iterator[None]:
    """Raise `TooSlow` in the block, at Python's next instruction, once it has taken so long. For the main thread."""
    if minutes is None:
        yield
        return

    def expire(number: int, frame: object) -> None:
        raise TooSlow(f"no epoch within limits.minutes_per_epoch ({minutes:g})")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

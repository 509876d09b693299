"""Why a trial is stopped although nothing crashed, in words."""

from __future__ import annotations

import contextlib
import faulthandler
import math
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import IO, Any

from orchestrator.storage import json_lines
from reports import vocabulary as words

LOSSES = ("train/loss", "val/loss")
FINITE = (*LOSSES, "train/grad_norm")
MAX_NONFINITE_STEPS = 3
"""A trainable may leave out a step whose gradient isn't finite; more of them in an epoch are no accident."""
MIN_RANGE_EPOCHS = 3
"""Epochs before it can be said how far a loss usually goes."""
MIN_VARIATION = 1e-4
TOLD = {"train/min_sigma": "smallest σ", "train/grad_norm": "gradient norm"}
"""What is told with every divergence, where the trainable reports it."""
HANG_GRACE_S = 10.0
"""What doesn't hear the time limit's exception, since it hangs in C, is ended so much later."""


@dataclass(frozen=True)
class Guard:
    """Looks at every epoch of a trial.

    Attributes:
        objective: the metric that orders trials; it must be there and be a number.
        blowup: the loss may be so many times the median of the epochs before; None switches that off.
        collapsed_epochs: so many epochs in a row may have a constant output or a KL divergence of nothing, less one,
            unless the loss still falls.
    """

    objective: str
    blowup: float | None = 10
    collapsed_epochs: int | None = 3

    def divergence(
        self, metrics: Mapping[str, float], before: Sequence[json_lines.Line], state: Mapping[str, Any]
    ) -> dict[str, str] | None:
        """The cause and the reason, if the training has gone wrong.

        Args:
            metrics: what the epoch reported.
            before: the rows of the epochs before it.
            state: the trainable's `state_dict()`.
        """
        histories = {name: [row["metrics"][name] for row in before if name in row["metrics"]] for name in LOSSES}
        checks = (
            (words.CAUSE_NONFINITE, self._nonfinite(metrics) or _nonfinite_weights(state)),
            (words.CAUSE_BLOWUP, self._blowup(metrics, histories)),
            (words.CAUSE_COLLAPSE, self._collapse([*(row["metrics"] for row in before), metrics])),
        )
        for cause, reason in checks:
            if reason:
                measurements = [f"{called} {metrics[name]:.3g}" for name, called in TOLD.items() if name in metrics]
                return {"cause": cause, "reason": reason + (f" ({', '.join(measurements)})" if measurements else "")}
        return None

    def _nonfinite(self, metrics: Mapping[str, float]) -> str | None:
        if self.objective not in metrics:
            return f"the trainable did not report {self.objective}"
        for name in (*FINITE, self.objective):
            if not math.isfinite(metrics.get(name, 0.0)):
                return f"{name} became {metrics[name]}"
        left_out = metrics.get("train/nonfinite_steps", 0)
        return f"{left_out:.0f} steps had a gradient that isn't finite" if left_out > MAX_NONFINITE_STEPS else None

    def _blowup(self, metrics: Mapping[str, float], histories: Mapping[str, Sequence[float]]) -> str | None:
        for name, history in histories.items():
            if self.blowup is None or name not in metrics or not history:
                continue
            usual = median(history)
            limit = self.blowup * usual
            if min(history) <= 0:
                # A log-likelihood may be anywhere around zero; how far it may go is measured by how far it went.
                if len(history) < MIN_RANGE_EPOCHS:
                    continue
                limit = usual + self.blowup * (max(history) - min(history))
            if metrics[name] > limit:
                return f"{name} rose to {metrics[name]:.4g}, its median before was {usual:.4g}"
        return None

    def _collapse(self, epochs: Sequence[Mapping[str, float]]) -> str | None:
        if self.collapsed_epochs is None or len(epochs) < self.collapsed_epochs:
            return None
        last = epochs[-self.collapsed_epochs :]
        if _fell([metrics.get("train/loss", 0.0) for metrics in last]):
            # An untrained network's output hardly varies: first it learns the mean, then what differs.
            return None
        if all(metrics.get("val/active_units") == 0 for metrics in last):
            return f"no latent has carried anything for {len(last)} epochs (the KL divergence collapsed)"
        if all(metrics.get("val/variation", 1.0) < MIN_VARIATION for metrics in last):
            return f"the output has been the same for every clip for {len(last)} epochs"
        return None


def _fell(losses: Sequence[float]) -> bool:
    """Whether losses still fall, by a hundredth of their size or more."""
    return losses[0] - losses[-1] > 0.01 * max(map(abs, losses))


def _nonfinite_weights(state: Any, name: str = "") -> str | None:
    """The first tensor with a NaN or an infinity in it, by its place in the state."""
    import torch

    if isinstance(state, torch.Tensor):
        whole = not state.is_floating_point() or bool(torch.isfinite(state).all())
        return None if whole else f"{name} has values that are not finite"
    items = state.items() if isinstance(state, Mapping) else enumerate(state) if isinstance(state, list | tuple) else ()
    problems = (_nonfinite_weights(value, f"{name}.{key}" if name else str(key)) for key, value in items)
    return next(filter(None, problems), None)


class TooSlow(Exception):
    """Something took longer than its search space allows."""


@contextlib.contextmanager
def time_limit(
    minutes: float | None, output: IO[str] | None = None, *, what: str = "no epoch", times: float = 1
) -> Iterator[None]:
    """Raise `TooSlow` in the block, at Python's next instruction, once it has taken so many times the minutes that an
    epoch may take. For the main thread.

    A block that doesn't come back to Python by then is ended with its process, and its stack is written to `output`.
    """
    if minutes is None:
        yield
        return

    def expire(number: int, frame: object) -> None:
        multiple = f"{times:g} times " if times != 1 else ""
        raise TooSlow(f"{what} within {multiple}limits.minutes_per_epoch ({minutes:g})")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes * times)
    if output is not None:
        faulthandler.dump_traceback_later(60 * minutes * times + HANG_GRACE_S, exit=True, file=output)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()

"""Checks that stop a trial that has not crashed: divergence, collapse, and a limit of time."""

from __future__ import annotations

import contextlib
import faulthandler
import math
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import IO, Any

from orchestrator.storage import json_lines
from reports import vocabulary as words

LOSSES = ("train/loss", "val/loss")
FINITE = (*LOSSES, "train/grad_norm")
MAX_NONFINITE_STEPS = 3
"""The most steps of an epoch that a trainable may skip because their gradient is not finite."""
MIN_RANGE_EPOCHS = 3
"""The epochs that are needed to measure the usual range of a loss."""
MIN_VARIATION = 1e-4
"""The least `val/variation` of an output that counts as different between clips."""
MEASUREMENTS = {"train/min_sigma": "smallest σ", "train/grad_norm": "gradient norm"}
"""Metrics that the reason of every divergence includes if the trainable reports them, and their names there."""
HANG_GRACE_S = 10.0
"""How long after the time limit's exception a process is ended that hangs in C, where no exception is raised."""


@dataclass(frozen=True)
class Guard:
    """The checks of every epoch of a trial.

    Attributes:
        objective: the metric that orders trials, which every epoch has to report as a finite number.
        blowup: the trial diverged if a loss exceeds this many times its median over earlier epochs, or, where it can be
            negative, its median plus this many times its range; None turns this off.
        collapsed_epochs: the trial collapsed if so many epochs in a row had a constant output, a KL divergence of 0 or
            the same codes for every clip, while the training loss did not fall; None turns this off.
    """

    objective: str
    blowup: float | None = 10
    collapsed_epochs: int | None = 3

    def divergence(
        self, metrics: Mapping[str, float], before: Sequence[json_lines.Line], state: Mapping[str, Any]
    ) -> dict[str, str] | None:
        """Return the cause and the reason of a divergence; None if the training is sound.

        Args:
            metrics: the metrics of the epoch.
            before: the rows of the epochs before it.
            state: the trainable's `state_dict()`.
        """
        histories: dict[str, list[float]] = {}
        for name in LOSSES:
            histories[name] = [row["metrics"][name] for row in before if name in row["metrics"]]
        checks = (
            (words.CAUSE_NONFINITE, self._find_nonfinite_metric(metrics) or _find_nonfinite_weights(state)),
            (words.CAUSE_BLOWUP, self._find_blowup(metrics, histories)),
            (words.CAUSE_COLLAPSE, self._find_collapse([*(row["metrics"] for row in before), metrics])),
        )
        for cause, reason in checks:
            if reason:
                measured = [f"{label} {metrics[name]:.3g}" for name, label in MEASUREMENTS.items() if name in metrics]
                suffix = f" ({', '.join(measured)})" if measured else ""
                return {"cause": cause, "reason": reason + suffix}
        return None

    def _find_nonfinite_metric(self, metrics: Mapping[str, float]) -> str | None:
        """Return the reason if a metric is missing or not finite, or too many steps had no finite gradient."""
        if self.objective not in metrics:
            return f"the trainable did not report {self.objective}"
        for name in (*FINITE, self.objective):
            if not math.isfinite(metrics.get(name, 0.0)):
                return f"{name} became {metrics[name]}"
        skipped = metrics.get("train/nonfinite_steps", 0)
        return f"{skipped:.0f} steps had a gradient that isn't finite" if skipped > MAX_NONFINITE_STEPS else None

    def _find_blowup(self, metrics: Mapping[str, float], histories: Mapping[str, Sequence[float]]) -> str | None:
        """Return the reason if a loss rose far above its values in earlier epochs."""
        for name, history in histories.items():
            if self.blowup is None or name not in metrics or not history:
                continue
            usual = median(history)
            limit = self.blowup * usual
            if min(history) <= 0:
                # A loss that is a log-likelihood may be near 0 or negative, so its limit follows from its range.
                if len(history) < MIN_RANGE_EPOCHS:
                    continue
                limit = usual + self.blowup * (max(history) - min(history))
            if metrics[name] > limit:
                return f"{name} rose to {metrics[name]:.4g}, its median before was {usual:.4g}"
        return None

    def _find_collapse(self, epochs: Sequence[Mapping[str, float]]) -> str | None:
        """Return the reason if the last epochs had no active latent, one set of codes or a constant output.

        `epochs` are the metrics of all epochs.
        """
        if self.collapsed_epochs is None or len(epochs) < self.collapsed_epochs:
            return None
        last = epochs[-self.collapsed_epochs :]
        if _still_falls([metrics.get("train/loss", 0.0) for metrics in last]):
            # A network first learns the mean, so that its output hardly varies in the first epochs.
            return None
        if all(metrics.get("val/active_units") == 0 for metrics in last):
            return f"no latent has carried anything for {len(last)} epochs (the KL divergence collapsed)"
        if all(metrics.get("val/active_vectors") == 0 for metrics in last):
            return (
                f"every clip has had the same codes for {len(last)} epochs (the codebooks collapsed); try a smaller lr,"
                " or a larger commitment_weight"
            )
        if all(metrics.get("val/variation", 1.0) < MIN_VARIATION for metrics in last):
            return f"the output has been the same for every clip for {len(last)} epochs"
        return None


def _still_falls(losses: Sequence[float]) -> bool:
    """Return whether losses fall by more than a hundredth of their largest absolute value."""
    return losses[0] - losses[-1] > 0.01 * max(map(abs, losses))


def _find_nonfinite_weights(state: Any, name: str = "") -> str | None:
    """Return the reason if a tensor of a state has a NaN or an infinity; it names the first such tensor.

    Args:
        state: a tensor, or mappings and sequences of tensors and other values.
        name: the path of `state` in the whole state.
    """
    # Imported here because the driver imports this module, and does not need torch.
    import torch

    if isinstance(state, torch.Tensor):
        is_finite = not state.is_floating_point() or bool(torch.isfinite(state).all())
        return None if is_finite else f"{name} has values that are not finite"
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(state, Mapping):
        items = state.items()
    elif isinstance(state, list | tuple):
        items = enumerate(state)
    prefix = f"{name}." if name else ""
    problems = (_find_nonfinite_weights(value, f"{prefix}{key}") for key, value in items)
    return next(filter(None, problems), None)


class TooSlow(BaseException):
    """A trial's start, epoch or evaluation took longer than its search space allows.

    Not an `Exception`, because a trainable's `except Exception` must not swallow it: it is raised wherever the code is.
    """


@contextlib.contextmanager
def time_limit(
    minutes: float | None, output: IO[str] | None = None, *, what: str = "no epoch", times: float = 1
) -> Iterator[None]:
    """Raise `TooSlow` in the block once it has taken too long. It works in the main thread only.

    If the block hangs in C, where no exception can be raised, the whole process is ended and its stack written.

    Args:
        minutes: the time that an epoch may take; None for no limit.
        output: the file for the stack of a process that hangs; without one a process that hangs is not ended.
        what: what was not done in time, for the message.
        times: how many times `minutes` the block may take.
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

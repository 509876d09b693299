"""The metric that orders trials, and its values over the epochs of one."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.storage.json_lines import Line
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.schema import SearchSpace

TAKEN_OVER = 0
"""The attempt of epochs that another trial has trained; a trial's own attempts count from 1."""
Point = tuple[float, ...]
"""The values of all objectives in one epoch, each with the sign that makes the largest the best."""
Rank = tuple[int, float]
"""1 for a trial that trained to the end, −1 for one that diverged, else 0; then its best value, larger is better."""


@dataclass(frozen=True)
class Objective:
    """The metric that orders trials, and what an epoch has to meet to count.

    Attributes:
        metric: the name of the metric.
        mode: which way is better.
        constraints: bounds of other metrics, `min` and `max`, by metric; both bounds are included.
        beside: the modes of the further objectives that make a front with this one, by metric.
    """

    metric: str
    mode: Literal["min", "max"]
    constraints: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    beside: Mapping[str, Literal["min", "max"]] = field(default_factory=dict)

    @classmethod
    def of(cls, space: SearchSpace) -> Objective:
        """Return the objective of a search space."""
        chosen = space.objective
        return cls(chosen.metric, chosen.mode, chosen.plain_constraints(), chosen.beside)

    def to_record(self) -> dict[str, Any]:
        """Return the objective as the sweep log has it, from which `Objective(**record)` makes it again."""
        optional = {"constraints": dict(self.constraints), "beside": dict(self.beside)}
        return {"metric": self.metric, "mode": self.mode} | {key: part for key, part in optional.items() if part}

    @property
    def modes(self) -> dict[str, Literal["min", "max"]]:
        """The modes of all objectives by metric; the first one orders the trials."""
        return {self.metric: self.mode, **self.beside}

    def point_of(self, row: Line) -> Point | None:
        """Return the values of all objectives in an epoch, each with the sign that makes the largest the best.

        Returns:
            None if a value is missing, NaN or infinite.
        """
        values = [float(row["metrics"].get(name, math.nan)) for name in self.modes]
        if not all(map(math.isfinite, values)):
            return None
        return tuple(
            value if mode == "max" else -value for value, mode in zip(values, self.modes.values(), strict=True)
        )

    def is_feasible(self, row: Line) -> bool:
        """Return whether an epoch meets all constraints; a metric that is missing or NaN meets none."""
        for name, bounds in self.constraints.items():
            value = float(row["metrics"].get(name, math.nan))
            if not bounds.get("min", -math.inf) <= value <= bounds.get("max", math.inf):
                return False
        return True

    def is_better(self, value: float, than: float | None) -> bool:
        """Return whether a value beats another: NaN beats nothing, and every number beats None."""
        if math.isnan(value):
            return False
        return than is None or (value > than if self.mode == "max" else value < than)

    def best_of(self, rows: Iterable[Line]) -> Line | None:
        """Return the epoch with the best value, the earliest of equals; None if no epoch has a number."""
        best_row: Line | None = None
        best: float | None = None
        for row in rows:
            value = self.value_in(row)
            if self.is_better(value, best):
                best, best_row = value, row
        return best_row

    def value_in(self, row: Line) -> float:
        """Return the metric's value in a line of an outbox; NaN if it has none, or does not meet the constraints."""
        if not self.is_feasible(row):
            return math.nan
        return float(row["metrics"].get(self.metric, math.nan))

    def rank(self, stage: str, outcome: str | None, value: float | None) -> Rank | None:
        """Return what orders an arm's trials, the largest first; None if a trial can't be its arm's best.

        Completed trials come before pruned and running ones, and these before diverged ones.
        """
        if stage != words.STAGE_SEARCH or outcome == words.OUTCOME_FAILED or value is None or math.isnan(value):
            return None
        completeness = {words.OUTCOME_COMPLETED: 1, words.OUTCOME_DIVERGED: -1}.get(outcome or "", 0)
        return completeness, value if self.mode == "max" else -value


def describe_constraints(objective: Objective) -> str:
    """Return the constraints as text, such as `val/params_m ≤ 5, val/fvu ≥ 0.1 and ≤ 0.2`."""
    signs = {"min": "≥", "max": "≤"}
    texts = []
    for name, bounds in objective.constraints.items():
        texts.append(f"{name} {' and '.join(f'{signs[side]} {bound:g}' for side, bound in bounds.items())}")
    return ", ".join(texts)


def select_valid(lines: Iterable[Line], since: int) -> list[Line]:
    """Return the valid lines of an outbox: each epoch once, and last the divergence that ended them, if one did.

    Args:
        lines: the outbox, from its beginning or from some epoch on.
        since: the first attempt that counts; those before it were discarded when the trial was started over.
    """
    rows: list[Line] = []
    for line in lines:
        if "epoch" not in line or line["attempt"] < since:
            # The first line says whose outbox it is.
            continue
        if rows and "diverged" in rows[-1]:
            # A later attempt tried the epoch again.
            rows.pop()
        # A divergence also counts if its epoch has a row already: an epoch that was executed again diverged.
        if not rows or "diverged" in line or line["epoch"] > rows[-1]["epoch"]:
            rows.append(line)
    return rows


class Curve:
    """The objective over a trial's epochs, in 20 bytes an epoch; all other metrics stay in the outbox.

    Attributes:
        best_row: the outbox line of the best epoch; None before the first number.
        best_value: the objective in that epoch; None before the first number.
        trained_s: the duration of all epochs.
        taken_over_s: the duration of those that another trial has trained.
    """

    def __init__(self) -> None:
        self._epochs = array("i")
        self._times_ms = array("q")
        self._values = array("d")
        self.best_row: Line | None = None
        self.best_value: float | None = None
        self.trained_s = self.taken_over_s = 0.0

    @classmethod
    def restore(cls, values: Iterable[float | None], objective: Objective) -> Curve:
        """Return the curve with these values of the objective from epoch 1 on; None where an epoch has none."""
        curve = cls()
        for epoch, value in enumerate(values, 1):
            number = math.nan if value is None else value
            curve._epochs.append(epoch)
            curve._times_ms.append(0)
            curve._values.append(number)
            if objective.is_better(number, curve.best_value):
                curve.best_value = number
        return curve

    def __len__(self) -> int:
        return len(self._epochs)

    @property
    def spent_s(self) -> float:
        """The duration of the epochs that this trial has trained itself."""
        return self.trained_s - self.taken_over_s

    @property
    def last_epoch(self) -> int:
        """The newest epoch; 0 before the first."""
        return self._epochs[-1] if self._epochs else 0

    @property
    def last_ms(self) -> int | None:
        """The time at which the newest epoch ended; None before the first."""
        return self._times_ms[-1] if self._times_ms else None

    def values(self) -> list[float]:
        """Return the objective of every epoch; NaN where an epoch has none."""
        return self._values.tolist()

    def points(self, first: int, last: int) -> Iterator[tuple[int, float]]:
        """Yield (epoch, objective) from the epoch `first` to `last`, both included; NaN where an epoch has none."""
        part = slice(bisect_left(self._epochs, first), bisect_right(self._epochs, last))
        yield from zip(self._epochs[part], self._values[part], strict=True)

    def add(self, row: Line, objective: Objective) -> None:
        """Append the next epoch."""
        value = objective.value_in(row)
        self._epochs.append(row["epoch"])
        self._times_ms.append(row["ts"])
        self._values.append(value)
        duration_s = row["metrics"].get(words.EPOCH_S, 0.0)
        self.trained_s += duration_s
        self.taken_over_s += duration_s if row["attempt"] == TAKEN_OVER else 0.0
        if objective.is_better(value, self.best_value):
            self.best_row, self.best_value = row, value

    def best_so_far(self, objective: Objective) -> Iterator[tuple[int, int, float]]:
        """Yield (epoch, its time in ms, best value up to it), from the first epoch with a number on."""
        best: float | None = None
        for epoch, time_ms, value in zip(self._epochs, self._times_ms, self._values, strict=True):
            best = value if objective.is_better(value, best) else best
            if best is not None:
                yield epoch, time_ms, best

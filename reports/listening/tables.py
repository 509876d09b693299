"""What the results of a listening test consist of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from reports.listening.design import Design
from reports.listening.statistics import Estimate


@dataclass(frozen=True)
class Row:
    """A line of the results: the ratings or the strength of a system, or the ABX answers about a pair.

    Attributes:
        name: name of the system, or of both.
        estimate: mean rating, share of right answers or strength; None without answers.
        p: probability of this many right answers by guessing, adjusted over all pairs; None for ratings and strengths.
        median: median of the ratings of a MUSHRA test.
        share: share of the votes in which it was preferred, ties as half votes.
    """

    name: str
    estimate: Estimate | None
    p: float | None = None
    median: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class PairContrast:
    """The difference between two systems.

    Attributes:
        name: names of both.
        difference: mean rating or strength of the first minus that of the second.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        p: two-sided p value after Holm's adjustment for all pairs.
    """

    name: str
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class MetricAgreement:
    """How a metric orders the systems, compared with the listeners.

    Attributes:
        metric: name of the metric.
        tau: Kendall's τ-b of the metric and the listeners' scores; 1 is the same order, -1 the opposite one.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        count: number of systems.
    """

    metric: str
    tau: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Results:
    """The results of one test.

    Attributes:
        design: the test.
        rows: one row per system or pair (ABX).
        listeners: number of answers of each listener.
        left_out: one line for each excluded listener, with the reason.
        agreement: Krippendorff's alpha of the ratings; None for tests without ratings or without enough of them.
        metrics: MLflow metrics, by run id and name.
        contrasts: the differences between the systems; of MUSHRA and preference tests.
        metric_agreements: how each metric agrees with the listeners, the best first.
        remarks: further notes, one line each.
    """

    design: Design
    rows: tuple[Row, ...]
    listeners: dict[str, int]
    left_out: tuple[str, ...] = ()
    agreement: float | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    contrasts: tuple[PairContrast, ...] = ()
    metric_agreements: tuple[MetricAgreement, ...] = ()
    remarks: tuple[str, ...] = ()


def estimate_metrics(name: str, estimate: Estimate | None, noun: str) -> dict[str, float]:
    """Return the metrics of an estimate: its value, its interval and the number of answers.

    They are NaN without an estimate: when a listener is excluded, a value that was logged before can't be deleted.

    Args:
        name: name of the metric with the value.
        estimate: the estimate; None if no answer counts.
        noun: what is counted, such as `ratings`.
    """
    estimate = estimate or Estimate(math.nan, None, None, 0)
    low, high = (math.nan if end is None else end for end in (estimate.low, estimate.high))
    stem = name.removesuffix("_accuracy")
    return {name: estimate.value, f"{name}_low": low, f"{name}_high": high, f"{stem}_{noun}": float(estimate.count)}

"""How metrics and judges agree with the listeners about the order of the systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reports.listening.bootstrap import TAILS, Array
from reports.listening.design import ComparedMetric
from reports.listening.tables import MetricAgreement

LEAST_SYSTEMS = 3
"""With two systems Kendall's τ can only be 1 or -1."""


def kendall_tau(scores: Array, values: Array) -> Array:
    """Return Kendall's τ-b of each row of scores with the values; NaN where all scores or all values are equal.

    Args:
        scores: shape (replicates, systems).
        values: shape (systems,).
    """
    first, second = np.triu_indices(len(values), k=1)
    score_signs = np.sign(scores[:, first] - scores[:, second])
    value_signs = np.sign(values[first] - values[second])
    untied_pairs = (score_signs != 0).sum(axis=1) * (value_signs != 0).sum()
    with np.errstate(invalid="ignore"):
        tau: Array = (score_signs @ value_signs) / np.sqrt(untied_pairs.astype(float))
    return tau


def compare_metrics(
    metrics: Mapping[str, ComparedMetric], keys: Sequence[str], scores: Array, replicates: Array
) -> tuple[MetricAgreement, ...]:
    """Return the agreement of each metric with the listeners, the best first.

    The interval is of these systems with other listeners and clips; it does not say how the metric would order others.

    Args:
        metrics: the metrics.
        keys: keys of the systems.
        scores: the listeners' scores, shape (systems,).
        replicates: the scores in replicates of the test, shape (replicates, systems).
    """
    agreements = []
    for name, metric in metrics.items():
        columns = [column for column, key in enumerate(keys) if key in metric.values]
        if len(columns) < LEAST_SYSTEMS:
            continue
        sign = 1 if metric.mode == "max" else -1
        values = sign * np.array([metric.values[keys[column]] for column in columns])
        tau = float(kendall_tau(scores[None, columns], values)[0])
        resampled = kendall_tau(replicates[:, columns], values)
        if not np.isfinite(tau) or not np.isfinite(resampled).any():
            continue
        low, high = np.percentile(resampled[np.isfinite(resampled)], TAILS)
        agreements.append(MetricAgreement(name, tau, float(low), float(high), len(columns)))
    return tuple(sorted(agreements, key=lambda agreement: (-agreement.tau, -agreement.low, agreement.metric)))

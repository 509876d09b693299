"""Metrics that a search space adds by name, in the list `metrics:`.

A metric of sounds compares each rendered sound with its original:

    @register_metric("peak_error", of="sounds", mode="min", description="difference of the peaks")
    def peak_error(sounds, originals, rate_hz): return abs(sounds.max(axis=1) - originals.max(axis=1))

A metric of embeddings compares the distribution of generated clips with that of train clips; it is computed for every
judge. This module imports neither torch nor numpy: a search space is checked without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trainables.components.judges.plugin import Modality
from trainables.support.lazy_registry import LazyRegistry
from trainables.trainable import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Function = Callable[..., Any]

OWN_PROBABILITY = "val/judge_probability"
"""A trainable that has this metric is assessed by added judges and metrics, too."""
DISTANCES: Mapping[Modality, tuple[str, ...]] = {"sound": ("fad", "kad"), "picture": ("fid", "kid")}
"""The metrics of embeddings that every added judge has."""


@dataclass(frozen=True)
class Estimate:
    """A metric of embeddings with its uncertainty.

    Attributes:
        value: the metric.
        standard_error: the standard deviation that the value would have if other recordings were generated from, with
            the same trained model and the same train clips as reference; NaN if unknown.
    """

    value: float
    standard_error: float


class AddedMetric:
    """A registered metric.

    Attributes:
        of: `sounds` or `embeddings`.
        mode: `max` if larger values are better, `min` if smaller ones are.
        description: one line with the unit.
        function: of sounds: `(sounds, originals, rate_hz)` of shape (clips, samples) to a value a clip, NaN where the
            metric doesn't apply. Of embeddings: `(generated, reference, groups)` to an `Estimate`; `groups` has the
            number of each generated clip's recording.
    """

    def __init__(
        self,
        function: Function,
        of: Literal["sounds", "embeddings"],
        mode: Literal["min", "max"],
        description: str,
    ) -> None:
        # The registry refuses another module's part of the same name.
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.function = function
        self.of = of
        self.mode = mode
        self.description = description


@dataclass(frozen=True)
class MetricTraits:
    """What is known of a registered metric without its module."""

    of: Literal["sounds", "embeddings"]
    mode: Literal["min", "max"]
    description: str


METRICS: LazyRegistry[AddedMetric, MetricTraits] = LazyRegistry(
    "metric", "trainables.components.assessment.shipped_metrics", "register_metric", MetricTraits
)
"""Added metrics by name."""


def register_metric(
    name: str, *, of: Literal["sounds", "embeddings"], mode: Literal["min", "max"], description: str
) -> Callable[[Function], Function]:
    """Return a decorator that registers a function as a metric; the arguments are those of `AddedMetric`."""

    def add(function: Function) -> Function:
        METRICS.register(name)(AddedMetric(function, of, mode, description))
        return function

    return add


def describe_added(
    base: Mapping[str, Metric], judges: Iterable[str], names: Collection[str], modality: Modality
) -> dict[str, Metric]:
    """Return the metrics that added judges and metrics bring, by name.

    Args:
        base: the metrics of the trainable.
        judges: the names of the added judges.
        names: the names of the added metrics.
        modality: what the trials produce.

    Returns:
        The metrics that are not in `base`.
    """
    added: dict[str, Metric] = {}
    for judge in judges:
        added[f"val/{judge}_probability"] = Metric("max", "all", f"probability that {judge} gives to the true class")
        added[f"val/{judge}_accuracy"] = Metric("max", "all", f"fraction of recordings whose class {judge} recognizes")
        for name in dict.fromkeys([*DISTANCES[modality], *names]):
            if METRICS.traits(name).of == "embeddings":
                added |= _describe_distance(f"val/{judge}_{name}", METRICS.traits(name), f"by {judge}")
        added[f"val/{judge}_s"] = Metric("min", "all", f"seconds that {judge} took for the epoch's clips")
    for name in names:
        metric = METRICS.traits(name)
        if metric.of == "embeddings":
            added |= _describe_distance(f"val/{name}", metric, "by the corpus judge")
        else:
            added[f"val/{name}"] = Metric(metric.mode, "all", metric.description)
    return {name: metric for name, metric in added.items() if name not in base}


def _describe_distance(name: str, metric: MetricTraits, by: str) -> dict[str, Metric]:
    described = {name: Metric(metric.mode, "all", f"{metric.description}, {by}")}
    for bound in ("low", "high"):
        described[f"{name}_{bound}"] = Metric(metric.mode, "all", f"end of the 95 % interval of {name}")
    return described


def measure_embeddings(
    names: Iterable[str],
    prefix: str,
    generated: NDArray[np.float32],
    reference: NDArray[np.float32],
    groups: NDArray[np.int64],
) -> dict[str, float]:
    """Compute metrics of embeddings with their 95 % intervals.

    An interval covers the choice of the generated recordings only: neither that of the train clips nor another seed.

    Args:
        names: of the metrics; those of sounds are left out.
        prefix: of the names in the result.
        generated: embeddings of generated clips.
        reference: embeddings of train clips.
        groups: the number of each generated clip's recording.

    Returns:
        For each metric its value and the ends of the interval, which are NaN where they can't be computed.
    """
    import numpy as np

    measured = {}
    for name in names:
        if METRICS[name].of == "embeddings":
            # A model that has diverged gives embeddings that are not finite.
            is_measurable = min(len(generated), len(reference)) >= 2 and bool(np.isfinite(generated).all())
            estimate = Estimate(math.nan, math.nan)
            if is_measurable:
                estimate = METRICS[name].function(generated, reference, groups)
            margin = 1.96 * estimate.standard_error
            measured[f"{prefix}{name}"] = estimate.value
            measured[f"{prefix}{name}_low"] = estimate.value - margin
            measured[f"{prefix}{name}_high"] = estimate.value + margin
    return measured


def measure_sounds(
    names: Iterable[str], sounds: NDArray[np.float32], originals: NDArray[np.float32], rate_hz: int
) -> dict[str, NDArray[np.float64]]:
    """Compute metrics of sounds for every clip.

    Args:
        names: of the metrics; those of embeddings are left out.
        sounds: of shape (clips, samples), within ±1.
        originals: the sounds that they reconstruct.
        rate_hz: the sampling rate.

    Raises:
        InputError: a metric returns another number of values than there are clips.
    """
    import numpy as np

    from trainables.errors import InputError

    measured = {}
    for name in names:
        if METRICS[name].of == "sounds":
            values = np.asarray(METRICS[name].function(sounds, originals, rate_hz), np.float64)
            if values.shape != (len(sounds),):
                raise InputError(
                    f"metric {name}: returned shape {values.shape} for {len(sounds)} clips; return one value a clip"
                )
            measured[name] = values
    return measured

"""Standard errors, intervals and tests of arms and of their differences, and the power of planned comparisons.

The units of an arm are its configurations if it has several (each the mean over its seeds), else the trainings of its
one configuration. Units and recordings are crossed random effects: a unit belongs to one arm, recordings are shared by
all. The pigeonhole bootstrap (Owen 2007) resamples both; its variance has a closed form, so nothing is resampled here.
But that variance is too small for few units, and it counts the interaction of unit and recording three times. So
variances are divided by n - 1, the interaction is counted once, and Student's t has Satterthwaite's degrees of freedom,
as in studies where several readers rate the same cases (Hillis 2007, doi 10.1002/sim.2532), but never more than the
units allow (`_df_of_units`).

Trainings with the same seed in several arms count as independent. If they are correlated, intervals are too wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

# scipy.special alone: `orchestrate plan` imports this module, and scipy.stats, pandas or statsmodels would take it a
# second longer.

ALPHA: Final = 0.05
"""Error rate of intervals, and of a whole family of tests."""
FEWEST_UNITS: Final = 3
"""Least number of units for a test: with two, the measured spread is too often far too small by chance."""
POWER: Final = 0.8
"""Probability with which the smallest detectable difference is found."""

SD_CONFIGURATIONS: Final = 0.03
"""Standard deviation between good configurations of an arm, in judge probability. Assumed, not measured yet."""
SD_SEEDS: Final = 0.03
"""Standard deviation between trainings of a configuration, in judge probability. Assumed, not measured yet."""
SD_INTERACTION: Final = 0.25
"""Standard deviation of the interaction of training and recording, in judge probability. Assumed, not measured yet."""
SD_PREFERENCE: Final = 0.1
"""Standard deviation of the interaction of arm and recording. Only more recordings reduce its effect. Assumed."""

Units = NDArray[np.float64]
"""Values of the units of a sample, such as an arm, on each recording; shape (units, recordings)."""
ROUNDING: Final = 1e-12
"""A spread below this fraction of the values is floating-point error."""


@dataclass(frozen=True)
class Precision:
    """The standard error of an estimate, with its degrees of freedom.

    Attributes:
        standard_error: in the metric's units; 0 if neither units nor recordings vary.
        df: degrees of freedom of the standard error.
        sd: standard deviation between the units of a sample, pooled over the samples.
        sd_df: degrees of freedom of `sd`.
    """

    standard_error: float
    df: float
    sd: float
    sd_df: int

    def half_width(self) -> float:
        """Return half the width of the estimate's 95 % interval."""
        return float(special.stdtrit(self.df, 1 - ALPHA / 2)) * self.standard_error

    def p(self, difference: float) -> float:
        """Return the two-sided p of no difference."""
        return 2 * float(special.stdtr(self.df, -abs(difference) / self.standard_error))

    def effect_size(self, difference: float) -> float | None:
        """Return Hedges' g: the difference divided by the standard deviation between units, corrected for its bias.

        It is None if units don't vary, or if the standard deviation has fewer than two degrees of freedom.
        """
        if self.sd == 0 or self.sd_df < 2:
            return None
        half = self.sd_df / 2
        correction = math.exp(math.lgamma(half) - math.lgamma(half - 0.5)) / math.sqrt(half)
        return correction * difference / self.sd


def per_recording(samples: Sequence[Units], weights: Sequence[float]) -> NDArray[np.float64]:
    """Return the weighted sum of the samples' means over units, on each recording; shape (recordings,)."""
    weighted = [weight * sample.mean(axis=0) for sample, weight in zip(samples, weights, strict=True)]
    total: NDArray[np.float64] = np.sum(weighted, axis=0)
    return total


def precision(samples: Sequence[Units], weights: Sequence[float]) -> Precision:
    """Return the precision of the mean of `per_recording` over recordings.

    A difference of two arms has two samples, with the weights 1 and -1. If each unit is its own control, for example
    one training rendered in two ways, the units' differences are one sample with the weight 1.

    For the standard error, variances are not pooled over samples (Welch): a loss that trains badly also varies more.

    Args:
        samples: the units of each sample; at least two units each, and at least two recordings.
        weights: weight of each sample.
    """
    spreads = np.array([sample.mean(axis=1).var(ddof=1) for sample in samples])
    counts = np.array([len(sample) for sample in samples])
    of_units, of_recordings = _variance_parts(samples, weights)
    num_recordings = samples[0].shape[1]
    variance = of_units.sum() + of_recordings
    least_sd = ROUNDING * max(np.abs(sample).max() for sample in samples)
    if math.sqrt(variance) <= least_sd:
        return Precision(0.0, math.inf, 0.0, 0)
    # Satterthwaite's degrees of freedom of a sum of variances.
    df = variance**2 / ((of_units**2 / (counts - 1)).sum() + of_recordings**2 / (num_recordings - 1))
    varies = np.sqrt(spreads) > least_sd
    if varies.any():
        df = min(df, _df_of_units(of_units[varies], np.square(weights)[varies], counts[varies]))
    sd = math.sqrt(np.average(spreads, weights=counts - 1))
    return Precision(math.sqrt(variance), float(df), sd if sd > least_sd else 0.0, int((counts - 1).sum()))


def _df_of_units(of_units: NDArray[np.float64], squares: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Return the upper limit of the degrees of freedom of a standard error that the units give.

    Few units can agree by chance. Then only the recordings seem to vary, and there are many of them. So a standard
    error gets no more degrees of freedom than its part from the units has (Satterthwaite 1946, Welch 1947). A small
    sample next to a large one can agree by chance, too, and then only the large one seems to vary. So there are also no
    more degrees of freedom than samples of these sizes have when their variances are equal. The degrees of freedom of
    the smallest sample would be a safe limit (Mickey & Brown 1966), but make intervals of equal samples far too wide.

    Args:
        of_units: variance from the units of each sample, shape (samples,).
        squares: squared weights of the samples, shape (samples,).
        counts: number of units of each sample, shape (samples,).
    """
    # Up to a common factor, which the degrees of freedom don't depend on.
    of_equal_units = squares / counts
    measured, assumed = (
        float(parts.sum() ** 2 / (parts**2 / (counts - 1)).sum()) for parts in (of_units, of_equal_units)
    )
    return min(measured, assumed)


def margin(sample: Units) -> float:
    """Return half the width of the 95 % interval of a sample's mean.

    Most of the error comes from recordings that are hard for all units; in differences that part cancels. If the
    degrees of freedom were limited by the units as in `precision`, the interval would be twice as wide as necessary.
    So each part of the error has its own Student's t (Banerjee 1960, Sankhyā 22, 357), which is at most a little too
    wide.

    Returns:
        NaN for one unit or one recording, and if neither units nor recordings vary.
    """
    if min(sample.shape) < 2:
        return math.nan
    (of_units,), of_recordings = _variance_parts([sample], [1.0])
    quantiles = [special.stdtrit(number - 1, 1 - ALPHA / 2) for number in sample.shape]
    parts = [quantile * math.sqrt(part) for quantile, part in zip(quantiles, (of_units, of_recordings), strict=True)]
    half_width = math.hypot(*parts)
    return half_width if half_width > ROUNDING * np.abs(sample).max() else math.nan


def _variance_parts(samples: Sequence[Units], weights: Sequence[float]) -> tuple[NDArray[np.float64], float]:
    """Return the variance from the units of each sample, shape (samples,), and the variance from the recordings."""
    squares = np.square(weights)
    of_units = squares * [sample.mean(axis=1).var(ddof=1) / len(sample) for sample in samples]
    of_both = sum(square * _interaction(sample) / sample.size for square, sample in zip(squares, samples, strict=True))
    sums = per_recording(samples, weights)
    # The variance over recordings contains the interaction, which `of_units` contains already.
    return of_units, max(0.0, float(sums.var(ddof=1)) / len(sums) - of_both)


def _interaction(sample: Units) -> float:
    """Return the mean square of the interaction of unit and recording."""
    num_units, num_recordings = sample.shape
    rest = sample - sample.mean(axis=0) - sample.mean(axis=1, keepdims=True) + sample.mean()
    return float((rest**2).sum() / ((num_units - 1) * (num_recordings - 1)))


def smallest_detectable(
    num_configurations: int,
    num_seeds: int,
    num_recordings: int,
    *,
    num_contrasts: int = 1,
    num_cells: int = 1,
    sd_configurations: float = SD_CONFIGURATIONS,
    sd_seeds: float = SD_SEEDS,
    sd_interaction: float = SD_INTERACTION,
    sd_preference: float = SD_PREFERENCE,
    power: float = POWER,
) -> float | None:
    """Return the smallest true difference of two arms that a test finds with this power.

    Args:
        num_configurations: configurations of each arm; with one, the spread between configurations doesn't count.
        num_seeds: seeds of each configuration.
        num_recordings: recordings of the test split.
        num_contrasts: contrasts that are tested. The test must pass the first step of Holm's procedure, as if this
            were the only true difference.
        num_cells: combinations of the other factors over which the difference is averaged.
        sd_configurations: standard deviation between configurations, in the metric's units like the following ones.
        sd_seeds: standard deviation between trainings of a configuration.
        sd_interaction: standard deviation of the interaction of training and recording.
        sd_preference: standard deviation of the interaction of arm and recording, which is the same in all cells.
        power: probability that the difference is found.

    Returns:
        The difference in the metric's units; None if there are too few units or recordings for a test.
    """
    of_training = sd_seeds**2 + sd_interaction**2 / num_recordings
    if num_configurations > 1:
        num_units, of_unit = num_configurations, sd_configurations**2 + of_training / num_seeds
    else:
        num_units, of_unit = num_seeds, of_training
    if num_units < FEWEST_UNITS or num_recordings < 2:
        return None
    of_units = 2 * of_unit / num_units / num_cells
    of_recordings = 2 * sd_preference**2 / num_recordings
    # For arms with equal variances, whose measured variances differ by chance: 1 / E[1 / df], df as in `precision`.
    df_arm = num_units - 1
    df_units = df_arm * (2 * num_cells * df_arm + 2) / (df_arm + 2)
    df = (of_units + of_recordings) ** 2 / (of_units**2 / df_units + of_recordings**2 / (num_recordings - 1))
    critical = special.stdtrit(min(df, df_units), 1 - ALPHA / num_contrasts / 2)
    return float(special.nctdtrinc(df, 1 - power, critical)) * math.sqrt(of_units + of_recordings)

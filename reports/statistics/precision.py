"""How well a few trainings and recordings determine an arm or a difference of arms: measured, or foretold.

An arm is known through its units: its configurations where it has several, each the mean over its seeds, else the
trainings of its one configuration. Units belong to one arm, recordings are the same for all. A bootstrap of both
together (Owen 2007, "The pigeonhole bootstrap") has a variance in closed form, so that nothing has to be drawn; but it
is too small where units are few, and counts what is peculiar to a unit on a recording three times. So variances are
divided by n - 1, that is counted once, and Student's t has the degrees of freedom of Satterthwaite, as where several
readers judge the same cases (Hillis 2007, doi 10.1002/sim.2532), but never more than its units have (`_df_of_units`).

Trainings with the same seed in several arms count as independent. Where they are alike, intervals are too wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

# scipy.special alone, since `orchestrate plan` has no second to spare for scipy.stats, pandas or statsmodels.

ALPHA: Final = 0.05
"""Of intervals, and of a whole family of tests."""
FEWEST_UNITS: Final = 3
"""Of each sample that is tested: the spread of two units is too often far too small by luck."""
POWER: Final = 0.8
"""How surely the smallest detectable difference is detected."""

SD_CONFIGURATIONS: Final = 0.03
"""Between good configurations of an arm, in judge probability. Assumed, not measured yet."""
SD_SEEDS: Final = 0.03
"""Between trainings of a configuration, in judge probability. Assumed, not measured yet."""
SD_INTERACTION: Final = 0.25
"""Between trainings on a recording, beyond what the two are like in general. Assumed, not measured yet."""
SD_PREFERENCE: Final = 0.1
"""The same between arms: of it, no number of trainings makes a difference surer, only recordings do. Assumed."""

Units = NDArray[np.float64]
"""What the units of a sample, such as an arm, reach on each recording; shape (units, recordings)."""
ROUNDING: Final = 1e-12
"""Spread below this part of the values is what floating-point sums leave."""


@dataclass(frozen=True)
class Precision:
    """What is known of an estimate's error.

    Attributes:
        standard_error: 0 where neither units nor recordings vary.
        df: degrees of freedom of it.
        sd: between units of a sample, pooled over the samples.
        sd_df: degrees of freedom of that.
    """

    standard_error: float
    df: float
    sd: float
    sd_df: int

    def half_width(self) -> float:
        """Of the estimate's 95 % interval."""
        return float(special.stdtrit(self.df, 1 - ALPHA / 2)) * self.standard_error

    def p(self, difference: float) -> float:
        """Of no difference, two-sided."""
        return 2 * float(special.stdtr(self.df, -abs(difference) / self.standard_error))

    def effect_size(self, difference: float) -> float | None:
        """The difference in standard deviations between units, Hedges' correction made.

        None where units don't vary, and of two differences alone, whose standard deviation says too little.
        """
        if self.sd == 0 or self.sd_df < 2:
            return None
        half = self.sd_df / 2
        correction = math.exp(math.lgamma(half) - math.lgamma(half - 0.5)) / math.sqrt(half)
        return correction * difference / self.sd


def per_recording(samples: Sequence[Units], weights: Sequence[float]) -> NDArray[np.float64]:
    """The weighted sum of the samples' means over units, on each recording; shape (recordings,)."""
    weighted = [weight * sample.mean(axis=0) for sample, weight in zip(samples, weights, strict=True)]
    total: NDArray[np.float64] = np.sum(weighted, axis=0)
    return total


def precision(samples: Sequence[Units], weights: Sequence[float]) -> Precision:
    """The precision of the mean over recordings of `per_recording`.

    Two arms are two samples with the weights 1 and -1; where each unit is its own control, as where one training is
    rendered in two ways, the units' differences are one sample. Units belong to one sample, recordings to all. Every
    sample needs two units, and there must be two recordings.

    Spreads are not pooled over samples for the error, since a loss that trains badly also spreads more (Welch).
    """
    spreads = np.array([sample.mean(axis=1).var(ddof=1) for sample in samples])
    counts = np.array([len(sample) for sample in samples])
    of_units, of_recordings = _parts(samples, weights)
    num_recordings = samples[0].shape[1]
    variance = of_units.sum() + of_recordings
    least = ROUNDING * max(np.abs(sample).max() for sample in samples)
    if math.sqrt(variance) <= least:
        return Precision(0.0, math.inf, 0.0, 0)
    df = variance**2 / ((of_units**2 / (counts - 1)).sum() + of_recordings**2 / (num_recordings - 1))
    varies = np.sqrt(spreads) > least
    if varies.any():
        df = min(df, _df_of_units(of_units[varies], np.square(weights)[varies], counts[varies]))
    sd = math.sqrt(np.average(spreads, weights=counts - 1))
    return Precision(math.sqrt(variance), float(df), sd if sd > least else 0.0, int((counts - 1).sum()))


def _df_of_units(of_units: NDArray[np.float64], squares: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """The most degrees of freedom that an error can have, whatever recordings add to it.

    Few units can be alike by luck. Recordings then seem to be all that varies, and there are many of them: so an error
    has no more degrees of freedom than its part that comes with the units (Satterthwaite 1946, Welch 1947). A small
    sample beside a large one can be alike by luck, too. The large one then seems to be all that varies: so there are no
    more degrees of freedom than samples of these sizes have if they spread alike. The smallest sample's degrees of
    freedom would always be few enough (Mickey & Brown 1966), but make the intervals of equal samples far too wide.

    Args:
        of_units: the variance that comes with the units of each sample.
        squares: of the samples' weights.
        counts: units of each sample.
    """
    if_alike = squares / counts
    measured, assumed = (float(parts.sum() ** 2 / (parts**2 / (counts - 1)).sum()) for parts in (of_units, if_alike))
    return min(measured, assumed)


def margin(sample: Units) -> float:
    """Half of the 95 % interval of a sample's mean; NaN of one unit or one recording, and where neither varies.

    Recordings that are hard for all are most of its error, while differences don't have them: with no more degrees of
    freedom than the units have it would be twice as wide as it has to be. So each part of the error has a Student's t
    of its own (Banerjee 1960, Sankhyā 22, 357), which is a little too wide at most.
    """
    if min(sample.shape) < 2:
        return math.nan
    (of_units,), of_recordings = _parts([sample], [1.0])
    ends = (special.stdtrit(number - 1, 1 - ALPHA / 2) for number in sample.shape)
    half_width = math.hypot(*(end * math.sqrt(part) for end, part in zip(ends, (of_units, of_recordings), strict=True)))
    return half_width if half_width > ROUNDING * np.abs(sample).max() else math.nan


def _parts(samples: Sequence[Units], weights: Sequence[float]) -> tuple[NDArray[np.float64], float]:
    """The variance that comes with the units of each sample, and the one that comes with the recordings."""
    squares = np.square(weights)
    of_units = squares * [sample.mean(axis=1).var(ddof=1) / len(sample) for sample in samples]
    of_both = sum(square * _interaction(sample) / sample.size for square, sample in zip(squares, samples, strict=True))
    of_each = per_recording(samples, weights)
    return of_units, max(0.0, float(of_each.var(ddof=1)) / len(of_each) - of_both)


def _interaction(sample: Units) -> float:
    """Mean square of what is peculiar to a unit on a recording."""
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
    """The smallest true difference of two arms that is found with this power; None where nothing is tested.

    Args:
        num_configurations: of each arm; the spread between configurations doesn't count if there is one.
        num_seeds: of each configuration.
        num_recordings: of the test split.
        num_contrasts: that are tested; the first step of Holm's procedure is passed, as by a single true difference.
        num_cells: over which the difference is averaged, combinations of the other factors.
        sd_configurations: in the metric's units, as all of them.
        sd_seeds: between trainings of a configuration.
        sd_interaction: between trainings of an arm on a recording, what both are like in general taken out.
        sd_preference: the same between arms; the same in all cells.
        power: probability of finding it.
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
    # Of arms that spread alike, whose measured spreads differ by chance: 1 / E[1 / df], df as `precision` takes it.
    of_arm = num_units - 1
    df_units = of_arm * (2 * num_cells * of_arm + 2) / (of_arm + 2)
    df = (of_units + of_recordings) ** 2 / (of_units**2 / df_units + of_recordings**2 / (num_recordings - 1))
    critical = special.stdtrit(min(df, df_units), 1 - ALPHA / num_contrasts / 2)
    return float(special.nctdtrinc(df, 1 - power, critical)) * math.sqrt(of_units + of_recordings)

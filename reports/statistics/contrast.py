"""A contrast: the difference between two levels of a factor, and Holm's adjustment over all tests of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from statsmodels.stats.multitest import multipletests

from reports.statistics.looks import look_penalty
from reports.statistics.precision import ALPHA, FEWEST_UNITS

Scope = Literal["arm", "configuration"]
TOO_FEW: Final = "not tested: a test needs three trainings or configurations of each arm"


@dataclass(frozen=True)
class Contrast:
    """The difference between two levels of a factor.

    Attributes:
        factor: the setting that differs, such as `loss`.
        level: its level in the one arm, such as `vae`.
        baseline: its level in the other arm.
        at: the levels of all other factors if they are held fixed; empty if the difference is averaged over the cells,
            which are the combinations of the other factors' levels, in which both levels have data.
        difference: level minus baseline in the metric's units, averaged over recordings, cells, configurations and
            seeds; NaN if no recording can be compared.
        low: lower end of the 95 % interval, not corrected for multiple contrasts; None without an interval.
        high: upper end of it.
        p: two-sided p of no difference, with the standard error and the degrees of freedom of the interval.
        p_adjusted: p after Holm's adjustment over the whole family of tests; None if it was not tested.
        p_repeated: p that stays valid under repeated looks (`reports.statistics.looks`); only for contrasts that are
            exploratory because trainings were added after a look.
        effect_size: Hedges' g: the difference divided by the standard deviation between units of an arm
            (configurations if arms have several, else trainings), pooled over the arms compared. If each training is
            compared with itself, it is divided by the standard deviation of those differences.
        num_configurations: number of configurations, in the arm with the fewest.
        num_seeds: number of seeds, in the configuration with the fewest.
        num_units: number of units, in the arm with the fewest.
        num_recordings: number of recordings compared; the same ones for all trainings.
        num_cells: number of cells over which the difference was averaged.
        num_cells_left_out: number of cells in which only one of the two levels has data.
        num_rows_left_out: number of rows of the arms compared that have no value.
        num_recordings_left_out: number of recordings for which some training compared has no value.
        scope: `configuration` if an arm has one configuration only and a search chose it, so that the statement is
            about that configuration only; else `arm`.
        is_planned: whether the sweep's baseline asks for this contrast.
        is_incomplete: whether trainings of its arms have diverged or failed, or could not be judged.
        why_no_interval: the reason in words; None if there is an interval.
        why_exploratory: in words, why a test would find false differences too often; None if it would not.
    """

    factor: str
    level: str
    baseline: str
    at: Mapping[str, str]
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    p_repeated: float | None
    effect_size: float | None
    num_configurations: int
    num_seeds: int
    num_units: int
    num_recordings: int
    num_cells: int
    num_cells_left_out: int
    num_rows_left_out: int
    num_recordings_left_out: int
    scope: Scope
    is_planned: bool
    is_incomplete: bool
    why_no_interval: str | None
    why_exploratory: str | None

    @property
    def why_untested(self) -> str | None:
        """The reason why it has an interval but is not tested; None if there is no such reason."""
        if self.why_exploratory:
            return f"exploratory: {self.why_exploratory}"
        return TOO_FEW if self.num_units < FEWEST_UNITS else None

    @property
    def question(self) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
        """The key of its question, which is the same for every metric and every judge."""
        return self.factor, self.level, self.baseline, tuple(sorted(self.at.items()))

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 is outside of the 95 % interval."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    @property
    def is_distinguishable(self) -> bool:
        """Whether a test found a difference; always false for contrasts that were not tested."""
        return self.p_adjusted is not None and self.p_adjusted < ALPHA and self.excludes_zero


def find_intervals(contrasts: Sequence[Contrast]) -> list[tuple[Contrast, float, float]]:
    """Return the contrasts that have an interval, with its lower and upper end."""
    return [
        (contrast, contrast.low, contrast.high)
        for contrast in contrasts
        if contrast.low is not None and contrast.high is not None
    ]


def adjust_p(family: Sequence[Contrast], look: int | None = 1) -> list[Contrast]:
    """Return the contrasts with p adjusted by Holm's method over those that are planned and can be tested.

    Those that are exploratory or lack a training keep their place in the family with a p of 1. Otherwise the others
    would be adjusted less because a training has failed, and again more once it is repeated.

    Args:
        family: all contrasts by the objective.
        look: number of this look at the test split: 1, plus how often trainings were added after a look. None while
            trainings are outstanding.
    """
    members = [contrast for contrast in family if _is_in_family(contrast)]
    tested = _holm([1.0 if contrast.why_exploratory else _p_or_one(contrast) for contrast in members])
    repeated = _holm([_p_or_one(contrast) for contrast in members])
    p_values = iter(zip(tested, repeated, strict=True))
    return [_with_p(contrast, *next(p_values), look) if _is_in_family(contrast) else contrast for contrast in family]


def _with_p(contrast: Contrast, p: float, p_at_look: float, look: int | None) -> Contrast:
    """Return a planned contrast with its adjusted p, or with its p for repeated looks if it is exploratory."""
    if contrast.why_exploratory is None:
        return replace(contrast, p_adjusted=p) if _can_be_tested(contrast) else contrast
    if look is None or look == 1 or contrast.p is None:
        return contrast
    return replace(contrast, p_repeated=min(1.0, look_penalty(look) * p_at_look))


def _is_in_family(contrast: Contrast) -> bool:
    """Return whether a contrast counts in Holm's adjustment."""
    is_kept = contrast.is_incomplete or contrast.why_exploratory is not None
    return contrast.is_planned and (is_kept or _can_be_tested(contrast))


def _can_be_tested(contrast: Contrast) -> bool:
    return contrast.p is not None and contrast.num_units >= FEWEST_UNITS


def _p_or_one(contrast: Contrast) -> float:
    return 1.0 if contrast.p is None else contrast.p


def _holm(p_values: Sequence[float]) -> list[float]:
    return [float(value) for value in multipletests(p_values, ALPHA, "holm")[1]] if p_values else []

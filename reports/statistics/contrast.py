"""A difference between two levels, and the family of tests that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from statsmodels.stats.multitest import multipletests

from reports.statistics.looks import price
from reports.statistics.precision import ALPHA, FEWEST_UNITS

Scope = Literal["arm", "configuration"]
TOO_FEW: Final = "not tested: a test needs three trainings or configurations of each arm"


@dataclass(frozen=True)
class Contrast:
    """The difference between two levels of a factor.

    Attributes:
        factor: what is compared.
        level: of it.
        baseline: the level that it is compared with.
        at: the levels of all other factors, where they are held fixed; empty if the difference is averaged over the
            combinations of them (cells) in which both levels have data.
        difference: level minus baseline in the metric's units: the mean over recordings, cells, configurations, seeds;
            NaN if no recording can be compared.
        low: lower end of the 95 % interval, of this contrast alone.
        high: its upper end.
        p: of no difference, two-sided, by the same standard error and degrees of freedom as the interval.
        p_adjusted: by Holm, over the whole family of tests; None for what is not tested.
        p_repeated: the same for those who look again and again (`reports.statistics.looks`); only of what is
            exploratory since more was granted after a look.
        effect_size: the difference divided by the standard deviation between units of an arm (configurations where
            arms have several, else trainings), pooled over the arms compared, with Hedges' correction. Where each
            training is compared with itself, it is the standard deviation of their differences.
        num_configurations: the fewest that an arm has.
        num_seeds: the fewest that a configuration has.
        num_units: the fewest that an arm has, configurations or trainings.
        num_recordings: that were compared, the same ones in all trainings.
        num_cells: over which the difference was averaged.
        num_cells_left_out: in which only one of the two levels has data.
        num_rows_left_out: of the arms compared, those without a value.
        num_recordings_left_out: those that some training compared has no value for.
        scope: `configuration` if an arm is known through one configuration that a search chose, and the statement is
            about that one only.
        is_planned: whether the sweep's baseline asks for it.
        why_no_interval: in words; None if there is one.
        why_exploratory: in words, why a test would say too often that there is a difference; None if it would not.
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
    why_no_interval: str | None
    why_exploratory: str | None

    @property
    def why_untested(self) -> str | None:
        """Why its interval is no test although the baseline asks for one; None if it is, or there is none."""
        if self.why_exploratory:
            return f"exploratory: {self.why_exploratory}"
        return TOO_FEW if self.num_units < FEWEST_UNITS else None

    @property
    def question(self) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
        """What it answers; the same by every metric and every judge."""
        return self.factor, self.level, self.baseline, tuple(sorted(self.at.items()))

    @property
    def excludes_zero(self) -> bool:
        """Whether its interval says which of the two is ahead."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    @property
    def is_distinguishable(self) -> bool:
        """Whether a test told the two apart; descriptive contrasts never do."""
        return self.p_adjusted is not None and self.p_adjusted < ALPHA and self.excludes_zero


def adjusted(family: Sequence[Contrast], look: int | None = 1) -> list[Contrast]:
    """The same contrasts, with p adjusted by Holm over those that are planned and can be tested.

    What is exploratory keeps its place in the family, as if its p were 1: else the others would be tested more boldly
    for as long as it is.

    Args:
        family: all contrasts by the objective.
        look: how often the test split has been asked, more having been granted in between; None while it still judges.
    """
    places = [contrast for contrast in family if contrast.is_planned and _has_place(contrast)]
    tests = _holm([1.0 if contrast.why_exploratory else _p(contrast) for contrast in places])
    repeated = _holm([_p(contrast) for contrast in places])
    answers = iter(zip(tests, repeated, strict=True))
    return [
        _with_p(contrast, *next(answers), look) if contrast.is_planned and _has_place(contrast) else contrast
        for contrast in family
    ]


def _with_p(contrast: Contrast, p: float, p_of_look: float, look: int | None) -> Contrast:
    if contrast.why_exploratory is None:
        return replace(contrast, p_adjusted=p)
    if look is None or look == 1 or contrast.p is None:
        return contrast
    return replace(contrast, p_repeated=min(1.0, price(look) * p_of_look))


def _has_place(contrast: Contrast) -> bool:
    """Whether it counts in the family of tests."""
    can_be_tested = contrast.p is not None and contrast.num_units >= FEWEST_UNITS
    return can_be_tested or contrast.why_exploratory is not None


def _p(contrast: Contrast) -> float:
    return 1.0 if contrast.p is None else contrast.p


def _holm(p: Sequence[float]) -> list[float]:
    return [float(value) for value in multipletests(p, ALPHA, "holm")[1]] if p else []

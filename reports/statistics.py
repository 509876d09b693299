"""Which levels of a factor differ, and how surely."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from reports.precision import ALPHA, Units, differences, precision

Scope = Literal["arm", "configuration"]
Key = tuple[str, ...]
"""An arm: its level of each factor."""

NO_RECORDING: Final = "no recording has a value in every training that is compared"
ONE_RECORDING: Final = "only one recording has a value in every training: how much recordings differ is unknown"
ONE_TRAINING: Final = "only one training of {arm}: how much trainings differ is unknown"
NO_SPREAD: Final = "neither trainings nor recordings differ: there is no spread to compare with"


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
        p_adjusted: by Holm, over all contrasts that are tested; None for those that are not.
        effect_size: the difference divided by the standard deviation between units of an arm (configurations where
            arms have several, else trainings), pooled over the arms compared, with Hedges' correction.
        num_configurations: the fewest that an arm has.
        num_seeds: the fewest that a configuration has.
        num_recordings: that were compared, the same ones in all trainings.
        num_cells: over which the difference was averaged.
        num_cells_left_out: in which only one of the two levels has data.
        num_rows_left_out: of the arms compared, those without a value.
        num_recordings_left_out: those that some training compared has no value for.
        scope: `configuration` if an arm is known through one configuration that a search chose, and the statement is
            about that one only.
        is_tested: whether the sweep's baseline asks for it; the rest is descriptive.
        why_no_interval: in words; None if there is one.
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
    effect_size: float | None
    num_configurations: int
    num_seeds: int
    num_recordings: int
    num_cells: int
    num_cells_left_out: int
    num_rows_left_out: int
    num_recordings_left_out: int
    scope: Scope
    is_tested: bool
    why_no_interval: str | None

    @property
    def is_distinguishable(self) -> bool:
        """Whether a test told the two apart; descriptive contrasts never do."""
        if self.p_adjusted is None or self.low is None or self.high is None:
            return False
        return self.p_adjusted < ALPHA and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class _Arm:
    """An arm's scores.

    Attributes:
        name: such as `loss=vae normalization=none`.
        units: means of its configurations where it has several, else its trainings.
        num_configurations: with any value.
        num_seeds: the fewest of a configuration.
        num_rows_left_out: those without a value.
    """

    name: str
    units: Units
    num_configurations: int
    num_seeds: int
    num_rows_left_out: int


@dataclass(frozen=True)
class _Question:
    """Two levels to compare, in the cells in which both have arms."""

    factor: str
    level: str
    baseline: str
    at: Mapping[str, str]
    cells: list[tuple[Key, Key]]
    num_cells_left_out: int
    is_tested: bool


def contrasts(
    scores: pd.DataFrame, factors: Sequence[str], baseline: Mapping[str, str], *, is_searched: bool = True
) -> list[Contrast]:
    """Every comparison of two levels that the data allow, in the order of the factors, tested ones first.

    Tested are, against a factor's baseline, each other level on average over the other factors' cells and, where there
    are other factors, each other level at their baselines, unless that is the same comparison once more. A baseline
    without data counts as none. All other pairs of levels are descriptive.

    Args:
        scores: a row a training and recording, with a column for each factor, `configuration` (unique within an arm),
            `seed` (unique within a configuration), `recording` and `value`.
        factors: columns that are compared.
        baseline: levels of factors; of a factor that it lacks nothing is tested.
        is_searched: whether a search chose the configurations; otherwise an arm is its one configuration.

    Raises:
        ValueError: a training has two rows of one recording.
    """
    arms = _arms(scores, factors)
    found = [_answer(question, arms, is_searched) for question in _questions(list(arms), factors, baseline)]
    tested = [each.p for each in found if each.is_tested and each.p is not None]
    adjusted = iter(multipletests(tested, ALPHA, "holm")[1] if tested else ())
    return [
        replace(each, p_adjusted=float(next(adjusted))) if each.is_tested and each.p is not None else each
        for each in found
    ]


def _arms(scores: pd.DataFrame, factors: Sequence[str]) -> dict[Key, _Arm]:
    """Each arm's scores; a training without any value was not evaluated and counts nowhere."""
    runs = scores.pivot(index=[*factors, "configuration", "seed"], columns="recording", values="value")
    runs = runs.astype(float).dropna(how="all")
    rows: dict[Key, dict[object, list[int]]] = {}
    for row, (*key, configuration, _) in enumerate(runs.index):
        rows.setdefault(tuple(key), {}).setdefault(configuration, []).append(row)
    empty = Counter(scores.loc[scores["value"].isna(), list(factors)].itertuples(index=False, name=None))
    values = runs.to_numpy()
    found = {}
    for key, of_arm in rows.items():
        configurations = [values[of_configuration] for of_configuration in of_arm.values()]
        # A recording that one seed lacks is missing from its configuration: all means are over the same recordings.
        means = [seeds.mean(axis=0) for seeds in configurations]
        units = np.array(means) if len(means) > 1 else configurations[0]
        name = " ".join(f"{factor}={level}" for factor, level in zip(factors, key, strict=True))
        found[key] = _Arm(name, units, len(means), min(map(len, configurations)), empty[key])
    return found


def _questions(arms: Sequence[Key], factors: Sequence[str], baseline: Mapping[str, str]) -> Iterator[_Question]:
    """What can be asked of these arms."""
    levels = {factor: sorted({key[axis] for key in arms}) for axis, factor in enumerate(factors)}
    base = {factor: baseline[factor] for factor in factors if baseline.get(factor) in levels[factor]}
    for axis, factor in enumerate(factors):
        others = {other: base[other] for other in factors if other != factor and other in base}
        planned = [(level, base[factor]) for level in levels[factor] if factor in base and level != base[factor]]
        tested = [_ask(arms, factors, axis, pair, {}, True) for pair in planned]
        if len(factors) > 1 and len(others) == len(factors) - 1:
            main_cells = [question.cells for question in tested]
            departures = [_ask(arms, factors, axis, pair, others, True) for pair in planned]
            tested += [question for question in departures if question.cells not in main_cells]
        rest = [pair[::-1] for pair in itertools.combinations(levels[factor], 2) if base.get(factor) not in pair]
        described = [_ask(arms, factors, axis, pair, {}, False) for pair in rest]
        yield from (question for question in tested + described if question.cells)


def _ask(
    arms: Sequence[Key],
    factors: Sequence[str],
    axis: int,
    pair: tuple[str, str],
    at: Mapping[str, str],
    is_tested: bool,
) -> _Question:
    """Compare a pair of levels of one factor, in the cells at these levels of the others."""
    held = [(factors.index(factor), level) for factor, level in at.items()]
    of_level, of_baseline = (
        {
            key[:axis] + key[axis + 1 :]: key
            for key in arms
            if key[axis] == level and all(key[other] == value for other, value in held)
        }
        for level in pair
    )
    cells = [(of_level[cell], of_baseline[cell]) for cell in sorted(of_level.keys() & of_baseline.keys())]
    num_left_out = len(of_level.keys() ^ of_baseline.keys())
    return _Question(factors[axis], *pair, at, cells, num_left_out, is_tested)


def _answer(question: _Question, arms: Mapping[Key, _Arm], is_searched: bool) -> Contrast:
    """What the data say, p not adjusted."""
    compared = [arms[key] for cell in question.cells for key in cell]
    is_shared = np.all([np.isfinite(arm.units).all(axis=0) for arm in compared], axis=0)
    shared = [arm.units[:, is_shared] for arm in compared]
    cells = list(zip(shared[::2], shared[1::2], strict=True))
    num_recordings = int(is_shared.sum())
    difference = float(differences(cells).mean()) if num_recordings else math.nan
    why = _why_no_precision(compared, num_recordings)
    known = None if why else precision(cells)
    if known and known.standard_error == 0:
        why, known = NO_SPREAD, None
    half_width = known.half_width() if known else math.nan
    num_configurations = min(arm.num_configurations for arm in compared)
    return Contrast(
        factor=question.factor,
        level=question.level,
        baseline=question.baseline,
        at=question.at,
        difference=difference,
        low=difference - half_width if known else None,
        high=difference + half_width if known else None,
        p=known.p(difference) if known else None,
        p_adjusted=None,
        effect_size=known.effect_size(difference) if known else None,
        num_configurations=num_configurations,
        num_seeds=min(arm.num_seeds for arm in compared),
        num_recordings=num_recordings,
        num_cells=len(cells),
        num_cells_left_out=question.num_cells_left_out,
        num_rows_left_out=sum(arm.num_rows_left_out for arm in compared),
        num_recordings_left_out=len(is_shared) - num_recordings,
        scope="configuration" if is_searched and num_configurations == 1 else "arm",
        is_tested=question.is_tested,
        why_no_interval=why,
    )


def _why_no_precision(arms: Sequence[_Arm], num_recordings: int) -> str | None:
    if num_recordings == 0:
        return NO_RECORDING
    if alone := [arm.name for arm in arms if len(arm.units) == 1]:
        return ONE_TRAINING.format(arm=" and ".join(alone))
    return ONE_RECORDING if num_recordings == 1 else None

"""The contrasts of a sweep before there is data: which levels are compared, in which cells, and which are tested.

They depend only on the arms and the baseline, so `orchestrate plan` can count them before anything runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Key = tuple[str, ...]
"""An arm, as its levels in the order of the factors."""


@dataclass(frozen=True)
class Question:
    """A comparison of two levels of a factor, over the cells in which both have arms.

    A cell is a combination of the other factors' levels.

    Attributes:
        factor: name of the factor.
        level: the one level.
        baseline: the level that it is compared with.
        at: the levels of all other factors if they are held fixed; empty if the difference is averaged over cells.
        cells: for each cell the arm with `level` and the arm with `baseline`.
        num_cells_left_out: number of cells in which only one of the two levels has an arm.
        is_planned: whether the sweep's baseline asks for it.
    """

    factor: str
    level: str
    baseline: str
    at: Mapping[str, str]
    cells: list[tuple[Key, Key]]
    num_cells_left_out: int
    is_planned: bool


def questions(
    arms: Sequence[Key], factors: Sequence[str], baseline: Mapping[str, str], compared: Sequence[str] = ()
) -> Iterator[Question]:
    """Yield the comparisons that are possible between these arms, factor by factor, planned ones first.

    Planned comparisons of a factor are those of each other level with the factor's baseline: averaged over the other
    factors' cells (main effect), and with the other factors at their baselines, unless both are the same comparison.
    All other pairs of levels are descriptive.

    Args:
        arms: all arms.
        factors: names of the factors, in the order of the arms' levels.
        baseline: baseline level of each factor; ignored for a factor if no arm has that level.
        compared: the factors whose levels are compared; all if empty.
    """
    levels = {factor: sorted({key[axis] for key in arms}) for axis, factor in enumerate(factors)}
    base = {factor: baseline[factor] for factor in factors if baseline.get(factor) in levels[factor]}
    for axis, factor in enumerate(factors):
        if compared and factor not in compared:
            continue
        other_baselines = {other: base[other] for other in factors if other != factor and other in base}
        pairs = [(level, base[factor]) for level in levels[factor] if factor in base and level != base[factor]]
        planned = [_make_question(arms, factors, axis, pair, {}, True) for pair in pairs]
        if len(factors) > 1 and len(other_baselines) == len(factors) - 1:
            main_cells = [question.cells for question in planned]
            departures = [_make_question(arms, factors, axis, pair, other_baselines, True) for pair in pairs]
            planned += [question for question in departures if question.cells not in main_cells]
        other_pairs = [pair[::-1] for pair in itertools.combinations(levels[factor], 2) if base.get(factor) not in pair]
        descriptive = [_make_question(arms, factors, axis, pair, {}, False) for pair in other_pairs]
        yield from (question for question in planned + descriptive if question.cells)


def _make_question(
    arms: Sequence[Key],
    factors: Sequence[str],
    axis: int,
    pair: tuple[str, str],
    at: Mapping[str, str],
    is_planned: bool,
) -> Question:
    """Return the comparison of two levels of one factor; it has no cells if no cell has arms with both levels.

    Args:
        arms: all arms.
        factors: names of the factors, in the order of the arms' levels.
        axis: the place of the compared factor in `factors`.
        pair: the level, and the one that it is compared with.
        at: the levels at which other factors are held; arms with other levels are left out.
        is_planned: whether the sweep's baseline asks for it.
    """
    held = [(factors.index(factor), level) for factor, level in at.items()]

    def find_arms(level: str) -> dict[Key, Key]:
        """Return the arms with a level by their cell: their levels of all other factors."""
        matching = [key for key in arms if key[axis] == level and all(key[other] == value for other, value in held)]
        return {key[:axis] + key[axis + 1 :]: key for key in matching}

    level_arms, baseline_arms = (find_arms(level) for level in pair)
    cells = [(level_arms[cell], baseline_arms[cell]) for cell in sorted(level_arms.keys() & baseline_arms.keys())]
    num_left_out = len(level_arms.keys() ^ baseline_arms.keys())
    return Question(factors[axis], *pair, at, cells, num_left_out, is_planned)

"""What is asked of a sweep's arms: which levels of a factor are compared, in which cells, and which of it is tested.

It depends on what was compared and on the baseline alone, so that `orchestrate plan` knows it before anything runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Key = tuple[str, ...]
"""An arm: its level of each factor."""


@dataclass(frozen=True)
class Question:
    """Two levels to compare, in the cells in which both have arms.

    Attributes:
        at: the levels of all other factors, where they are held fixed.
        cells: the arms of the two, a pair a cell.
        is_planned: whether the baseline asks for it.
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
    """What can be asked of these arms, in the order of the factors, planned questions first.

    Planned are, against a factor's baseline, each other level on average over the other factors' cells and, where there
    are other factors, each other level at their baselines, unless that is the same comparison once more.

    Args:
        arms: those that there are.
        factors: what they are told apart by.
        baseline: levels of factors; one without arms counts as none.
        compared: the factors that are asked about; all where it is empty.
    """
    levels = {factor: sorted({key[axis] for key in arms}) for axis, factor in enumerate(factors)}
    base = {factor: baseline[factor] for factor in factors if baseline.get(factor) in levels[factor]}
    for axis, factor in enumerate(factors):
        if compared and factor not in compared:
            continue
        others = {other: base[other] for other in factors if other != factor and other in base}
        pairs = [(level, base[factor]) for level in levels[factor] if factor in base and level != base[factor]]
        planned = [_ask(arms, factors, axis, pair, {}, True) for pair in pairs]
        if len(factors) > 1 and len(others) == len(factors) - 1:
            main_cells = [question.cells for question in planned]
            departures = [_ask(arms, factors, axis, pair, others, True) for pair in pairs]
            planned += [question for question in departures if question.cells not in main_cells]
        rest = [pair[::-1] for pair in itertools.combinations(levels[factor], 2) if base.get(factor) not in pair]
        described = [_ask(arms, factors, axis, pair, {}, False) for pair in rest]
        yield from (question for question in planned + described if question.cells)


def _ask(
    arms: Sequence[Key],
    factors: Sequence[str],
    axis: int,
    pair: tuple[str, str],
    at: Mapping[str, str],
    is_planned: bool,
) -> Question:
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
    return Question(factors[axis], *pair, at, cells, num_left_out, is_planned)

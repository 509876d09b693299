"""The two rules of pruning, without Ray, for simulations; they decide as `policy.pruning` and `policy.promotion` do."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable


def interpolate_quantile(ordered: list[float], share: float) -> float:
    """Return a quantile of ascending numbers, linear between neighbours as NumPy's default is.

    Args:
        ordered: the numbers, at least one.
        share: which quantile, from 0 to 1.
    """
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


class StoppingRungs:
    """ASHA as Ray has it: a trial stops if it is below a quantile of those that reached the rung before it."""

    def __init__(self, reduction_factor: int) -> None:
        """Begin without trials.

        Args:
            reduction_factor: one in this many trials continues.
        """
        self._share = 1 - 1 / reduction_factor
        self._values: dict[tuple[str, int], list[float]] = {}

    def stops(self, key: str, rung: int, value: float) -> bool:
        """Enter a trial into a rung, and return whether it stops there.

        Args:
            key: the arm, or "" if all arms share their rungs.
            rung: the epoch of the rung.
            value: the trial's best value so far; higher is better.
        """
        values = self._values.setdefault((key, rung), [])
        stops = bool(values) and value < interpolate_quantile(values, self._share)
        bisect.insort(values, value)
        return stops


class PromotingRungs:
    """`pruning.promote`: a trial pauses at a rung unless it is among the best, and may be promoted later."""

    def __init__(self, reduction_factor: int) -> None:
        """Begin without trials.

        Args:
            reduction_factor: one in this many trials continues.
        """
        self._factor = reduction_factor
        self._rungs: dict[tuple[str, int], list[tuple[float, int]]] = {}
        """By key and epoch: (loss, number) of the trials that have reached the rung, the best first."""
        self._paused: dict[int, int] = {}
        """By number of a paused trial, the epoch of its rung."""

    def pauses(self, key: str, rung: int, number: int, value: float) -> bool:
        """Enter a trial into a rung, and return whether it pauses there.

        Args:
            key: the arm, or "" if all arms share their rungs.
            rung: the epoch of the rung.
            number: the trial's number.
            value: the trial's best value so far; higher is better.
        """
        entries = self._rungs.setdefault((key, rung), [])
        place = bisect.bisect_left(entries, (-value, number))
        entries.insert(place, (-value, number))
        if place < len(entries) // self._factor:
            return False
        self._paused[number] = rung
        return True

    def promote_next(self) -> int | None:
        """Return the number of the next trial to promote, which is no longer paused; None if there is none."""
        for key, rung in sorted(self._rungs, key=lambda place: -place[1]):
            for number in self._best_numbers(key, rung):
                if self._paused.get(number) == rung:
                    return self._resume(number)
        return None

    def promote_last_hope(self, numbers: Iterable[int]) -> int | None:
        """Return the best paused trial of the highest rung, which is no longer paused; None if none is paused.

        Args:
            numbers: the trials of an arm that has no other trial to train to the end.
        """
        paused = [number for number in numbers if number in self._paused]
        losses = {(rung, number): loss for (_, rung), rows in self._rungs.items() for loss, number in rows}
        ranks = [(-self._paused[number], losses[self._paused[number], number], number) for number in paused]
        return self._resume(min(ranks)[2]) if ranks else None

    def take_paused(self) -> list[int]:
        """Return the numbers of all trials that are paused, which then are not: no trial is promoted any more."""
        paused, self._paused = list(self._paused), {}
        return paused

    def _resume(self, number: int) -> int:
        del self._paused[number]
        return number

    def _best_numbers(self, key: str, rung: int) -> list[int]:
        entries = self._rungs[key, rung]
        return [number for _, number in entries[: len(entries) // self._factor]]

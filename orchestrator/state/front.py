"""The front of a sweep with several objectives: the trials that no other trial dominates.

A point dominates another one if it is better in one objective and not worse in any other. Equal points do not dominate
each other.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.state.curve import Point
from reports import vocabulary as words


def dominates(point: Point, other: Point) -> bool:
    """Return whether a point dominates another one; of each value the largest is the best."""
    return point != other and all(own >= others for own, others in zip(point, other, strict=True))


def find_front(points: Mapping[int, Point]) -> list[int]:
    """Return the numbers of the points that no other dominates, those with the best first value first."""
    front: list[int] = []
    on_front: list[Point] = []
    # In this order, a point can only be dominated by one before it.
    for number in sorted(points, key=lambda number: points[number], reverse=True):
        if not _is_dominated(points[number], on_front):
            front.append(number)
            on_front.append(points[number])
    return front


def _is_dominated(point: Point, before: Sequence[Point]) -> bool:
    """Return whether a point is dominated by one of the points of a front that come before it, the best first.

    Of two objectives, the second gets better along a front. So the last point before it decides.
    """
    return any(dominates(other, point) for other in (before[-1:] if len(point) <= 2 else before))


class Front:
    """The front of an arm, updated with every change of a trial.

    Attributes:
        numbers: the trials on it, those that are best in the first objective first; of equal points, the one that was
            entered first.
        num_changes: how often a trial came to it, left it, or changed its point there.
    """

    def __init__(self) -> None:
        self._points: dict[int, Point] = {}
        self._orders: dict[int, tuple[Point, int]] = {}
        """By trial, its sort key: its point with opposite signs, and how many points were entered before it."""
        self._num_entered = 0
        self.numbers: list[int] = []
        self.num_changes = 0

    @property
    def points(self) -> dict[int, Point]:
        """The points on the front, by the number of the trial."""
        return {number: self._points[number] for number in self.numbers}

    def update(self, number: int, point: Point | None) -> None:
        """Enter, replace or remove the point of a trial; None removes it."""
        if point == self._points.get(number):
            return
        left = self._remove(number)
        if point is not None:
            self._points[number] = point
            self._orders[number] = (tuple(-value for value in point), self._num_entered)
            self._num_entered += 1
            self._compete(number)
        if left is not None:
            # Only what the point dominated that has left can come to the front without a change of its own.
            behind = {other: known for other, known in self._points.items() if dominates(left, known)}
            for other in find_front(behind):
                self._compete(other)

    def _remove(self, number: int) -> Point | None:
        """Forget the point of a trial; return it if it was on the front."""
        point = self._points.pop(number, None)
        if point is None:
            return None
        place = self._place(number)
        del self._orders[number]
        if self.numbers[place : place + 1] != [number]:
            return None
        del self.numbers[place]
        self.num_changes += 1
        return point

    def _place(self, number: int) -> int:
        """Return the place that a trial has on the front, or would have there."""
        return bisect.bisect_left(self.numbers, self._orders[number], key=self._orders.__getitem__)

    def _compete(self, number: int) -> None:
        """Let a trial come to the front instead of those that it dominates, unless one there dominates it."""
        place, point = self._place(number), self._points[number]
        if self.numbers[place : place + 1] == [number]:
            return
        # In this order, a point can only be dominated by one before it, and only dominate those after it.
        start = max(place - 1, 0) if len(point) <= 2 else 0
        if _is_dominated(point, [self._points[other] for other in self.numbers[start:place]]):
            return
        kept = [other for other in self.numbers[place:] if not dominates(point, self._points[other])]
        self.numbers[place:] = [number, *kept]
        self.num_changes += 1


def join_fronts(fronts: Iterable[Front]) -> dict[int, str]:
    """Return where the trials on the fronts of arms are, by their numbers, the best in the first objective first.

    Returns:
        `words.FRONT_SWEEP` for a trial that is also on the front over all arms, else `words.FRONT_ARM`.
    """
    points = {number: point for front in fronts for number, point in front.points.items()}
    on_both = set(find_front(points))
    order = sorted(points, key=lambda number: points[number], reverse=True)
    return {number: words.FRONT_SWEEP if number in on_both else words.FRONT_ARM for number in order}


class JoinedFronts:
    """The fronts of all arms, joined again only after one of them has changed."""

    def __init__(self) -> None:
        self._num_changes = 0
        self._places: Mapping[int, str] = {}

    def places(self, fronts: Sequence[Front]) -> Mapping[int, str]:
        """Return what `join_fronts` returns; it is the same object as long as no front changes.

        Args:
            fronts: those of all arms; from one call to the next, arms may only be added.
        """
        num_changes = sum(front.num_changes for front in fronts)
        if num_changes != self._num_changes:
            self._num_changes, self._places = num_changes, join_fronts(fronts)
        return self._places

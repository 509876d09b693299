"""The front of a sweep with several objectives: the trials that no other trial dominates.

A point dominates another one if it is better in one objective and not worse in any other. Equal points do not dominate
each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.state.curve import Point
from reports import vocabulary as words


def dominates(point: Point, other: Point) -> bool:
    """Return whether a point dominates another one; of each value the largest is the best."""
    return point != other and all(own >= others for own, others in zip(point, other, strict=True))


def find_front(points: Mapping[int, Point]) -> list[int]:
    """Return the numbers of the points that no other dominates, those with the best first value first."""
    front: list[int] = []
    # In this order, a point can only be dominated by one before it.
    for number in sorted(points, key=lambda number: points[number], reverse=True):
        if not any(dominates(points[other], points[number]) for other in front):
            front.append(number)
    return front


class Front:
    """The front of an arm, updated with every change of a trial.

    Attributes:
        numbers: the trials on it, those that are best in the first objective first.
    """

    def __init__(self) -> None:
        self._points: dict[int, Point] = {}
        self.numbers: list[int] = []

    @property
    def points(self) -> dict[int, Point]:
        """The points on the front, by the number of the trial."""
        return {number: self._points[number] for number in self.numbers}

    def update(self, number: int, point: Point | None) -> None:
        """Enter, replace or remove the point of a trial; None removes it."""
        if point == self._points.get(number):
            return
        is_on_front = number in self.numbers
        self._points.pop(number, None)
        if point is not None:
            self._points[number] = point
        if is_on_front:
            # Any point may be on the front now.
            self.numbers = find_front(self._points)
        elif point is not None:
            self.numbers = find_front(self.points | {number: point})


def join_fronts(fronts: Iterable[Front]) -> dict[int, str]:
    """Return where the trials on the fronts of arms are, by their numbers, the best in the first objective first.

    Returns:
        `words.FRONT_SWEEP` for a trial that is also on the front over all arms, else `words.FRONT_ARM`.
    """
    points = {number: point for front in fronts for number, point in front.points.items()}
    on_both = set(find_front(points))
    order = sorted(points, key=lambda number: points[number], reverse=True)
    return {number: words.FRONT_SWEEP if number in on_both else words.FRONT_ARM for number in order}

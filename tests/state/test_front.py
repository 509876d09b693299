"""The front of several objectives, against a definition of its own: every pair of points is compared."""

from __future__ import annotations

import itertools
import math
import random
from typing import Literal

import pytest

from orchestrator.state.curve import Objective, Point
from orchestrator.state.front import Front, JoinedFronts, dominates, find_front, join_fronts

Values = tuple[float, ...]
Mode = Literal["min", "max"]


def is_beaten(values: Values, others: list[Values], modes: list[Mode]) -> bool:
    """Whether some other values are nowhere worse and somewhere better, said without signs."""
    for other in others:
        pairs = list(zip(values, other, modes, strict=True))
        worse = [theirs < own if mode == "max" else theirs > own for own, theirs, mode in pairs]
        better = [theirs > own if mode == "max" else theirs < own for own, theirs, mode in pairs]
        if any(better) and not any(worse):
            return True
    return False


def brute_front(values_by_number: dict[int, Values], modes: list[Mode]) -> set[int]:
    finite = {number: values for number, values in values_by_number.items() if all(map(math.isfinite, values))}
    return {number for number, values in finite.items() if not is_beaten(values, list(finite.values()), modes)}


def random_values(generator: random.Random, size: int) -> Values:
    """Values on a coarse grid, so that many are equal, and some NaN or infinite."""
    return tuple(generator.choice([*range(6), *range(6), math.nan, math.inf]) / 1.0 for _ in range(size))


def objective_of(modes: list[Mode]) -> Objective:
    first, *beside = modes
    return Objective("m0", first, beside={f"m{place}": mode for place, mode in enumerate(beside, 1)})


def point_of(objective: Objective, values: Values) -> Point | None:
    return objective.point_of({"metrics": {f"m{place}": value for place, value in enumerate(values)}})


@pytest.mark.parametrize(
    "modes", [list(modes) for size in (1, 2, 3) for modes in itertools.product(["min", "max"], repeat=size)]
)
def test_the_front_is_that_of_every_pair(modes: list[Mode]) -> None:
    objective = objective_of(modes)
    for seed in range(30):
        generator = random.Random(seed)
        values = {number: random_values(generator, len(modes)) for number in range(generator.randrange(30))}
        points = {number: point for number, own in values.items() if (point := point_of(objective, own)) is not None}
        front = find_front(points)
        assert set(front) == brute_front(values, modes)
        assert len(front) == len(set(front))
        best_first = [values[number][0] for number in front]
        assert best_first == sorted(best_first, reverse=modes[0] == "max")


@pytest.mark.parametrize("modes", [["max", "min"], ["min", "min", "max"]])
def test_a_front_that_is_updated_is_one_that_is_made_afresh(modes: list[Mode]) -> None:
    """Trials end, are opened again and end elsewhere, in any order."""
    objective = objective_of(modes)
    generator = random.Random(5)
    fronts = {"a": Front(), "b": Front()}
    values: dict[int, Values] = {}
    for _ in range(600):
        number = generator.randrange(25)
        own = random_values(generator, len(modes))
        point = point_of(objective, own) if generator.random() < 0.8 else None
        fronts["ab"[number % 2]].update(number, point)
        values.pop(number, None)
        if point is not None:
            values[number] = own
        of_arms = set()
        for place, front in enumerate(fronts.values()):
            own_values = {number: one for number, one in values.items() if number % 2 == place}
            assert set(front.numbers) == brute_front(own_values, modes)
            of_arms |= set(front.numbers)
        places = join_fronts(fronts.values())
        assert places.keys() == of_arms
        assert {number for number, place in places.items() if place == "sweep"} == brute_front(values, modes)


class AfreshFront:
    """A front that is made afresh from every point after each change, in the order in which it is promised."""

    def __init__(self) -> None:
        self.entered: dict[int, Point] = {}

    def update(self, number: int, point: Point | None) -> None:
        if point != self.entered.get(number):
            self.entered.pop(number, None)
            self.entered |= {} if point is None else {number: point}

    @property
    def points(self) -> dict[int, Point]:
        known = list(self.entered.values())
        front = {
            number: point for number, point in self.entered.items() if not any(dominates(one, point) for one in known)
        }
        # Python's sort keeps equal points in the order in which they were entered.
        return dict(sorted(front.items(), key=lambda item: item[1], reverse=True))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("spread", [2, 5, 1000])
def test_a_front_has_the_order_of_one_that_is_made_afresh(size: int, spread: int) -> None:
    """Points come, change and go, many of them equal, and some are entered again as they were."""
    for seed in range(12):
        generator = random.Random(f"{seed} {size} {spread}")
        front, afresh, joined = Front(), AfreshFront(), JoinedFronts()
        for _ in range(150):
            number = generator.randrange(25)
            point = tuple(generator.randrange(-spread, spread) / 2 for _ in range(size))
            chosen = None if generator.random() < 0.3 else point
            if generator.random() < 0.1:
                chosen = afresh.entered.get(number)
            front.update(number, chosen)
            afresh.update(number, chosen)
            assert front.numbers == list(afresh.points)
            assert list(front.points.items()) == list(afresh.points.items())
            assert list(joined.places([front]).items()) == list(join_fronts([front]).items())


class CountedValue(float):
    """A value that counts how often it is compared with another one by `dominates`."""

    num_comparisons = 0

    def __ge__(self, other: float) -> bool:
        CountedValue.num_comparisons += 1
        return float.__ge__(self, other)


@pytest.mark.parametrize("size", [2, 3])
def test_a_new_point_is_compared_with_each_point_of_the_front_at_most_twice(size: int) -> None:
    generator = random.Random(0)
    front = Front()
    for number in range(200):
        first = generator.random()
        point = tuple(map(CountedValue, (first, 1 - first, first)[:size]))
        CountedValue.num_comparisons = 0
        front.update(number, point)
        assert CountedValue.num_comparisons <= size * 2 * number
    assert len(front.numbers) == 200
    for number in range(200):
        CountedValue.num_comparisons = 0
        front.update(number, None)
        assert CountedValue.num_comparisons <= size * (200 - number)


def test_the_fronts_of_arms_are_joined_only_after_a_change() -> None:
    fronts, joined = [Front(), Front()], JoinedFronts()
    fronts[0].update(1, (1.0, 1.0))
    places = joined.places(fronts)
    assert places == {1: "sweep"}
    # This trial is dominated within its arm, and another one is asked for in a new arm.
    fronts[0].update(2, (0.0, 1.0))
    fronts.append(Front())
    assert joined.places(fronts) is places
    fronts[1].update(3, (2.0, 2.0))
    assert joined.places(fronts) == {3: "sweep", 1: "arm"}
    fronts[0].update(1, None)
    assert joined.places(fronts) == {3: "sweep", 2: "arm"}
    fronts[1].update(3, (0.0, 0.0))
    assert joined.places(fronts) == {2: "sweep", 3: "arm"}


def test_a_missing_value_has_no_point() -> None:
    objective = Objective("m0", "max", beside={"m1": "min"})
    assert objective.point_of({"metrics": {"m0": 1.0}}) is None
    assert objective.point_of({"metrics": {"m0": 1.0, "m1": 2.0}}) == (1.0, -2.0)
    assert Objective(**objective.to_record()) == objective

import math

import pytest

from orchestrator.search_space.domains import KINDS, Choice, Domain, Int, LogInt, LogUniform, QUniform, Uniform

ALMOST_ONE = math.nextafter(1, 0)

GOOD = [
    (Choice, ["a", "b", 3]),
    (Uniform, [-1, 2]),
    (LogUniform, [1e-4, 3e-3]),
    (QUniform, [0, 1, 0.1]),
    (Int, [3, 9]),
    (LogInt, [8, 512]),
]


@pytest.mark.parametrize(("kind", "given"), GOOD)
def test_both_ends_belong_to_a_domain_and_nothing_lies_outside(kind: type[Domain], given: list[float]) -> None:
    domain = kind.parse(given)
    assert domain is not None
    assert domain.at(0) == (domain.edges()[0] if kind is Choice else pytest.approx(domain.edges()[0]))
    assert domain.at(ALMOST_ONE) == pytest.approx(domain.edges()[-1])
    if kind is not Choice:
        low, high = domain.edges()
        drawn = [domain.at(i / 1000) for i in range(1000)]
        assert all(low <= value <= high for value in drawn)
        assert drawn == sorted(drawn)


@pytest.mark.parametrize(("kind", "given"), GOOD)
def test_a_domain_is_written_as_it_is_read(kind: type[Domain], given: list[float]) -> None:
    domain = kind.parse(given)
    assert domain is not None
    assert KINDS[domain.kind] is kind
    assert str(domain) == f"{domain.kind} {given}"


def test_quantiles_share_options_and_whole_numbers_evenly() -> None:
    for domain in (Choice(options=("a", "b", "c")), Int(low=1, high=3), QUniform(low=0.1, high=0.3, q=0.1)):
        drawn = [domain.at((i + 0.5) / 300) for i in range(300)]
        assert {drawn.count(value) for value in drawn} == {100}


def test_log_domains_give_every_order_of_magnitude_its_share() -> None:
    assert LogUniform(low=1e-4, high=1).at(0.25) == pytest.approx(1e-3)
    drawn = [LogInt(low=1, high=1000).at((i + 0.5) / 1000) for i in range(1000)]
    assert 280 < sum(int(value) <= 10 for value in drawn) < 420


def test_a_grid_has_the_numbers_that_a_person_would_write() -> None:
    grid = QUniform(low=0, high=1, q=0.1)
    assert [grid.at((i + 0.5) / 11) for i in range(11)] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert grid.takes(0.3)
    assert not grid.takes(0.35)


def test_only_separate_values_are_taken_exactly() -> None:
    assert Choice(options=("a", 2)).takes(2)
    assert Int(low=1, high=4).takes(4)
    assert not Int(low=1, high=4).takes(5)
    assert not Int(low=1, high=4).takes(1.5)
    assert not Int(low=1, high=4).takes("2")
    assert not Uniform(low=0, high=1).takes(0.5)


def test_whole_floats_bound_whole_numbers() -> None:
    assert Int.parse([16, 1e3]) == Int(low=16, high=1000)


@pytest.mark.parametrize("kind", [Uniform, LogUniform, Int, LogInt])
@pytest.mark.parametrize(
    "given",
    [[2, 1], [1, 1], [1], [1, 2, 3], 3, None, "1, 2", {}, [1, "2"], [True, 2], [1, math.inf], [math.nan, 1], [1, None]],
)
def test_two_ordered_finite_numbers_are_needed(kind: type[Domain], given: object) -> None:
    assert kind.parse(given) is None


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (LogUniform, [0, 1]),
        (LogUniform, [-1, 1]),
        (LogInt, [0, 8]),
        (Int, [1, 2.5]),
        (Int, [0, 10**400]),
        (Uniform, [0, 10**400]),
        (QUniform, [0, 1]),
        (QUniform, [0, 1, 0.3]),
        (QUniform, [0, 1, 0]),
        (QUniform, [0, 1, -0.5]),
        (QUniform, [1, 0, 0.5]),
        (Choice, []),
        (Choice, ["a", "a"]),
        (Choice, [1, 1.0]),
        (Choice, ["a", None]),
        (Choice, [["a"], ["b"]]),
        (Choice, "ab"),
        (Choice, [1, math.nan]),
    ],
)
def test_what_a_kind_cannot_use_is_refused(kind: type[Domain], given: object) -> None:
    assert kind.parse(given) is None

"""Intervals, tests and agreement against numbers from the literature, and what is foreseen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reports.listening.statistics import (
    agreement,
    describe_abx_threshold,
    describe_mos_precision,
    holm,
    least_right,
    mean_opinion,
    p_guessing,
    share_right,
)

NO = np.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NO, NO, NO],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NO, 3],
        [NO, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NO],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NO],
    ]
)
"""The example of Krippendorff's "Computing Krippendorff's alpha-reliability" (2011)."""


def test_agreement_is_krippendorffs_ordinal_alpha() -> None:
    assert agreement(KRIPPENDORFF) == pytest.approx(0.815, abs=0.0005)


def test_agreement_is_one_where_all_say_the_same_and_about_zero_by_chance() -> None:
    rng = np.random.default_rng(0)
    ratings = rng.integers(1, 6, size=200).astype(float)
    assert agreement(np.stack([ratings, ratings])) == 1
    assert agreement(rng.integers(1, 6, size=(3, 2000)).astype(float)) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("ratings", [np.full((2, 3), 4.0), np.array([[1, NO], [NO, 2]]), np.full((2, 3), NO)])
def test_agreement_is_unknown_where_nothing_can_differ(ratings: np.ndarray) -> None:
    assert agreement(ratings) is None


def test_a_mean_opinion_score_has_students_interval_within_the_scale() -> None:
    ratings = [3, 4, 2, 5, 3, 4]
    found = mean_opinion(ratings)
    interval = stats.t.interval(0.95, 5, loc=np.mean(ratings), scale=stats.sem(ratings))
    assert (found.value, found.low, found.high, found.count) == pytest.approx((3.5, *interval, 6))
    assert mean_opinion([5, 5, 4]).high == 5
    assert mean_opinion([3]).low is None


def test_ratings_that_agree_by_rounding_have_an_interval_too() -> None:
    few, many = mean_opinion([4, 4]), mean_opinion([4] * 24)
    assert few.low is not None and few.low < 2
    assert many.low == pytest.approx(3.88, abs=0.01)


def test_a_share_has_wilsons_interval() -> None:
    found = share_right(30, 40)
    assert (found.value, found.low, found.high) == pytest.approx((0.75, 0.598, 0.858), abs=0.001)


def test_the_fewest_right_answers_are_the_first_that_guessing_seldom_reaches() -> None:
    assert least_right(40) == 26
    assert p_guessing(26, 40) < 0.05 <= p_guessing(25, 40)
    assert least_right(4) is None and least_right(5) == 5


def test_holm_is_that_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_what_answers_can_show_is_foreseen() -> None:
    assert describe_abx_threshold(40) == (
        "Better than guessing about a pair: 65 % right (26) or more of 40 answers (1 listener); "
        "57 % right (113) or more of 200 answers (5 listeners); one-sided binomial test, 5 %."
    )
    assert "too few of 4 answers (1 listener)" in describe_abx_threshold(4)
    assert "after 1 listener (8 ratings a system) about ± 0.84" in describe_mos_precision(8)
    assert "1 listener" not in describe_mos_precision(1)

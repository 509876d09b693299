"""Strengths from votes about pairs: known ones are recovered, intervals cover them, and the next pair is useful."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from reports.listening.bradley_terry import (
    PRIOR_SD,
    TIE_PRIOR,
    PairVotes,
    fit_strengths,
    order_information,
    outcome_probabilities,
    plan_pairs,
)
from tests.benchmarks.listeners import votes_needed

KNOWN = np.array([1.5, 0.5, -0.5, -1.5])
LOG_TIE = -1.0


def simulate(generator: np.random.Generator, per_pair: int) -> PairVotes:
    """Let a listener with the known strengths vote on every pair."""
    wins, ties = np.zeros((4, 4)), np.zeros((4, 4))
    for first, second in zip(*np.triu_indices(4, k=1), strict=True):
        probabilities = outcome_probabilities(KNOWN[first] - KNOWN[second], LOG_TIE)
        won, tied, lost = generator.multinomial(per_pair, probabilities)
        wins[first, second], wins[second, first] = won, lost
        ties[first, second] = ties[second, first] = tied
    return PairVotes(wins, ties)


def test_the_fit_is_the_maximum_that_a_general_optimizer_finds() -> None:
    votes = simulate(np.random.default_rng(0), 6)

    def loss(parameters: np.ndarray) -> float:
        values, log_tie = parameters[:-1], parameters[-1]
        total = (values**2).sum() / 2 / PRIOR_SD**2 + (log_tie - TIE_PRIOR[0]) ** 2 / 2 / TIE_PRIOR[1] ** 2
        for first, second in zip(*np.triu_indices(4, k=1), strict=True):
            won, tied, lost = np.log(outcome_probabilities(values[first] - values[second], log_tie))
            total -= (
                votes.wins[first, second] * won + votes.wins[second, first] * lost + votes.ties[first, second] * tied
            )
        return float(total)

    expected = optimize.minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8}).x
    fitted = fit_strengths(votes)
    assert fitted.values == pytest.approx(expected[:-1] - expected[:-1].mean(), abs=1e-4)
    assert fitted.log_tie == pytest.approx(expected[-1], abs=1e-4)


def test_known_strengths_are_recovered_and_their_intervals_cover_them() -> None:
    generator = np.random.default_rng(1)
    many = fit_strengths(simulate(generator, 2000))
    assert many.values == pytest.approx(KNOWN, abs=0.12)
    covered = []
    for _ in range(200):
        fitted = fit_strengths(simulate(generator, 15))
        centring = np.eye(4) - 1 / 4
        halves = 1.96 * np.sqrt(np.diag(centring @ fitted.covariance @ centring))
        covered.append(np.abs(fitted.values - KNOWN) <= halves)
    assert 0.92 <= np.mean(covered) <= 0.985


def test_a_system_that_wins_every_vote_has_a_finite_strength() -> None:
    wins = np.array([[0.0, 50.0], [0.0, 0.0]])
    fitted = fit_strengths(PairVotes(wins, np.zeros((2, 2))))
    assert 1 < fitted.values[0] < 5 and fitted.values[0] == pytest.approx(-fitted.values[1])


def test_a_stack_of_votes_is_fitted_like_each_of_them() -> None:
    generator = np.random.default_rng(2)
    votes = [simulate(generator, 5) for _ in range(3)]
    stacked = fit_strengths(PairVotes(np.stack([one.wins for one in votes]), np.stack([one.ties for one in votes])))
    for index, one in enumerate(votes):
        assert stacked.values[index] == pytest.approx(fit_strengths(one).values, abs=1e-6)


def test_the_next_pair_is_one_whose_order_is_open() -> None:
    wins = np.zeros((3, 3))
    wins[0, 2] = wins[1, 2] = 20
    wins[0, 1] = wins[1, 0] = 4
    information = order_information(fit_strengths(PairVotes(wins, np.zeros((3, 3)))))
    assert np.allclose(information, information.T) and (information >= 0).all()
    assert information[0, 1] > 3 * max(information[0, 2], information[1, 2])


def test_a_plan_takes_no_pair_more_often_than_it_is_available() -> None:
    nobody = PairVotes(np.zeros((3, 3)), np.zeros((3, 3)))
    available = np.array([[0, 2, 1], [2, 0, 0], [1, 0, 0]])
    assert sorted(plan_pairs(nobody, available, 10)) == [(0, 1), (0, 1), (0, 2)]
    assert len(plan_pairs(nobody, 9 * np.ones((3, 3)), 4)) == 4
    assert len(set(plan_pairs(nobody, np.ones((3, 3)), 3))) == 3


def test_adaptive_pairs_need_fewer_votes_than_random_ones() -> None:
    strengths = np.array([2.0, 0.0, -2.0])
    adaptive, random_pairs = (votes_needed(strengths, is_adaptive, 200, 80) for is_adaptive in (True, False))
    assert adaptive is not None and random_pairs is not None
    assert adaptive <= 0.8 * random_pairs

"""Strengths of systems from votes about pairs with ties, and the pair whose vote says most about their order.

The model is Davidson's extension of the Bradley–Terry model. With strengths s and their difference d = s_i - s_j, a
listener prefers i to j with probability exp(d / 2) / z, j to i with exp(-d / 2) / z, and neither with ν / z; z is the
sum of the three numerators. Without ties (ν = 0) this is the model of Bradley and Terry (1952). Davidson, "On
extending the Bradley–Terry model to accommodate ties in paired comparison experiments", JASA 65 (1970).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PRIOR_SD = 2.0
"""Standard deviation of the strengths' normal prior around 0, without which a system that wins every vote would have an
infinite strength."""
TIE_PRIOR = (-1.0, 1.0)
"""Mean and standard deviation of the normal prior of log ν; at the mean, equal systems tie in 16 % of the votes."""
MAX_STEP = 2.0
"""Longest step of a parameter in one iteration of Newton's method."""
ITERATIONS = 50
TOLERANCE = 1e-8
QUANTILES = 64
"""Number of equally probable values by which the distribution of a difference is approximated."""
STANDARD_NORMAL = np.array([NormalDist().inv_cdf((index + 0.5) / QUANTILES) for index in range(QUANTILES)])


@dataclass(frozen=True)
class PairVotes:
    """How often each system was preferred to each other one.

    Attributes:
        wins: entry (i, j) is how often system i was preferred to j; the last two axes are systems, before them there
            may be others, such as replicates of a bootstrap.
        ties: how often neither was preferred; symmetric, so that each tie is in both (i, j) and (j, i).
    """

    wins: Array
    ties: Array


@dataclass(frozen=True)
class Strengths:
    """Systems on a common scale: a difference d means that the better one is preferred exp(d) times as often.

    Attributes:
        values: the strengths, whose mean is 0; the last axis are systems.
        log_tie: log ν.
        covariance: of the strengths, by Laplace's approximation; the last two axes are systems.
    """

    values: Array
    log_tie: Array
    covariance: Array


def outcome_probabilities(difference: Array, log_tie: float | Array) -> Array:
    """Return the probabilities that the first, neither and the second is preferred, on a new last axis.

    Args:
        difference: strength of the first minus strength of the second.
        log_tie: log ν.
    """
    logits = np.stack([difference / 2, np.broadcast_to(log_tie, difference.shape), -difference / 2], axis=-1)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Array = weights / weights.sum(axis=-1, keepdims=True)
    return probabilities


def fit_strengths(votes: PairVotes) -> Strengths:
    """Return the most probable strengths, which Newton's method finds: the posterior is log-concave."""
    num_systems = votes.wins.shape[-1]
    first, second = np.triu_indices(num_systems, k=1)
    signs = np.zeros((len(first), num_systems))
    signs[np.arange(len(first)), first], signs[np.arange(len(first)), second] = 1, -1
    won, lost, tied = (counts[..., first, second] for counts in (votes.wins, votes.wins.swapaxes(-1, -2), votes.ties))
    total = won + lost + tied
    precision = np.diag([1 / PRIOR_SD**2] * num_systems + [1 / TIE_PRIOR[1] ** 2])
    centre = np.append(np.zeros(num_systems), TIE_PRIOR[0])
    parameters = np.broadcast_to(centre, (*total.shape[:-1], num_systems + 1)).copy()
    for _ in range(ITERATIONS):
        probabilities = outcome_probabilities(parameters[..., :-1] @ signs.T, parameters[..., -1:])
        curvature = precision + _information(signs, total, probabilities)
        # Observed minus expected: half the wins minus half the losses for strengths, ties for log ν.
        excess = (won - lost - total * (probabilities[..., 0] - probabilities[..., 2])) / 2
        surplus_ties = (tied - total * probabilities[..., 1]).sum(axis=-1, keepdims=True)
        gradient = np.concatenate([excess @ signs, surplus_ties], axis=-1) - (parameters - centre) @ precision
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        parameters += np.clip(step, -MAX_STEP, MAX_STEP)
        if np.abs(step).max() < TOLERANCE:
            break
    covariance: Array = np.linalg.inv(curvature).astype(np.float64)[..., :-1, :-1]
    values = parameters[..., :-1]
    return Strengths(values - values.mean(axis=-1, keepdims=True), parameters[..., -1], covariance)


def order_information(strengths: Strengths) -> Array:
    """Return how much a vote on each pair is expected to say about which of the two is better, in nats.

    It is the mutual information of the vote and the sign of the difference, if the strengths are normal with their
    Laplace covariance. So votes go to pairs whose order is open, and not to those that merely have an open distance.

    Returns:
        Symmetric, with systems on the last two axes; the diagonal is 0.
    """
    values, covariance = strengths.values, strengths.covariance
    first, second = np.triu_indices(values.shape[-1], k=1)
    mean = values[..., first] - values[..., second]
    variances = np.diagonal(covariance, axis1=-2, axis2=-1)
    spread = np.sqrt(variances[..., first] + variances[..., second] - 2 * covariance[..., first, second])
    differences = mean[..., None] + spread[..., None] * STANDARD_NORMAL
    probabilities = outcome_probabilities(differences, strengths.log_tie[..., None, None])
    information = _entropy(probabilities.mean(axis=-2))
    for is_of_sign in (differences > 0, differences <= 0):
        share = is_of_sign.mean(axis=-1)
        weights = is_of_sign / np.maximum(is_of_sign.sum(axis=-1, keepdims=True), 1)
        information -= share * _entropy(np.einsum("...pq,...pqo->...po", weights, probabilities))
    matrix = np.zeros((*values.shape, values.shape[-1]))
    matrix[..., first, second] = matrix[..., second, first] = np.maximum(information, 0)
    return matrix


def plan_pairs(votes: PairVotes, available: Array, number: int) -> list[tuple[int, int]]:
    """Choose pairs one after the other, each as if those before it had got the votes that are expected of them.

    Args:
        votes: the votes so far.
        available: how often each pair can be chosen; symmetric, shape (systems, systems).
        number: the number of pairs; fewer are returned if fewer are available.

    Returns:
        The pairs (i, j) with i < j.
    """
    wins, ties, left = votes.wins.copy(), votes.ties.copy(), np.triu(available, k=1)
    pairs: list[tuple[int, int]] = []
    while len(pairs) < number and left.any():
        strengths = fit_strengths(PairVotes(wins, ties))
        information = np.where(left > 0, order_information(strengths), -1)
        first, second = (int(index) for index in np.unravel_index(np.argmax(information), information.shape))
        pairs.append((first, second))
        left[first, second] -= 1
        difference = strengths.values[first] - strengths.values[second]
        expected = outcome_probabilities(np.array(difference), float(strengths.log_tie))
        wins[first, second] += expected[0]
        wins[second, first] += expected[2]
        ties[first, second] += expected[1]
        ties[second, first] += expected[1]
    return pairs


def _information(signs: Array, total: Array, probabilities: Array) -> Array:
    """Return the Fisher information of strengths and log ν: the covariance of half the signed outcome and of ties."""
    first, tie, second = np.moveaxis(probabilities, -1, 0)
    balance = first - second
    of_strengths = total * (first + second - balance**2) / 4
    of_both = -total * balance * tie / 2
    of_tie = (total * tie * (1 - tie)).sum(axis=-1)
    num_systems = signs.shape[1]
    information = np.empty((*total.shape[:-1], num_systems + 1, num_systems + 1))
    information[..., :-1, :-1] = np.einsum("...p,pi,pj->...ij", of_strengths, signs, signs)
    information[..., :-1, -1] = information[..., -1, :-1] = of_both @ signs
    information[..., -1, -1] = of_tie
    return information


def _entropy(probabilities: Array) -> Array:
    """Return the entropy in nats along the last axis."""
    entropy: Array = -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(axis=-1)
    return entropy

"""CMA-ES: its state is computed from the trials of an arm alone, so that a kill changes nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from cmaes import CMA

from orchestrator.search_space.arms import Arm
from orchestrator.search_space.domains import Domain, Int, LogInt, LogUniform, QUniform, Uniform
from orchestrator.search_space.sampler import CMAES
from orchestrator.search_space.scalars import Value
from orchestrator.state.curve import Objective
from orchestrator.state.trial import Trial
from reports import vocabulary as words

FIRST_SIGMA = 0.2
"""The first standard deviation, in quantiles of the domains; Optuna begins with a sixth of each range."""


def propose(
    arm: Arm, trials: Sequence[Trial], values: Mapping[int, float], objective: Objective, *, arm_seed: int, seed: int
) -> dict[str, Value]:
    """Return the next parameters that CMA-ES proposes.

    The search begins at the best of the trials, such as the startup trials, that had ended before its first one was
    proposed; later ones would move the beginning of a search that has continued. Its own trials are taken in the order
    in which they were proposed, a generation at a time, as soon as all of a generation have ended.

    Args:
        arm: the arm, without choices and conditions.
        trials: its search trials, in the order in which they were proposed.
        values: the measured or estimated values of ended trials, or their strengths from votes, by number. An ended
            CMA-ES trial without one counts as the worst.
        objective: only its `mode` is used.
        arm_seed: the seed of the search.
        seed: the seed of this proposal.
    """
    sign = -1 if objective.mode == "max" else 1
    losses = {number: sign * value for number, value in values.items()}
    of_cmaes = [trial for trial in trials if trial.source == CMAES]
    best = _best_before(of_cmaes[0] if of_cmaes else None, trials, losses)
    first_mean = np.full(len(arm.searched), 0.5) if best is None else quantiles_of(arm, best.searched)
    bounds = np.tile([0.0, 1.0], (len(first_mean), 1))
    optimizer = CMA(mean=first_mean, sigma=FIRST_SIGMA, bounds=bounds, seed=arm_seed)
    worst_loss = max(losses.values(), default=0.0)
    size = optimizer.population_size
    for first in range(0, len(of_cmaes), size):
        generation = of_cmaes[first : first + size]
        if len(generation) < size or any(trial.outcome is None for trial in generation):
            break
        optimizer.tell(
            [(quantiles_of(arm, trial.searched), losses.get(trial.number, worst_loss)) for trial in generation]
        )
    optimizer.reseed_rng(seed)
    # A domain has no value at the quantile 1.
    point = dict(zip(arm.searched, np.clip(optimizer.ask(), 0.0, np.nextafter(1.0, 0.0)), strict=True))
    return arm.draw(lambda name, domain: domain.at(float(point[name])))


def _best_before(first: Trial | None, trials: Sequence[Trial], losses: Mapping[int, float]) -> Trial | None:
    """Return the best trial that had ended when the first one of CMA-ES was proposed; None if there was none.

    A pruned trial is the best only if none trained to the end, since its estimated loss may still change.
    """
    ended = [
        trial
        for trial in trials
        if trial.number in losses and (first is None or (trial.ended_ms or 0) <= (first.asked_ms or 0))
    ]
    completed = [trial for trial in ended if trial.outcome == words.OUTCOME_COMPLETED]
    return min(completed or ended, key=lambda trial: losses[trial.number], default=None)


def quantiles_of(arm: Arm, searched: Mapping[str, Value]) -> np.ndarray:
    """Return the quantiles at which the domains of an arm have these values, of shape (parameters,)."""
    return np.array([_quantile(domain, searched[name]) for name, domain in arm.searched.items()])


def _quantile(domain: Domain, value: Value) -> float:
    """Return a quantile at which a domain of numbers has a value; the middle of them if there are several."""
    assert isinstance(value, int | float)
    match domain:
        case Uniform():
            return (value - domain.low) / (domain.high - domain.low)
        case LogUniform():
            return math.log(value / domain.low) / math.log(domain.high / domain.low)
        case QUniform():
            return ((value - domain.low) / domain.q + 0.5) / ((domain.high - domain.low) / domain.q + 1)
        case Int():
            return (value - domain.low + 0.5) / (domain.high - domain.low + 1)
        case LogInt():
            low, high = domain.low - 0.5, domain.high + 0.5
            return math.log(value / low) / math.log(high / low)
    raise AssertionError(f"no number has a quantile in {domain!r}")

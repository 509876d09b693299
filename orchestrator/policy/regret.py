"""How much better than its best trial a trial of an arm may still become, for `budget.stop_when.regret_below`.

The bound is that of Makarova et al., "Automatic Termination for Hyperparameter Optimization" (AutoML 2022): of a
Gaussian process over the better half of the trials, the largest upper confidence bound of any point, less the largest
lower one of these trials. Optuna's `RegretBoundEvaluator` is too small in two ways: it takes the largest of 2,048
random points for the largest of all, and divides β by 5, as if the paper's theorem held for that
(`tests/benchmarks/regret.py` measures both).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# Optuna is pinned to a version; its public evaluator has neither a search for the maximum nor a choice of β.
from optuna._gp import acqf, gp, optim_mixed, prior
from optuna._gp.search_space import SearchSpace
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from orchestrator.policy.forecast import forecast_values
from orchestrator.policy.frozen_trials import distribution, make_directions, make_frozen_trial
from orchestrator.policy.ranges import is_inside
from orchestrator.policy.without_results import derive_seed
from orchestrator.search_space.arms import Arm
from orchestrator.search_space.sampler_choice import LEAST_TRIALS_OF_REGRET
from orchestrator.search_space.sweep import Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective
from orchestrator.state.events.sweep import Bounded
from orchestrator.state.ledger import Ledger
from reports import vocabulary as words

UNCERTAINTY = 0.1
"""The probability with which a bound may be too small: one of 90 %."""
NUM_CLIMBS = 20
"""The points from which the largest upper confidence bound is searched."""
NUM_KNOWN_STARTS = 9
"""How many of them are trials: those with the largest upper confidence bounds."""


def write_bounds(sweep: Sweep, ledger: Ledger, arms: Sequence[Arm]) -> None:
    """Write a bound to the log for each arm in which trials have ended since its last one.

    What the log has decides whether an arm ends, so that a kill changes no decision.

    Args:
        sweep: the search space, with `budget.stop_when.regret_below`.
        ledger: the state of the sweep.
        arms: the arms that may get another trial.
    """
    stop_when = sweep.space.budget.stop_when
    assert stop_when is not None and stop_when.regret_below is not None
    budget = Budget(sweep, ledger)
    for arm in arms:
        tally, last = ledger.tally(arm.name), ledger.regret_bounds.get(arm.name)
        num_ended = len(tally.ended)
        if num_ended < LEAST_TRIALS_OF_REGRET or (last is not None and last.trials == num_ended):
            continue
        if len(tally.of_stage(words.STAGE_SEARCH)) >= budget.trials(arm.name):
            continue
        regret = bound_regret(sweep, ledger, arm)
        if regret is not None:
            ledger.write(Bounded(arm=arm.name, trials=num_ended, regret=regret, limit=stop_when.regret_below))


def bound_regret(sweep: Sweep, ledger: Ledger, arm: Arm) -> float | None:
    """Return by how much a trial of an arm may still be better than its best one, with a confidence of 90 %.

    A pruned trial counts with what it would have reached, as for the GP sampler (`forecast_values`).

    Args:
        sweep: the search space.
        ledger: the trials so far.
        arm: the arm; all of its searched parameters are numbers.

    Returns:
        The bound in the unit of the objective; None where too few trials have a value.
    """
    objective = Objective.of(sweep.space)
    trials = [trial for trial in ledger.of_arm(arm.name, words.STAGE_SEARCH) if is_inside(arm, trial)]
    points = {number: [value] for number, value in forecast_values(trials, objective).items()}
    if len(points) < LEAST_TRIALS_OF_REGRET:
        return None
    distributions = {name: distribution(domain) for name, domain in arm.searched.items()}
    frozen_trials = [
        make_frozen_trial(trial, objective, distributions, values=points) for trial in trials if trial.number in points
    ]
    (direction,) = make_directions(objective, None)
    # A trial that has not ended has no value; so all of these are complete.
    return bound_improvement(frozen_trials, direction, derive_seed(sweep.space.seed, "regret", arm.name, len(points)))


def bound_improvement(trials: Sequence[FrozenTrial], direction: StudyDirection, seed: int) -> float:
    """Return by how much any point may be better than the best trial, with a confidence of 90 %.

    Args:
        trials: complete trials, at least `LEAST_TRIALS_OF_REGRET`, of the same parameters, which are numbers.
        direction: whether larger or smaller values are better.
        seed: draws the points from which the best possible value is searched.
    """
    space = SearchSpace(trials[0].distributions)
    sign = 1 if direction == StudyDirection.MAXIMIZE else -1
    values = sign * np.array([trial.value for trial in trials], np.float64)
    count = max(LEAST_TRIALS_OF_REGRET, len(trials) // 2)
    is_better = values >= np.sort(values)[-count]
    points, values = space.get_normalized_params(list(trials))[is_better], values[is_better]
    spread = max(1e-10, float(values.std()))
    model = gp.fit_kernel_params(
        X=points,
        Y=(values - values.mean()) / spread,
        is_categorical=space.is_categorical,
        log_prior=prior.default_log_prior,
        minimum_noise=prior.DEFAULT_MINIMUM_NOISE_VAR,
        deterministic_objective=False,
    )
    beta = 2 * math.log(points.shape[1] * len(points) ** 2 * math.pi**2 / (6 * UNCERTAINTY))
    upper, lower = acqf.UCB(model, space, beta), acqf.LCB(model, space, beta)
    bounds = upper.eval_acqf_no_grad(points)
    _, best_possible = optim_mixed.optimize_acqf_mixed(
        upper,
        warmstart_normalized_params_array=points[np.argsort(-bounds, kind="stable")[:NUM_KNOWN_STARTS]],
        n_local_search=NUM_CLIMBS,
        rng=np.random.RandomState(seed),
    )
    return spread * (max(best_possible, float(bounds.max())) - float(lower.eval_acqf_no_grad(points).max()))

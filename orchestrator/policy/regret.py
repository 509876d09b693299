"""How much better than its best trial a trial of an arm may still become, for `budget.stop_when.regret_below`.

The bound is that of Optuna's terminator: of a Gaussian process over the better half of the trials, the largest upper
confidence bound of any point, less the largest lower one of these trials (Makarova et al., "Automatic Termination for
Hyperparameter Optimization", AutoML 2022).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna
from optuna.terminator import RegretBoundEvaluator

from orchestrator.policy.forecast import forecast_values
from orchestrator.policy.frozen_trials import distribution, make_directions, make_frozen_trial
from orchestrator.policy.points import derive_seed
from orchestrator.policy.ranges import is_inside
from orchestrator.search_space.arms import Arm
from orchestrator.search_space.search import LEAST_TRIALS_OF_REGRET
from orchestrator.search_space.sweep import Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective
from orchestrator.state.events.sweep import Bounded
from orchestrator.state.ledger import Ledger
from reports import vocabulary as words


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
    seed = derive_seed(sweep.space.seed, "regret", arm.name, len(points))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = RegretBoundEvaluator(seed=seed)
    # A trial that has not ended has no value; so all of these are complete, the only ones that the evaluator takes.
    return float(evaluator.evaluate(frozen_trials, direction))

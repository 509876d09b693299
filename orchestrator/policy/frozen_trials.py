"""Trials in Optuna's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from orchestrator.search_space.domains import Choice, Domain, Int, LogInt, LogUniform, QUniform, Uniform
from orchestrator.search_space.scalars import Value
from orchestrator.state.curve import Objective
from orchestrator.state.trial import PARAMETER_CAUSES, Trial
from reports import vocabulary as words

optuna.logging.set_verbosity(optuna.logging.ERROR)

STATES = {
    words.OUTCOME_COMPLETED: TrialState.COMPLETE,
    words.OUTCOME_PRUNED: TrialState.PRUNED,
    words.OUTCOME_FAILED: TrialState.FAIL,
    None: TrialState.RUNNING,
}


def make_frozen_trial(
    trial: Trial,
    objective: Objective,
    distributions: Mapping[str, BaseDistribution],
    preferences: Mapping[int, float] | None = None,
    values: Mapping[int, Sequence[float]] | None = None,
) -> FrozenTrial:
    """Return a trial in Optuna's form; its intermediate values are the best objective up to each epoch.

    Args:
        trial: the trial.
        objective: the metric to optimize.
        distributions: Optuna's form of the domain of each searched parameter.
        preferences: strengths of trials from votes, which are maximized instead of the metric; None without votes.
        values: the values of the trials that count as complete, one for each objective, by number; None if their own
            outcomes count, as is possible with a single objective.
    """
    state, value, steps = describe_result(trial, objective, preferences)
    results = None if value is None else [value]
    if values is not None and state is not TrialState.RUNNING:
        steps = {}
        results = list(values[trial.number]) if trial.number in values else None
        state = TrialState.COMPLETE if results else TrialState.FAIL
    if objective.beside:
        # Optuna has no intermediate values of several objectives.
        steps = {}
    return optuna.trial.create_trial(
        state=state,
        values=results,
        params=dict(trial.searched),
        distributions={name: distributions[name] for name in trial.searched},
        intermediate_values=steps,
    )


def make_directions(objective: Objective, preferences: Mapping[int, float] | None) -> list[StudyDirection]:
    """Return Optuna's direction of each objective; strengths from votes are maximized."""
    modes = ["max"] if preferences is not None else objective.modes.values()
    return [StudyDirection.MAXIMIZE if mode == "max" else StudyDirection.MINIMIZE for mode in modes]


def describe_result(
    trial: Trial, objective: Objective, preferences: Mapping[int, float] | None
) -> tuple[TrialState, float | None, dict[int, float]]:
    """Return a trial's state, value and intermediate values by epoch, in Optuna's terms."""
    is_due_to_parameters = trial.outcome == words.OUTCOME_DIVERGED or trial.cause in PARAMETER_CAUSES
    if is_due_to_parameters:
        # TPE ignores trials with the state FAIL, and would propose such parameters again.
        return TrialState.PRUNED, None, {}
    state = STATES[trial.outcome]
    if preferences is not None:
        strength = preferences.get(trial.number)
        if state is TrialState.COMPLETE and strength is None:
            # It waits for votes.
            return TrialState.RUNNING, None, {}
        return state, strength if state is TrialState.COMPLETE else None, {}
    steps = {epoch: best for epoch, _, best in trial.curve.best_so_far(objective)}
    if objective.constraints and not steps and state in (TrialState.COMPLETE, TrialState.PRUNED):
        # No epoch has met the constraints: worse than any other trial, and to be learned from.
        return TrialState.PRUNED, None, {}
    if state is TrialState.COMPLETE and not steps:
        state = TrialState.FAIL
    value = steps[max(steps)] if state is TrialState.COMPLETE else None
    return state, value, steps


def distribution(domain: Domain) -> BaseDistribution:
    """Return Optuna's form of a domain; both bounds are included."""
    match domain:
        case Choice():
            return CategoricalDistribution(domain.options)
        case Uniform():
            return FloatDistribution(domain.low, domain.high)
        case LogUniform():
            return FloatDistribution(domain.low, domain.high, log=True)
        case QUniform():
            return FloatDistribution(domain.low, domain.high, step=domain.q)
        case Int():
            return IntDistribution(domain.low, domain.high)
        case LogInt():
            return IntDistribution(domain.low, domain.high, log=True)
    raise AssertionError(f"no distribution for {domain!r}")


def suggest_value(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    """Return the value that Optuna suggests for one parameter of a trial."""
    optuna_distribution = distribution(domain)
    if isinstance(optuna_distribution, FloatDistribution):
        return trial.suggest_float(
            name,
            optuna_distribution.low,
            optuna_distribution.high,
            step=optuna_distribution.step,
            log=optuna_distribution.log,
        )
    if isinstance(optuna_distribution, IntDistribution):
        return trial.suggest_int(name, optuna_distribution.low, optuna_distribution.high, log=optuna_distribution.log)
    assert isinstance(optuna_distribution, CategoricalDistribution)
    chosen = trial.suggest_categorical(name, optuna_distribution.choices)
    assert chosen is not None
    return chosen

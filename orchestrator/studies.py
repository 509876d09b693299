"""What Optuna proposes: a function of what an arm's trials have shown.

The study is rebuilt in memory for every question (25 µs a trial), so that nothing can be out of step with the sweep
log: the same log gives the same next suggestion.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from orchestrator.domains import Choice, Domain, Int, LogInt, LogUniform, QUniform, Uniform
from orchestrator.search_space import Arm, Sweep
from orchestrator.trial import Objective, Trial, Value
from reports import vocabulary as words

optuna.logging.set_verbosity(optuna.logging.ERROR)

STATES = {
    words.OUTCOME_COMPLETED: TrialState.COMPLETE,
    words.OUTCOME_PRUNED: TrialState.PRUNED,
    # Told as a failure it would be invisible to TPE, which would then go back to where trials diverge.
    words.OUTCOME_DIVERGED: TrialState.PRUNED,
    words.OUTCOME_FAILED: TrialState.FAIL,
    None: TrialState.RUNNING,
}


def derive_seed(*parts: object) -> int:
    """A seed in [0, 2³¹) that depends on all parts and on nothing else."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def suggest(sweep: Sweep, arm: Arm, trials: Sequence[Trial], index: int) -> tuple[dict[str, Value], str]:
    """Values of an arm's searched parameters for its next trial.

    The first `startup_trials` are the same quasi-random points in every arm; TPE, which sees the arm's trials, proposes
    the others.

    Args:
        sweep: what is searched.
        arm: where.
        trials: the arm's trials so far, in the order in which they were asked for.
        index: place of the next trial in the arm, from 0 on; its randomness comes from (seed, arm, index).

    Returns:
        The values and their source: `startup`, `tpe`, or `fixed` where nothing is searched.
    """
    if not arm.searched:
        return {}, "fixed"
    if index < sweep.space.search.startup_trials:
        return _startup_point(sweep, arm, index), "startup"
    return _tpe_point(sweep, arm, trials, index), "tpe"


def _startup_point(sweep: Sweep, arm: Arm, index: int) -> dict[str, Value]:
    # One Sobol dimension for each name searched anywhere, so that a parameter has the same values in all arms.
    names = list(dict.fromkeys(name for each in sweep.arms for name in each.searched))
    count = sweep.space.search.startup_trials
    sobol = qmc.Sobol(len(names), scramble=True, rng=derive_seed(sweep.space.seed, "startup"))
    point = sobol.random_base2((count - 1).bit_length())[index]
    return arm.draw(lambda name, domain: domain.at(float(point[names.index(name)])))


def _tpe_point(sweep: Sweep, arm: Arm, trials: Sequence[Trial], index: int) -> dict[str, Value]:
    objective = Objective(sweep.space.objective.metric, sweep.space.objective.mode)
    # Startup points are ours, so TPE needs none of its own.
    sampler = optuna.samplers.TPESampler(n_startup_trials=1, seed=derive_seed(sweep.space.seed, arm.name, index))
    study = optuna.create_study(
        storage=optuna.storages.InMemoryStorage(),
        sampler=sampler,
        direction="maximize" if objective.mode == "max" else "minimize",
    )
    distributions = {name: distribution(domain) for name, domain in arm.searched.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.add_trials([frozen(trial, objective, distributions) for trial in trials])
    asked = study.ask()
    return arm.draw(lambda name, domain: _suggest_value(asked, name, domain))


def frozen(trial: Trial, objective: Objective, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """A trial as Optuna is told of it; its intermediate values are the best so far."""
    state = STATES[trial.outcome]
    diverged = trial.outcome == words.OUTCOME_DIVERGED
    steps = {} if diverged else {row["epoch"]: best for row, best in objective.best_so_far(trial)}
    if state is TrialState.COMPLETE and not steps:
        state = TrialState.FAIL
    return optuna.trial.create_trial(
        state=state,
        value=steps[max(steps)] if state is TrialState.COMPLETE else None,
        params=dict(trial.searched),
        distributions={name: distributions[name] for name in trial.searched},
        intermediate_values=steps,
    )


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's form of a domain; both bounds belong to it."""
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


def _suggest_value(asked: optuna.Trial, name: str, domain: Domain) -> Value:
    found = distribution(domain)
    if isinstance(found, FloatDistribution):
        return asked.suggest_float(name, found.low, found.high, step=found.step, log=found.log)
    if isinstance(found, IntDistribution):
        return asked.suggest_int(name, found.low, found.high, log=found.log)
    assert isinstance(found, CategoricalDistribution)
    chosen = asked.suggest_categorical(name, found.choices)
    assert chosen is not None
    return chosen

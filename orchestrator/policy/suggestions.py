"""What Optuna proposes: a function of what an arm's trials have shown, so that the same log gives the same suggestion.

An arm's study stays in memory and is told of what has changed since the last question. It is rebuilt whenever that is
not enough, such as after a trial was opened again.
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

from orchestrator.search_space.domains import Choice, Domain, Int, LogInt, LogUniform, QUniform, Uniform, Value
from orchestrator.search_space.reader import Arm, Sweep
from orchestrator.state.curve import Objective
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words

optuna.logging.set_verbosity(optuna.logging.ERROR)

STATES = {
    words.OUTCOME_COMPLETED: TrialState.COMPLETE,
    words.OUTCOME_PRUNED: TrialState.PRUNED,
    words.OUTCOME_FAILED: TrialState.FAIL,
    None: TrialState.RUNNING,
}
OF_PARAMETERS = (words.CAUSE_OOM, words.CAUSE_TIMEOUT)
"""Causes of failures that a trial's parameters have brought about: TPE has to see them, as it sees divergences."""


def derive_seed(*parts: object) -> int:
    """A seed in [0, 2³¹) that depends on all parts and on nothing else."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


class Studies:
    """Answers which values an arm's next trial gets."""

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        self._sweep = sweep
        self._ledger = ledger
        self._objective = Objective(sweep.space.objective.metric, sweep.space.objective.mode)
        self._studies: dict[str, _ArmStudy] = {}

    def suggest(self, arm: Arm, index: int) -> tuple[dict[str, Value], str]:
        """Values of an arm's searched parameters for its next trial.

        The first `startup_trials` are the same quasi-random points in every arm; TPE, which sees the arm's trials,
        proposes the others.

        Args:
            arm: where.
            index: place of the next trial in the arm, from 0 on; its randomness comes from (seed, arm, index).

        Returns:
            The values and their source: `startup`, `tpe`, or `fixed` where nothing is searched.
        """
        if not arm.searched:
            return {}, "fixed"
        if index < self._sweep.space.search.startup_trials:
            return _startup_point(self._sweep, arm, index), "startup"
        study = self._studies.get(arm.name)
        trials = self._ledger.of_arm(arm.name, words.STAGE_SEARCH)
        if study is None or not study.feed(trials, self._ledger.reopened):
            study = self._studies[arm.name] = _ArmStudy(arm, self._objective, trials, self._ledger.reopened)
        return study.ask(derive_seed(self._sweep.space.seed, arm.name, index)), "tpe"


class _ArmStudy:
    """One arm's study, in the order in which its trials were asked for: TPE's answers depend on it."""

    def __init__(self, arm: Arm, objective: Objective, trials: Sequence[Trial], reopened: int) -> None:
        self._arm = arm
        self._objective = objective
        self._reopened = reopened
        self._distributions = {name: distribution(domain) for name, domain in arm.searched.items()}
        self._storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(
            storage=self._storage, direction="maximize" if objective.mode == "max" else "minimize"
        )
        self._study_id = self._storage.get_study_id_from_name(self._study.study_name)
        self._running: dict[int, Trial] = {}
        self._count = 0
        self._asked: dict[str, Value] | None = None
        self._add(trials)

    def feed(self, trials: Sequence[Trial], reopened: int) -> bool:
        """Take over what is new of the arm's trials; False where only a new study can.

        Args:
            trials: all of the arm's search, in the order in which they were asked for.
            reopened: how often a trial of the sweep was opened again, which Optuna can't do with one of its own.
        """
        if reopened != self._reopened:
            return False
        if self._asked is not None:
            if len(trials) == self._count or trials[self._count].searched != self._asked:
                # What was proposed last was never written down, as on a full disk.
                return False
            self._running[self._count] = trials[self._count]
            self._count, self._asked = self._count + 1, None
        self._add(trials[self._count :])
        for place, trial in list(self._running.items()):
            if trial.outcome is not None:
                self._finish(place, trial)
        return True

    def _add(self, trials: Sequence[Trial]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.add_trials([frozen(trial, self._objective, self._distributions) for trial in trials])
        for trial in trials:
            if trial.outcome is None:
                self._running[self._count] = trial
            self._count += 1

    def _finish(self, place: int, trial: Trial) -> None:
        """Let the trial end that Optuna still takes to be running."""
        del self._running[place]
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, place)
        state, value, steps = _result(trial, self._objective)
        for epoch, best in steps.items():
            self._storage.set_trial_intermediate_value(trial_id, epoch, best)
        self._storage.set_trial_state_values(trial_id, state, None if value is None else [value])

    def ask(self, seed: int) -> dict[str, Value]:
        """What TPE proposes for the next trial."""
        # Startup points are ours, so TPE needs none of its own.
        self._study.sampler = optuna.samplers.TPESampler(n_startup_trials=1, seed=seed)
        proposed = self._study.ask()
        self._asked = self._arm.draw(lambda name, domain: _suggest_value(proposed, name, domain))
        return self._asked


def first_point(sweep: Sweep, arm: Arm) -> dict[str, Value]:
    """The values that an arm's first trial gets."""
    return _startup_point(sweep, arm, 0) if arm.searched else {}


def _startup_point(sweep: Sweep, arm: Arm, index: int) -> dict[str, Value]:
    # One Sobol dimension for each name searched anywhere, so that a parameter has the same values in all arms.
    names = list(dict.fromkeys(name for other in sweep.arms for name in other.searched))
    count = sweep.space.search.startup_trials
    sobol = qmc.Sobol(len(names), scramble=True, rng=derive_seed(sweep.space.seed, "startup"))
    point = sobol.random_base2((count - 1).bit_length())[index]
    return arm.draw(lambda name, domain: domain.at(float(point[names.index(name)])))


def frozen(trial: Trial, objective: Objective, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """A trial as Optuna is told of it; its intermediate values are the best so far."""
    state, value, steps = _result(trial, objective)
    return optuna.trial.create_trial(
        state=state,
        value=value,
        params=dict(trial.searched),
        distributions={name: distributions[name] for name in trial.searched},
        intermediate_values=steps,
    )


def _result(trial: Trial, objective: Objective) -> tuple[TrialState, float | None, dict[int, float]]:
    """What a trial came to: its state, its value and its intermediate values, as Optuna knows them."""
    is_of_parameters = trial.outcome == words.OUTCOME_DIVERGED or trial.cause in OF_PARAMETERS
    if is_of_parameters:
        # Told as a failure it would be invisible to TPE, which would then go back to where trials break.
        return TrialState.PRUNED, None, {}
    state = STATES[trial.outcome]
    steps = {epoch: best for epoch, _, best in trial.curve.best_so_far(objective)}
    if state is TrialState.COMPLETE and not steps:
        state = TrialState.FAIL
    return state, steps[max(steps)] if state is TrialState.COMPLETE else None, steps


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


def _suggest_value(trial: optuna.Trial, name: str, domain: Domain) -> Value:
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

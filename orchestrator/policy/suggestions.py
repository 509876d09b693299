"""Parameters of new trials: quasi-random startup points, then Optuna's TPE, with a study for each arm.

The same sweep log gives the same suggestions. An arm's study stays in memory and gets what has changed since the last
suggestion. It is rebuilt where that is not possible, as after a trial was reopened.
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

from orchestrator.search_space.domains import Choice, Domain, Int, LogInt, LogUniform, QUniform, Uniform
from orchestrator.search_space.reader import Arm, Sweep
from orchestrator.search_space.scalars import Value
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
PARAMETER_CAUSES = (words.CAUSE_OOM, words.CAUSE_TIMEOUT)
"""Causes of failures that depend on the parameters: TPE has to learn from them, as it does from divergences."""


def derive_seed(*parts: object) -> int:
    """Return a seed in [0, 2³¹) that is a hash of the parts."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


class Studies:
    """The source of parameters for new trials."""

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        """Begin without studies; each is made when TPE first proposes parameters in its arm.

        Args:
            sweep: the search space.
            ledger: the trials so far.
        """
        self._sweep = sweep
        self._ledger = ledger
        self._objective = Objective(sweep.space.objective.metric, sweep.space.objective.mode)
        self._studies: dict[str, _ArmStudy] = {}

    def suggest(self, arm: Arm, index: int) -> tuple[dict[str, Value], str]:
        """Return values of an arm's searched parameters for its next trial.

        The first `startup_trials` are the same quasi-random points in every arm. TPE proposes the others from the arm's
        own trials.

        Args:
            arm: the arm of the next trial.
            index: the place of the next trial in its arm, from 0 on; TPE's seed comes from (seed, arm, index).

        Returns:
            The values and their source: `startup`, `tpe`, or `fixed` where nothing is searched.
        """
        if not arm.searched:
            return {}, "fixed"
        if index < self._sweep.space.search.startup_trials:
            return _startup_point(self._sweep, arm, index), "startup"
        study = self._studies.get(arm.name)
        trials = self._ledger.of_arm(arm.name, words.STAGE_SEARCH)
        # New votes change the strengths of all trials, which Optuna can't do to trials that have ended.
        changes = self._ledger.reopened + self._ledger.hearings
        if study is None or not study.feed(trials, changes):
            preferences = self._ledger.preferences if self._sweep.space.objective.preference else None
            study = self._studies[arm.name] = _ArmStudy(arm, self._objective, trials, changes, preferences)
        return study.ask(derive_seed(self._sweep.space.seed, arm.name, index)), "tpe"


class _ArmStudy:
    """Optuna's study of one arm; trials are in the order in which they were asked for, on which TPE depends."""

    def __init__(
        self,
        arm: Arm,
        objective: Objective,
        trials: Sequence[Trial],
        changes: int,
        preferences: Mapping[int, float] | None = None,
    ) -> None:
        """Make a study of an arm's search trials.

        Args:
            arm: the arm.
            objective: the metric to optimize.
            trials: all search trials of the arm, in the order in which they were asked for.
            changes: how often results of trials that had ended have changed so far.
            preferences: strengths of trials from votes, which are maximized instead of the metric; None without votes.
        """
        self._arm = arm
        self._objective = objective
        self._changes = changes
        self._preferences = preferences
        self._distributions = {name: distribution(domain) for name, domain in arm.searched.items()}
        self._storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(
            storage=self._storage,
            direction="maximize" if objective.mode == "max" or preferences is not None else "minimize",
        )
        self._study_id = self._storage.get_study_id_from_name(self._study.study_name)
        self._running: dict[int, Trial] = {}
        """The trials that have not ended for Optuna, by their number in the study."""
        self._count = 0
        """The number of trials in the study that the ledger has too."""
        self._asked: dict[str, Value] | None = None
        """The last suggestion, until the ledger has a trial with it."""
        self._add(trials)

    def feed(self, trials: Sequence[Trial], changes: int) -> bool:
        """Add the arm's new trials to the study, and finish those that have ended.

        Args:
            trials: all search trials of the arm, in the order in which they were asked for.
            changes: how often results of trials that had ended have changed so far, as when one was reopened or votes
                came; Optuna can't change a finished trial.

        Returns:
            False if the study can't be updated and has to be made anew.
        """
        if changes != self._changes:
            return False
        if self._asked is not None:
            if len(trials) == self._count or trials[self._count].searched != self._asked:
                # The last suggestion was never written to the log, as on a full disk.
                return False
            self._running[self._count] = trials[self._count]
            self._count, self._asked = self._count + 1, None
        self._add(trials[self._count :])
        for number, trial in list(self._running.items()):
            if not self._is_running(trial):
                self._finish(number, trial)
        return True

    def _is_running(self, trial: Trial) -> bool:
        """Return whether a trial has no result for Optuna yet: it is training, or waits for votes."""
        return _describe_result(trial, self._objective, self._preferences)[0] is TrialState.RUNNING

    def _add(self, trials: Sequence[Trial]) -> None:
        """Add trials of the ledger to the study."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.add_trials(
                [make_frozen_trial(trial, self._objective, self._distributions, self._preferences) for trial in trials]
            )
        for trial in trials:
            if self._is_running(trial):
                self._running[self._count] = trial
            self._count += 1

    def _finish(self, number: int, trial: Trial) -> None:
        """Give Optuna the result of a trial that has ended.

        Args:
            number: the trial's number in the study, which is not its number in the sweep.
            trial: the trial.
        """
        del self._running[number]
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        state, value, steps = _describe_result(trial, self._objective, self._preferences)
        for epoch, best in steps.items():
            self._storage.set_trial_intermediate_value(trial_id, epoch, best)
        self._storage.set_trial_state_values(trial_id, state, None if value is None else [value])

    def ask(self, seed: int) -> dict[str, Value]:
        """Return the values that TPE proposes for the next trial."""
        # `_startup_point` made the startup points, so TPE needs none of its own.
        self._study.sampler = optuna.samplers.TPESampler(n_startup_trials=1, seed=seed)
        optuna_trial = self._study.ask()
        self._asked = self._arm.draw(lambda name, domain: _suggest_value(optuna_trial, name, domain))
        return self._asked


def first_point(sweep: Sweep, arm: Arm) -> dict[str, Value]:
    """Return the values of the searched parameters of an arm's first trial."""
    return _startup_point(sweep, arm, 0) if arm.searched else {}


def _startup_point(sweep: Sweep, arm: Arm, index: int) -> dict[str, Value]:
    """Return the values of an arm's startup trial with this index: a point of a scrambled Sobol sequence."""
    # One Sobol dimension for each name searched anywhere, so that a parameter has the same values in all arms.
    names = list(dict.fromkeys(name for other in sweep.arms for name in other.searched))
    count = sweep.space.search.startup_trials
    sobol = qmc.Sobol(len(names), scramble=True, rng=derive_seed(sweep.space.seed, "startup"))
    point = sobol.random_base2((count - 1).bit_length())[index]
    return arm.draw(lambda name, domain: domain.at(float(point[names.index(name)])))


def make_frozen_trial(
    trial: Trial,
    objective: Objective,
    distributions: Mapping[str, BaseDistribution],
    preferences: Mapping[int, float] | None = None,
) -> FrozenTrial:
    """Return a trial in Optuna's form; its intermediate values are the best objective up to each epoch.

    Args:
        trial: the trial.
        objective: the metric to optimize.
        distributions: Optuna's form of the domain of each searched parameter.
        preferences: strengths of trials from votes, which are maximized instead of the metric; None without votes.
    """
    state, value, steps = _describe_result(trial, objective, preferences)
    return optuna.trial.create_trial(
        state=state,
        value=value,
        params=dict(trial.searched),
        distributions={name: distributions[name] for name in trial.searched},
        intermediate_values=steps,
    )


def _describe_result(
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


def _suggest_value(trial: optuna.Trial, name: str, domain: Domain) -> Value:
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

"""Parameters of new trials: quasi-random startup points, then those of a sampler, with a study for each arm.

The same sweep log gives the same suggestions. TPE's study of an arm stays in memory and gets what has changed since the
last suggestion. It is rebuilt where that is not possible, as after a trial was reopened. All other samplers start from
the log at each suggestion. TPE does so with several objectives, since the value of a pruned trial then changes with
the other trials.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import optuna
from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from orchestrator.errors import UserError
from orchestrator.plugins.samplers import make_sampler
from orchestrator.policy.forecast import forecast_points, forecast_values
from orchestrator.policy.frozen_trials import (
    describe_result,
    distribution,
    make_directions,
    make_frozen_trial,
    suggest_value,
)
from orchestrator.policy.ranges import is_inside
from orchestrator.policy.user_trials import WantedTrials, complete
from orchestrator.policy.without_results import derive_seed, propose_without_results
from orchestrator.search_space.reader import Arm, Sweep
from orchestrator.search_space.sampler import AUTO, CHOSEN_BY_AUTO, CMAES, GP, GRID, TPE, is_file
from orchestrator.search_space.sampler_choice import choose_sampler
from orchestrator.search_space.scalars import Value
from orchestrator.state.curve import Objective
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words

CUSTOM = "custom"
"""The source of parameters that a sampler of the user's has proposed."""


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
        self._objective = Objective.of(sweep.space)
        self._studies: dict[str, _ArmStudy] = {}
        self._wanted = WantedTrials(sweep, ledger)

    def suggest(self, arm: Arm, index: int) -> tuple[dict[str, Value], str]:
        """Return values of an arm's searched parameters for its next trial.

        The first `startup_trials` are the same quasi-random points in every arm, and trials of a warm start count as
        some of them. The sampler proposes the others from the arm's own trials and from these.

        Args:
            arm: the arm of the next trial.
            index: the place of the next trial in its arm, from 0 on; the seed comes from (seed, arm, index).

        Returns:
            The values and their source: `own` or `requested` for a configuration of the user's, `startup`, the
            sampler, or `fixed` where nothing is searched.
        """
        if not arm.searched:
            return {}, "fixed"
        wanted, source = self._wanted.next_for(arm, index)
        if arm.searched.keys() <= wanted.keys():
            return arm.draw(lambda name, domain: wanted[name]), source
        proposed, sampler = self._propose_next(arm, index)
        return (complete(arm, wanted, proposed), source) if wanted else (proposed, sampler)

    def _propose_next(self, arm: Arm, index: int) -> tuple[dict[str, Value], str]:
        """Return the values that the arm's sampler proposes, and their source."""
        # Optuna takes no value outside of a range, which may have been narrowed since.
        warm = self._ledger.warm_trials.get(arm.name, [])
        trials = [*warm, *self._ledger.of_arm(arm.name, words.STAGE_SEARCH)]
        trials = [trial for trial in trials if is_inside(arm, trial)]
        used = [trial.searched for trial in trials if trial.source == GRID]
        if point := propose_without_results(self._sweep, arm, index, used, len(warm)):
            return point
        sampler = self._find_sampler(arm)
        seed = derive_seed(self._sweep.space.seed, arm.name, index)
        if sampler == TPE and not self._objective.beside:
            return self._keep_study(arm, trials).ask(seed), TPE
        return self._propose(sampler, arm, trials, seed), CUSTOM if is_file(sampler) else sampler

    def _find_sampler(self, arm: Arm) -> str:
        """Return the sampler of an arm; where `auto` has chosen one before, it is that one."""
        space = self._sweep.space
        if space.search.sampler == AUTO:
            # `auto` depends on trials_per_arm, which may have grown since.
            for trial in reversed(self._ledger.of_arm(arm.name, words.STAGE_SEARCH)):
                if trial.source in CHOSEN_BY_AUTO:
                    return trial.source
        return choose_sampler(space, arm).name

    @property
    def _preferences(self) -> Mapping[int, float] | None:
        """The strengths of trials from votes, if these order the trials."""
        return self._ledger.preferences if self._sweep.space.objective.preference else None

    def _keep_study(self, arm: Arm, trials: Sequence[Trial]) -> _ArmStudy:
        """Return TPE's study of an arm with all of its trials."""
        study = self._studies.get(arm.name)
        # New votes change the strengths of all trials, which Optuna can't do to trials that have ended.
        changes = self._ledger.reopened[arm.name] + self._ledger.preference_updates
        if study is None or not study.feed(trials, changes):
            study = _ArmStudy(arm, self._objective, trials, changes, self._preferences)
            self._studies[arm.name] = study
        return study

    def _propose(self, sampler: str, arm: Arm, trials: Sequence[Trial], seed: int) -> dict[str, Value]:
        """Return the proposal of a sampler that starts from the log: the GP, CMA-ES, one of the user's, or TPE."""
        if self._objective.beside:
            front_study = _ArmStudy(arm, self._objective, trials, 0, values=forecast_points(trials, self._objective))
            return self._ask_afresh(sampler, front_study, seed)
        values = forecast_values(trials, self._objective, self._preferences)
        if sampler == CMAES:
            # Imported here, since few sweeps need it.
            from orchestrator.policy.evolution import propose

            arm_seed = derive_seed(self._sweep.space.seed, arm.name)
            # The largest strength is the best, whether the metric is minimized or maximized.
            objective = self._objective if self._preferences is None else replace(self._objective, mode="max")
            return propose(arm, trials, values, objective, arm_seed=arm_seed, seed=seed)
        points = {number: [value] for number, value in values.items()} if sampler == GP else None
        study = _ArmStudy(arm, self._objective, trials, 0, self._preferences, points)
        return self._ask_afresh(sampler, study, seed)

    def _ask_afresh(self, sampler: str, study: _ArmStudy, seed: int) -> dict[str, Value]:
        """Return the proposal of a sampler for a study that was made for it; name the file of a user's that raises."""
        try:
            # While trials keep every core busy, the small matrices of a GP take many times as long on several
            # threads. One thread also adds up in the same order on every machine.
            with threadpool_limits(1):
                return study.ask(seed, sampler)
        except Exception as error:
            if not is_file(sampler) or isinstance(error, UserError):
                raise
            raise UserError(
                f"{sampler}: raised {type(error).__name__}: {error}; correct it and resume the sweep "
                f"({self._ledger.folder / 'driver.log'} has the traceback)"
            ) from error


class _ArmStudy:
    """Optuna's study of one arm; trials are in the order in which they were asked for, on which TPE depends."""

    def __init__(
        self,
        arm: Arm,
        objective: Objective,
        trials: Sequence[Trial],
        changes: int,
        preferences: Mapping[int, float] | None = None,
        values: Mapping[int, Sequence[float]] | None = None,
    ) -> None:
        """Make a study of an arm's search trials.

        Args:
            arm: the arm.
            objective: the objectives to optimize.
            trials: all search trials of the arm, in the order in which they were asked for.
            changes: how often results of trials that had ended have changed so far.
            preferences: strengths of trials from votes, which are maximized instead of the metric; None without votes.
            values: what each trial that has ended counts for a sampler that only learns from complete trials, a
                value for each objective; by default Optuna gets the outcome and the curve of each.
        """
        self._arm = arm
        self._values = values
        self._objective = objective
        self._changes = changes
        self._preferences = preferences
        self._distributions = {name: distribution(domain) for name, domain in arm.searched.items()}
        self._storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(storage=self._storage, directions=make_directions(objective, preferences))
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
            False if the study can't be updated and has to be made again.
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
        return describe_result(trial, self._objective, self._preferences)[0] is TrialState.RUNNING

    def _add(self, trials: Sequence[Trial]) -> None:
        """Add trials of the ledger to the study."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.add_trials(
                [
                    make_frozen_trial(trial, self._objective, self._distributions, self._preferences, self._values)
                    for trial in trials
                ]
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
        state, value, steps = describe_result(trial, self._objective, self._preferences)
        for epoch, best in steps.items():
            self._storage.set_trial_intermediate_value(trial_id, epoch, best)
        self._storage.set_trial_state_values(trial_id, state, None if value is None else [value])

    def ask(self, seed: int, sampler: str = TPE) -> dict[str, Value]:
        """Return the values that a sampler proposes for the next trial."""
        self._study.sampler = make_sampler(sampler, seed)
        optuna_trial = self._study.ask()
        self._asked = self._arm.draw(lambda name, domain: suggest_value(optuna_trial, name, domain))
        return self._asked

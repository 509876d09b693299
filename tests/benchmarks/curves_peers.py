"""Searches through recorded learning curves by parts of Optuna and Ray alone, without anything of this repository."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import optuna
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from tests.benchmarks.curves_search import Grid, Trainings


def search_with_hyperband(grid: Grid, seed: int, startup_trials: int) -> Trainings:
    """Search with Optuna's TPE and Hyperband, as its documentation combines them: ask, report, should_prune, tell."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trainings, (num_trials, max_epochs) = Trainings(grid), grid.values.shape
    study = optuna.create_study(
        # Hyperband takes a trial's bracket from this name.
        study_name=f"curves {seed}",
        direction="maximize" if grid.mode == "max" else "minimize",
        sampler=optuna.samplers.TPESampler(n_startup_trials=startup_trials, seed=seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=max_epochs, reduction_factor=3),
    )
    for _ in range(num_trials):
        if trainings.is_over:
            break
        trial = study.ask(_distributions(grid))
        index = trainings.begin(trial.params)
        is_pruned = False
        for epoch in range(1, max_epochs + 1):
            trial.report(trainings.train(index, epoch), epoch)
            is_pruned = epoch < max_epochs and trial.should_prune()
            if is_pruned:
                break
        if is_pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            values = study.get_trials(deepcopy=False)[trial.number].intermediate_values.values()
            study.tell(trial, max(values) if grid.mode == "max" else min(values))
    return trainings


def search_with_ray(grid: Grid, seed: int, startup_trials: int) -> Trainings:
    """Search with Ray's `OptunaSearch` and `ASHAScheduler`, called as its Tuner calls them, one trial at a time."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trainings, (num_trials, max_epochs) = Trainings(grid), grid.values.shape
    sampler = optuna.samplers.TPESampler(n_startup_trials=startup_trials, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        searcher = OptunaSearch(_distributions(grid), metric="score", mode=grid.mode, sampler=sampler)
    scheduler = ASHAScheduler(
        time_attr="training_iteration", metric="score", mode=grid.mode, max_t=max_epochs, reduction_factor=3
    )
    for number in range(num_trials):
        if trainings.is_over:
            break
        trial = SimpleNamespace(trial_id=str(number))
        index = trainings.begin(searcher.suggest(trial.trial_id))
        scheduler.on_trial_add(None, trial)
        result: dict[str, float] = {}
        for epoch in range(1, max_epochs + 1):
            result = {"score": trainings.train(index, epoch), "training_iteration": epoch}
            if scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
                break
            searcher.on_trial_result(trial.trial_id, result)
        scheduler.on_trial_complete(None, trial, result)
        # To Optuna a trial that ASHA has stopped is complete, with its last value.
        searcher.on_trial_complete(trial.trial_id, result)
    return trainings


def _distributions(grid: Grid) -> dict[str, optuna.distributions.BaseDistribution]:
    return {
        name: optuna.distributions.FloatDistribution(low, high, log=True) for name, (low, high) in grid.bounds.items()
    }

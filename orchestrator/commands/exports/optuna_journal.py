"""The studies of a sweep as an Optuna journal, which optuna-dashboard opens."""

from __future__ import annotations

import warnings
from datetime import datetime
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from orchestrator.policy.forecast import forecast_points
from orchestrator.policy.frozen_trials import distribution, make_directions, make_frozen_trial
from orchestrator.policy.ranges import cover_trials
from orchestrator.search_space.reader import Sweep, read_stored
from orchestrator.state.curve import Objective
from orchestrator.state.home import find_sweep
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words


def write_journal(home: Path, name: str, file: Path) -> str:
    """Write a study for each arm, named `<sweep>/<arm>`, with the trials of its search as TPE has seen them.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        file: the new journal.

    Returns:
        What was written, in words.

    Raises:
        UserError: there is no such sweep.
    """
    folder = find_sweep(home, name)
    sweep = read_stored(folder)
    ledger = Ledger(folder, Objective.of(sweep.space), read_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        count = _add_studies(JournalStorage(JournalFileBackend(str(file))), sweep, ledger)
    arms = "1 study" if len(sweep.arms) == 1 else f"{len(sweep.arms)} studies"
    return f"{arms}, {words.amount(count, 'trial')}"


def _add_studies(storage: JournalStorage, sweep: Sweep, ledger: Ledger) -> int:
    objective = Objective.of(sweep.space)
    count = 0
    for arm in sweep.arms:
        trials = ledger.of_arm(arm.name, words.STAGE_SEARCH)
        preferences = ledger.preferences if sweep.space.objective.preference else None
        study = optuna.create_study(
            storage=storage,
            study_name=f"{sweep.name}/{arm.name}",
            directions=make_directions(objective, preferences),
        )
        study.set_metric_names([words.PREFERENCE] if preferences is not None else list(objective.modes))
        study.set_user_attr("sweep", sweep.name)
        domains = {name: distribution(domain) for name, domain in cover_trials(arm, trials).items()}
        points = forecast_points(trials, objective) if objective.beside else None
        frozen_trials = [make_frozen_trial(trial, objective, domains, preferences, points) for trial in trials]
        study.add_trials([_add_origin(frozen, trial) for frozen, trial in zip(frozen_trials, trials, strict=True)])
        count += len(trials)
    return count


def _add_origin(frozen_trial: FrozenTrial, trial: Trial) -> FrozenTrial:
    """Set the times of a trial, and its number, outcome and reason as user attributes; return the trial."""
    frozen_trial.datetime_start = datetime.fromtimestamp(trial.asked_ms / 1000)
    if frozen_trial.state.is_finished() and trial.ended_ms is not None:
        frozen_trial.datetime_complete = datetime.fromtimestamp(trial.ended_ms / 1000)
    for key, value in (("trial", trial.number), ("outcome", trial.outcome), ("reason", trial.reason)):
        if value:
            frozen_trial.set_user_attr(key, value)
    return frozen_trial

"""What a pruned trial would have reached, for samplers that can only learn from complete trials.

Optuna's GP ignores pruned trials, and so half of what a sweep with ASHA has measured. A pruned trial's value at its
last epoch is not comparable with the values of complete trials: it would have improved until the last epoch. So the
median improvement of the complete trials from that epoch on is added to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from orchestrator.state.curve import Objective
from orchestrator.state.trial import PARAMETER_CAUSES, RANKED, Trial
from reports import vocabulary as words


def forecast_points(trials: Sequence[Trial], objective: Objective) -> dict[int, list[float]]:
    """Return the values of all objectives of each trial that has ended, for samplers that search for a front.

    The first value is that of `forecast_values`. The others are those at the best epoch of the trial, as measured. A
    trial without them gets the worst of each that another trial has.

    Args:
        trials: the trials of an arm.
        objective: the objectives.

    Returns:
        The values by the numbers of the trials; empty if no trial has all values.
    """
    rows = {trial.number: trial.curve.best_row for trial in trials if trial.outcome in RANKED}
    measured = {
        number: [float(row["metrics"][name]) for name in objective.beside]
        for number, row in rows.items()
        if row is not None and objective.point_of(row) is not None
    }
    if not measured:
        return {}
    columns = zip(*measured.values(), strict=True)
    modes = objective.beside.values()
    worst = [min(column) if mode == "max" else max(column) for column, mode in zip(columns, modes, strict=True)]
    return {
        number: [value, *measured.get(number, worst)] for number, value in forecast_values(trials, objective).items()
    }


def forecast_values(
    trials: Sequence[Trial], objective: Objective, preferences: Mapping[int, float] | None = None
) -> dict[int, float]:
    """Return the value of each trial that has ended: measured for complete trials, estimated for others.

    - A pruned trial gets its best value, plus the median improvement of the complete trials after its last epoch, but
      no better value than the best complete trial: it was stopped because others were better.
    - A trial that its parameters made diverge, or need too much, or without an epoch that meets the constraints, gets
      the worst value of all.
    - Other failed trials get none.

    Args:
        trials: the trials of an arm.
        objective: orders the trials.
        preferences: strengths of trials from votes, which count instead; None without votes.

    Returns:
        The values by the numbers of the trials.
    """
    if preferences is not None:
        return {trial.number: preferences[trial.number] for trial in trials if trial.number in preferences}
    complete = [trial for trial in trials if trial.outcome == words.OUTCOME_COMPLETED and trial.best_value is not None]
    curves = [
        {epoch: best for epoch, _, best in trial.curve.best_so_far(objective)} for trial in complete if trial.epochs
    ]
    values = {trial.number: float(trial.best_value) for trial in complete if trial.best_value is not None}
    best = (max if objective.mode == "max" else min)(values.values(), default=None)
    worse = min if objective.mode == "max" else max
    # Thousands of pruned trials end at a few rungs.
    gain_by_epoch: dict[int, float] = {}
    for trial in trials:
        if trial.outcome == words.OUTCOME_PRUNED and trial.best_value is not None:
            if trial.epochs not in gain_by_epoch:
                gain_by_epoch[trial.epochs] = _median_gain(curves, trial.epochs)
            estimate = trial.best_value + gain_by_epoch[trial.epochs]
            values[trial.number] = estimate if best is None else worse(estimate, best)
    worst = worse(values.values(), default=None)
    for trial in trials:
        is_due_to_parameters = trial.outcome == words.OUTCOME_DIVERGED or trial.cause in PARAMETER_CAUSES
        is_infeasible = bool(objective.constraints) and trial.outcome in RANKED and trial.best_value is None
        if (is_due_to_parameters or is_infeasible) and worst is not None:
            values[trial.number] = worst
    return values


def _median_gain(curves: Sequence[Mapping[int, float]], epoch: int) -> float:
    """Return the median improvement after an epoch, of the best values so far by epoch; 0 if no curve has the epoch."""
    gains = [curve[max(curve)] - curve[epoch] for curve in curves if epoch in curve]
    return median(gains) if gains else 0.0

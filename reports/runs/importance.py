"""Importance of the searched parameters inside an arm, and best values at the edge of their search ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports import vocabulary as words

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MIN_TRIALS = 8
"""With fewer completed trials, fANOVA's random forest would fit noise."""
MAX_TRIALS = 200
"""Number of completed trials whose forest is fitted; of more, this many are drawn at random.

With three parameters, fANOVA took 19 s for 750 trials and 5 s for 200 of them; the shares differed by 0.002.
"""
EDGE_FRACTION = 0.02
"""A value closer to a bound than this fraction of the range (log range if searched on a log scale) is at its edge."""
LOGARITHMIC = ("loguniform", "logint")


def importances(trials: pd.DataFrame, searched: Mapping[str, Mapping[str, list[Any]]], column: str) -> pd.Series | None:
    """Return the importance of each searched parameter of an arm by fANOVA (Hutter, Hoos & Leyton-Brown 2014).

    Args:
        trials: the arm's trials.
        searched: the arm's search space as in the sweep's record: `{"lr": {"loguniform": [1e-4, 3e-3]}}`.
        column: column of `trials` with the objective.

    Returns:
        Shares of the objective's variance, largest first; None if there are fewer than two parameters or `MIN_TRIALS`
        completed trials, or if all have the same objective.
    """
    import optuna  # It takes long to import, and a report without importances doesn't need it.

    names = [name for name in searched if name in trials and trials[name].notna().all()]
    completed = trials[(trials["outcome"] == words.OUTCOME_COMPLETED)].dropna(subset=[column])
    for name in names:
        # If a range was narrowed on resume, earlier trials may lie outside of it; they are dropped.
        # The mask is boolean even without trials: an empty list would select columns.
        is_inside = np.array([_contains(searched[name], value) for value in completed[name]], dtype=bool)
        completed = completed[is_inside]
    if len(completed) < MIN_TRIALS or len(names) < 2 or completed[column].nunique() < 2:
        return None
    if len(completed) > MAX_TRIALS:
        completed = completed.sample(MAX_TRIALS, random_state=0)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: _make_distribution(searched[name]) for name in names}
    study = optuna.create_study()
    for row in completed.to_dict("records"):
        params = {name: row[name] for name in names}
        value = float(row[column])
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    importance_by_param = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return pd.Series(importance_by_param, name="importance").sort_values(ascending=False)


def find_edges(trial: Mapping[str, Any], searched: Mapping[str, Mapping[str, list[Any]]]) -> list[str]:
    """Return a sentence for each parameter whose value is at the edge of its range: better values may lie outside.

    Args:
        trial: settings of the arm's best trial, by name.
        searched: the arm's search space as in the sweep's record.
    """
    edges = []
    for name, domain in searched.items():
        ((kind, bounds),) = domain.items()
        value = trial.get(name)
        if kind == "choice" or not isinstance(value, int | float) or math.isnan(value):
            continue
        low, high = bounds[0], bounds[-1]
        if not low <= value <= high:
            edges.append(f"{name} = {value:.3g} lies outside of {low:g} to {high:g}, its range since it was changed")
            continue
        if kind in LOGARITHMIC:
            position = math.log(value / low) / math.log(high / low)
        else:
            position = (value - low) / (high - low)
        if position < EDGE_FRACTION or position > 1 - EDGE_FRACTION:
            side = "lower" if position < 0.5 else "upper"
            edges.append(f"{name} = {value:.3g} is at the {side} edge of {low:g} to {high:g}")
    return edges


def _contains(domain: Mapping[str, list[Any]], value: Any) -> bool:
    ((kind, bounds),) = domain.items()
    return bool(value in bounds if kind == "choice" else bounds[0] <= value <= bounds[-1])


def _make_distribution(domain: Mapping[str, list[Any]]) -> BaseDistribution:
    """Return Optuna's form of a domain in the sweep's record, such as `{"loguniform": [1e-4, 3e-3]}`."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    ((kind, bounds),) = domain.items()
    if kind == "choice":
        return CategoricalDistribution(bounds)
    if kind in ("int", "logint"):
        return IntDistribution(int(bounds[0]), int(bounds[-1]), log=kind == "logint")
    return FloatDistribution(float(bounds[0]), float(bounds[-1]), log=kind == "loguniform")

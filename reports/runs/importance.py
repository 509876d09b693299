"""What mattered inside an arm: how much of the variance of its trials each searched parameter explains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports import vocabulary as words

MIN_TRIALS = 8
"""Completed trials below which a forest would only repeat the noise."""
OF_RANGE = 0.02
"""So near a bound, as a part of the range (of its logarithm where it was searched on one), is at the edge."""
LOGARITHMIC = ("loguniform", "logint")


def importances(trials: pd.DataFrame, searched: Mapping[str, Mapping[str, list[Any]]], column: str) -> pd.Series | None:
    """Importances of an arm's parameters by fANOVA (Hutter, Hoos and Leyton-Brown, 2014), largest first.

    Args:
        trials: of one arm.
        searched: its domains as the sweep's record has them: `{"lr": {"loguniform": [1e-4, 3e-3]}}`.
        column: the objective.

    Returns:
        None where completed trials are too few, or all alike.
    """
    import optuna

    names = [name for name in searched if name in trials and trials[name].notna().all()]
    completed = trials[(trials["outcome"] == words.OUTCOME_COMPLETED)].dropna(subset=[column])
    if len(completed) < MIN_TRIALS or len(names) < 2 or completed[column].nunique() < 2:
        return None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: _distribution(searched[name]) for name in names}
    study = optuna.create_study()
    for row in completed.to_dict("records"):
        params = {name: row[name] for name in names}
        value = float(row[column])
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    importance_by_param = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return pd.Series(importance_by_param, name="importance").sort_values(ascending=False)


def at_edge(trial: Mapping[str, Any], searched: Mapping[str, Mapping[str, list[Any]]]) -> list[str]:
    """Where a winner lies at the edge of what was searched, in words: better values may lie outside."""
    import math

    edges = []
    for name, domain in searched.items():
        ((kind, bounds),) = domain.items()
        value = trial.get(name)
        if kind == "choice" or not isinstance(value, int | float) or value != value:
            continue
        low, high = bounds[0], bounds[-1]
        place = math.log(value / low) / math.log(high / low) if kind in LOGARITHMIC else (value - low) / (high - low)
        if place < OF_RANGE or place > 1 - OF_RANGE:
            side = "lower" if place < 0.5 else "upper"
            edges.append(f"{name} = {value:.3g} is at the {side} edge of {low:g} to {high:g}")
    return edges


def _distribution(domain: Mapping[str, list[Any]]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    ((kind, bounds),) = domain.items()
    if kind == "choice":
        return CategoricalDistribution(bounds)
    if kind in ("int", "logint"):
        return IntDistribution(int(bounds[0]), int(bounds[-1]), log=kind == "logint")
    return FloatDistribution(float(bounds[0]), float(bounds[-1]), log=kind == "loguniform")

"""The best configuration of each arm: its parameters, how much they may change, and the same as YAML."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from reports import vocabulary as words
from reports.errors import ReportError
from reports.runs.frames import ID, RUN, SweepRuns, parse_param

NEAR = 0.05
"""How much worse than the best, as a part of it, a trial may be whose parameters are as good for practical purposes."""


@dataclass(frozen=True)
class Winner:
    """The best trial of an arm, of those that trained to the end.

    Attributes:
        arm: the arm's name.
        trial: the trial's number.
        run_id: its run in MLflow.
        value: the objective at its best epoch.
        searched: the parameters that were searched in this arm, with the trial's values.
        num_near: how many trials of the arm, this one included, are at most `NEAR` worse.
        near: the smallest and the largest value of each searched number among these trials.
    """

    arm: str
    trial: int
    run_id: str
    value: float
    searched: Mapping[str, Any]
    num_near: int
    near: Mapping[str, tuple[float, float]]


def find_winners(runs: SweepRuns) -> list[Winner]:
    """Return the best trial of each arm, in the order of the arms; arms without a completed trial are left out."""
    return [_winner(runs, str(arm), row) for arm, row in runs.best_trials().iterrows()]


def _winner(runs: SweepRuns, arm: str, row: pd.Series) -> Winner:
    domains = runs.record.get("arms", {}).get(arm, {}).get("searched", {})
    columns = [name for name in domains if name in row.index and not pd.isna(row[name])]
    best = runs.best_column
    trials = runs.search_trials[runs.search_trials["arm"] == arm]
    completed = trials[trials["outcome"] == words.OUTCOME_COMPLETED]
    near = completed[_losses(completed[best], row[best], runs.mode) <= NEAR * abs(row[best])]
    numbers = near[columns].select_dtypes("number")
    return Winner(
        arm=arm,
        trial=int(row[ID]),
        run_id=str(row[RUN]),
        value=float(row[best]),
        searched={name: row[name] for name in columns},
        num_near=len(near),
        near={str(name): (float(values.min()), float(values.max())) for name, values in numbers.items()},
    )


def _losses(values: pd.Series, best: float, mode: str) -> pd.Series:
    """How much worse than the best each value is; never negative."""
    return (best - values if mode == "max" else values - best).clip(lower=0)


def as_yaml(runs: SweepRuns, arm: str | None = None) -> str:
    """Return the best configuration of a sweep, or of some of its arms, as the `params` of a search space.

    Args:
        runs: the sweep.
        arm: compared values that the arms have, such as `loss=vae`; by default all arms compete.

    Raises:
        ReportError: no such arm has a completed trial.
    """
    winners = find_winners(runs)
    if not winners:
        raise ReportError(f"{runs.name}: no trial has trained to the end yet, so that there is no best configuration")
    chosen = [winner for winner in winners if arm is None or set(arm.split(", ")) <= set(winner.arm.split(", "))]
    if not chosen:
        names = "; ".join(winner.arm for winner in winners)
        raise ReportError(f"{runs.name}: no completed trial of an arm {arm!r}; there are some of {names}")
    winner = (max if runs.mode == "max" else min)(chosen, key=lambda candidate: candidate.value)
    value = f"{words.label_of(runs.metric)} {winner.value:.4g}"
    head = f"# {runs.name}, trial {winner.trial} ({winner.arm}): {value} at its best epoch, validation split\n"
    text = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump({"params": _settings(runs, winner)}, text)
    return head + text.getvalue()


def _settings(runs: SweepRuns, winner: Winner) -> dict[str, Any]:
    """Return the settings of a trial; a bundle is left out, since each of its settings is there by itself."""
    bundles = set(runs.record.get("bundles", ()))
    params = runs.client.get_run(winner.run_id).data.params
    settings = {words.from_mlflow(name): parse_param(text) for name, text in params.items()}
    return {name: value for name, value in settings.items() if name not in bundles | {words.PARAM_SEED}}


def describe_parameters(winner: Winner) -> dict[str, str]:
    """Return each searched parameter with its value and, where other trials were as good, their range."""
    cells = {}
    for name, value in winner.searched.items():
        low, high = winner.near.get(name, (value, value))
        ranged = f" ({_short(low)} to {_short(high)})" if low != high else ""
        cells[name] = f"{_short(value)}{ranged}"
    return cells


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.2g}" if isinstance(value, float) else str(value)

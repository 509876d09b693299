"""The matrix of arms: what the search found in each, what the test split says of it, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from reports import vocabulary as words
from reports.runs.findings import Table, scores_of
from reports.runs.frames import SweepRuns
from reports.statistics.contrasts import margins

OUTCOMES = (
    words.OUTCOME_COMPLETED,
    words.OUTCOME_PRUNED,
    words.OUTCOME_DIVERGED,
    words.OUTCOME_FAILED,
    words.OUTCOME_INTERRUPTED,
    words.OUTCOME_RUNNING,
)


def matrix(runs: SweepRuns, judged: Sequence[Table], costs: pd.DataFrame) -> pd.DataFrame:
    """A row an arm: what the search found, what the test split says, how many trials, and what they cost.

    Args:
        runs: the sweep.
        judged: the tables of its trials on the test split.
        costs: columns `trial` and `hours`.

    Returns:
        Columns `arm`, `trials`, the counts of outcomes, `best trial`, `searched` (at the best epoch on validation),
        `test` (mean over configurations, each the mean over its trainings), `margin` (half of its 95 % interval, over
        configurations or trainings and over recordings), `trainings`, `epochs`, `hours`.
    """
    best = runs.best_trials()
    hours = costs.set_index("trial")["hours"]
    metric, final = runs.metric.removeprefix(words.VAL_PREFIX), runs.final
    scores = scores_of(judged, ["arm"], metric)
    margin = margins(scores, ["arm"]) if len(scores) else {}
    rows = []
    for arm in runs.arms:
        own = runs.trials[runs.trials["arm"] == arm]
        column = words.TEST_PREFIX + metric
        tested = final[final["arm"] == arm].dropna(subset=[column]) if column in final else final.iloc[:0]
        outcomes = own["outcome"].value_counts()
        winner: dict[Any, Any] = best.loc[arm].to_dict() if arm in best.index else {}
        rows.append(
            {
                "arm": arm,
                "trials": len(own),
                **{outcome: int(outcomes.get(outcome, 0)) for outcome in OUTCOMES},
                "best trial": winner.get("trial"),
                "searched": winner.get(runs.best, math.nan),
                "test": tested.groupby("configuration")[column].mean().mean() if len(tested) else math.nan,
                "margin": margin.get((arm,), math.nan),
                "trainings": len(tested),
                "epochs": int(own["epochs"].fillna(0).sum()),
                "hours": float(hours.reindex(own["trial"]).sum()),
            }
        )
    return pd.DataFrame(rows)


def confirmed(runs: SweepRuns) -> pd.DataFrame:
    """What the search said of each confirmed configuration beside what it did again; a row a configuration."""
    column = words.TEST_PREFIX + runs.metric.removeprefix(words.VAL_PREFIX)
    confirmations = runs.final.dropna(subset=["confirms"])
    if confirmations.empty or column not in confirmations or runs.best not in confirmations:
        return pd.DataFrame(columns=["arm", "trial", "searched", "confirmed", "test", "seeds"])
    searched = runs.trials.set_index("trial")[runs.best]
    rows = []
    for (arm, trial), group in confirmations.astype({"confirms": int}).groupby(["arm", "confirms"], sort=False):
        scores = {"searched": searched.get(trial), "confirmed": group[runs.best].mean(), "test": group[column].mean()}
        rows.append({"arm": arm, "trial": trial, **scores, "seeds": len(group)})
    return pd.DataFrame(rows)


def failures(runs: SweepRuns) -> pd.DataFrame:
    """Trials that diverged or failed, grouped by cause and arm; columns `cause`, `arm`, `trials`, `reason`."""
    broken = runs.trials[runs.trials["outcome"].isin([words.OUTCOME_DIVERGED, words.OUTCOME_FAILED])]
    rows = [
        {
            "cause": cause,
            "arm": arm,
            "trials": ", ".join(map(str, group["trial"])),
            "reason": str(group["reason"].iloc[0]),
        }
        for (cause, arm), group in broken.groupby(["cause", "arm"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["cause", "arm", "trials", "reason"])


def empty_cells(runs: SweepRuns) -> Iterator[str]:
    """Arms that nothing can be said of, each with the reason."""
    for arm in runs.arms:
        own = runs.trials[runs.trials["arm"] == arm]
        if own.empty:
            yield f"{arm}: no trial"
        elif not (own["outcome"] == words.OUTCOME_COMPLETED).any():
            why = (
                "; pruned ones are not ranked against full ones"
                if (own["outcome"] == words.OUTCOME_PRUNED).any()
                else ""
            )
            yield f"{arm}: none of its {words.amount(len(own), 'trial')} trained to the end{why}"

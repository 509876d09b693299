"""The tables of a report: arms with their scores and costs, confirmed configurations, and failed trials."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from reports import vocabulary as words
from reports.runs import judges
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


def matrix(runs: SweepRuns, tables: Sequence[Table], costs: pd.DataFrame) -> pd.DataFrame:
    """Return the table of arms.

    Args:
        runs: the sweep.
        tables: scores of its trials on the test split, by recording.
        costs: columns `trial` and `hours`.

    Returns:
        One row per arm, with the columns `arm`, `trials` (number), a number for each outcome, `best trial`, `searched`
        (that trial's objective on the validation split, at its best epoch), the accuracy of each added judge at that
        epoch, `test` (objective on the test split, the mean over configurations, each the mean over its trainings),
        `margin` (half the width of the 95 % interval of `test`), `trainings` (number in `test`), `epochs` and `hours`
        (sums over all trials).
    """
    best = runs.best_trials()
    hours = costs.set_index("trial")["hours"]
    metric, all_tested = runs.metric.removeprefix(words.VAL_PREFIX), runs.tested_trials
    column = words.TEST_PREFIX + metric
    scores = scores_of(tables, ["arm"], metric)
    margin_by_arm = margins(scores, ["arm"]) if len(scores) else {}
    rows = []
    for arm in runs.arms:
        own = runs.trials[runs.trials["arm"] == arm]
        tested = all_tested.iloc[:0]
        if column in all_tested:
            tested = all_tested[all_tested["arm"] == arm].dropna(subset=[column])
        outcomes = own["outcome"].value_counts()
        winner: dict[Any, Any] = best.loc[arm].to_dict() if arm in best.index else {}
        rows.append(
            {
                "arm": arm,
                "trials": len(own),
                **{outcome: int(outcomes.get(outcome, 0)) for outcome in OUTCOMES},
                "best trial": winner.get("trial"),
                "searched": winner.get(runs.best_column, math.nan),
                **{
                    column: winner.get(words.best_name(accuracy), math.nan)
                    for column, accuracy in judges.accuracy_columns(runs).items()
                },
                "test": tested.groupby("configuration")[column].mean().mean() if len(tested) else math.nan,
                "margin": margin_by_arm.get((arm,), math.nan),
                "trainings": len(tested),
                "epochs": int(own["epochs"].fillna(0).sum()),
                "hours": float(hours.reindex(own["trial"]).sum()),
            }
        )
    return pd.DataFrame(rows)


def confirmations(runs: SweepRuns) -> pd.DataFrame:
    """Return the table of confirmed configurations: their objective in the search and when trained again.

    Returns:
        One row per configuration, with the columns `arm`, `trial` (of the search), `searched` (validation split in the
        search), `confirmed` (validation split, mean over the new trainings), `test` (test split, the same) and `seeds`
        (number of new trainings).
    """
    best, column = runs.best_column, words.TEST_PREFIX + runs.metric.removeprefix(words.VAL_PREFIX)
    confirming = runs.tested_trials.dropna(subset=["confirms"])
    if confirming.empty or column not in confirming or best not in confirming:
        return pd.DataFrame(columns=["arm", "trial", "searched", "confirmed", "test", "seeds"])
    searched = runs.trials.set_index("trial")[best]
    rows = []
    for (arm, trial), group in confirming.astype({"confirms": int}).groupby(["arm", "confirms"], sort=False):
        scores = {"searched": searched.get(trial), "confirmed": group[best].mean(), "test": group[column].mean()}
        rows.append({"arm": arm, "trial": trial, **scores, "seeds": len(group)})
    return pd.DataFrame(rows)


def failures(runs: SweepRuns) -> pd.DataFrame:
    """Return the trials that diverged or failed, one row per cause and arm: `cause`, `arm`, `trials`, `reason`."""
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
    """Yield a sentence for each arm without a completed trial."""
    for arm in runs.arms:
        own = runs.trials[runs.trials["arm"] == arm]
        if own.empty:
            yield f"{arm}: no trial"
        elif not (own["outcome"] == words.OUTCOME_COMPLETED).any():
            has_pruned = (own["outcome"] == words.OUTCOME_PRUNED).any()
            hint = "; pruned ones are not ranked against full ones" if has_pruned else ""
            yield f"{arm}: none of its {words.amount(len(own), 'trial')} trained to the end{hint}"

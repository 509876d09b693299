"""How far a sweep has come, and what can be said of it where its arms can't be compared: each cause has its words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import pandas as pd

from reports import vocabulary as words
from reports.runs.findings import Answers, Table
from reports.runs.frames import SweepRuns

Stage = Literal["judged", "waiting", "exploratory"]


def stage_of(runs: SweepRuns) -> Stage:
    """Whether the test split has judged trainings, is still to judge some, or is not asked."""
    if not runs.final.empty:
        return "judged"
    return "waiting" if runs.is_repeated or runs.record.get("confirm") else "exploratory"


def instead(runs: SweepRuns, judged: Sequence[Table], matrix: pd.DataFrame) -> Iterator[str]:
    """What is said where nothing could be compared on the test split.

    Args:
        runs: the sweep.
        judged: the tables of its trials on the test split.
        matrix: of its arms.
    """
    if not runs.final.empty:
        yield f"{_why_not_compared(runs, judged)}: nothing was tested."
        name = words.label_of(runs.metric)
        scores = [
            f"{row['arm']} {row['test']:.3f}" + ("" if math.isnan(row["margin"]) else f" ± {row['margin']:.3f}")
            for row in matrix.to_dict("records")
            if not math.isnan(row["test"])
        ]
        if scores:
            yield f"By {name} on the test split: {', '.join(scores)}."
        return
    best = runs.best_trials()
    if best.empty:
        yield _why_no_best(runs)
        return
    order = best.sort_values(runs.best, ascending=runs.mode == "min")
    scores = [f"{arm} {value:.3f}" for arm, value in order[runs.best].items()]
    lucky = "seed" if runs.is_repeated else "configuration"
    yield (
        f"By the best {words.label_of(runs.metric)} of each arm on validation: {', '.join(scores)}. One lucky {lucky} "
        "may stand for an arm here: no interval can be given, and nothing was tested."
    )


def _why_not_compared(runs: SweepRuns, judged: Sequence[Table]) -> str:
    metric = runs.metric.removeprefix(words.VAL_PREFIX)
    if not runs.factors:
        return "The search space compares nothing"
    if not judged:
        return f"The tables by recording ({words.ARTIFACT_PER_RECORDING}) are missing in MLflow"
    if not any(metric in table for _, table in judged):
        return f"{words.ARTIFACT_PER_RECORDING} has no column {metric}"
    return "No two arms that differ in one thing have been judged on the test split yet"


def _why_no_best(runs: SweepRuns) -> str:
    searched = runs.searched
    scored = searched[searched[runs.best].notna()] if runs.best in searched else searched.iloc[:0]
    if scored.empty:
        return "No trial has a value of the objective yet: nothing can be said."
    outcomes = scored["outcome"].value_counts()
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    return f"No trial has trained to the end ({counts}): nothing can be ranked."


def why_untested(runs: SweepRuns, answers: Sequence[Answers]) -> str:
    """Why contrasts are descriptive only."""
    if not any(answer.is_tested for answer in answers):
        metric = runs.metric.removeprefix(words.VAL_PREFIX)
        return f"Nothing was tested: {words.ARTIFACT_PER_RECORDING} has no column {metric}, the objective."
    if runs.record.get("baseline") or runs.record.get("at"):
        return "Nothing was tested: the baseline was not judged on the test split."
    return "No baseline, nothing was tested: add baseline: to the search space."

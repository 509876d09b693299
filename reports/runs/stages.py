"""The stage of a sweep, and the sentences of a report that has no contrasts or no tests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import pandas as pd

from reports import vocabulary as words
from reports.runs.findings import ContrastSet, Table
from reports.runs.frames import SweepRuns

Stage = Literal["judged", "waiting", "exploratory"]


def stage_of(runs: SweepRuns) -> Stage:
    """Return `judged` if trainings were evaluated on the test split, `waiting` if they will be, else `exploratory`."""
    if not runs.tested_trials.empty:
        return "judged"
    return "waiting" if runs.has_fixed_arms or runs.record.get("confirm") else "exploratory"


def describe_without_contrasts(runs: SweepRuns, tables: Sequence[Table], matrix: pd.DataFrame) -> Iterator[str]:
    """Yield the sentences of a report without contrasts: the reason, and the arms' scores.

    Args:
        runs: the sweep.
        tables: scores of its trials on the test split, by recording.
        matrix: the table of its arms (`reports.page.matrix.matrix`).
    """
    if runs.tested_trials.empty:
        yield _describe_validation(runs)
        return
    yield f"{_explain_no_contrasts(runs, tables)}: nothing was tested."
    scores = [
        f"{row['arm']} {row['test']:.3f}" + ("" if math.isnan(row["margin"]) else f" ± {row['margin']:.3f}")
        for row in matrix.to_dict("records")
        if not math.isnan(row["test"])
    ]
    if scores:
        yield f"By {words.label_of(runs.metric)} on the test split: {', '.join(scores)}."


def _describe_validation(runs: SweepRuns) -> str:
    """Return the arms in the order of their best trials on the validation split, or why there is no such order."""
    best = runs.best_trials()
    if best.empty:
        return _explain_no_best(runs)
    order = best.sort_values(runs.best_column, ascending=runs.mode == "min")
    scores = [f"{arm} {value:.3f}" for arm, value in order[runs.best_column].items()]
    unit = "seed" if runs.has_fixed_arms else "configuration"
    return (
        f"By the best {words.label_of(runs.metric)} of each arm on validation: {', '.join(scores)}. An arm's value may "
        f"come from one lucky {unit}: no interval can be given, and nothing was tested."
    )


def _explain_no_contrasts(runs: SweepRuns, tables: Sequence[Table]) -> str:
    metric = runs.metric.removeprefix(words.VAL_PREFIX)
    if not runs.factors:
        return "The search space compares nothing"
    if not tables:
        return f"The tables by {runs.unit} ({words.ARTIFACT_PER_RECORDING}) are missing in MLflow"
    if not any(metric in table for _, table in tables):
        return f"{words.ARTIFACT_PER_RECORDING} has no column {metric}"
    return "No two arms that differ in one setting only have been judged on the test split yet"


def _explain_no_best(runs: SweepRuns) -> str:
    trials = runs.search_trials
    scored = trials[trials[runs.best_column].notna()] if runs.best_column in trials else trials.iloc[:0]
    if scored.empty:
        return "No trial has a value of the objective yet: there is nothing to rank."
    outcomes = scored["outcome"].value_counts()
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    return f"No trial has trained to the end ({counts}): nothing can be ranked."


def explain_untested(runs: SweepRuns, contrast_sets: Sequence[ContrastSet]) -> str:
    """Return a sentence that says why all contrasts of a sweep are descriptive."""
    if not any(contrast_set.is_tested for contrast_set in contrast_sets):
        metric = runs.metric.removeprefix(words.VAL_PREFIX)
        return f"Nothing was tested: {words.ARTIFACT_PER_RECORDING} has no column {metric}, the objective."
    if runs.record.get("baseline") or runs.record.get("at"):
        return "Nothing was tested: the baseline was not judged on the test split."
    return "Nothing was tested, since there is no baseline: add baseline: to the search space."

"""What a sweep found: the scores of the test split by recording, and the contrasts between arms and renderings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from reports import vocabulary as words
from reports.errors import ReportError
from reports.frames import SweepRuns
from reports.statistics import Contrast, contrasts

DECIDED = words.JUDGE_ACCURACY
"""What people read beside the objective, where both were measured."""
SECOND_JUDGE = "judge_b_"
RENDERING = "rendering"
"""The factor that renderings of one model differ in."""
Table = tuple[dict[str, Any], pd.DataFrame]
"""A run's row, and its table by recording."""


@dataclass(frozen=True)
class Answers:
    """The contrasts of one metric.

    Attributes:
        metric: the column of the tables by recording, such as `judge_probability`.
        scores: a row a training and recording, as `statistics.contrasts` takes them.
        found: the contrasts.
        by_second_judge: the same contrasts by judge B; empty where it did not judge.
    """

    metric: str
    scores: pd.DataFrame
    found: list[Contrast]
    by_second_judge: list[Contrast]


def check_ranked(runs: SweepRuns) -> None:
    """Refuse to rank arms by what means something else in each of them.

    Raises:
        ReportError: the objective is a training loss, or in the trial's own units while those differ.
    """
    metric = runs.metric
    declared = runs.record.get("metrics", {}).get(metric, {})
    comparable = declared.get("comparable", "all")
    if metric.startswith(words.TRAIN_PREFIX) or metric == words.VAL_LOSS or comparable == "same_loss":
        if len(runs.arms) > 1:
            raise ReportError(
                f"{runs.name}: {metric} is a loss, which arms have on scales of their own; it can't rank them: run the "
                f"sweep with an objective that means the same for all, such as {words.JUDGE_PROBABILITY}"
            )
    elif comparable == "same_representation" and any(name != "loss" for name in runs.factors):
        raise ReportError(
            f"{runs.name}: {metric} is in each trial's own units, and {', '.join(runs.factors)} may differ in them; "
            f"run the sweep with an objective that means the same for all, such as {words.FVU}"
        )


def read_answers(runs: SweepRuns) -> list[Answers]:
    """The contrasts between arms, by the objective and then by the judge's accuracy, on the test split."""
    final = runs.final
    if final.empty or not runs.factors:
        return []
    tables = list(runs.tables(words.ARTIFACT_PER_RECORDING, final))
    missing = [name for name in runs.factors if name not in final]
    if missing:
        runs.notes.append(f"no trial says its {', '.join(missing)}: arms can't be told apart")
        return []
    return _answers(runs, tables, runs.factors, runs.baseline)


def read_rendering_answers(runs: SweepRuns) -> list[Answers]:
    """The contrasts between renderings of the same trained models, on the test split."""
    tested = runs.renderings
    if tested.empty or not any(str(name).startswith(words.TEST_PREFIX) for name in tested):
        return []
    tables = list(runs.tables(words.ARTIFACT_PER_RECORDING, tested))
    at = runs.record.get("at") or {}
    baseline = {RENDERING: ", ".join(f"{name}={value}" for name, value in at.items())} if at else {}
    # Arms are told apart too, so that renderings are compared within each of them.
    answers = _answers(runs, tables, [*runs.factors, RENDERING], baseline)
    return [
        replace(
            each,
            found=[contrast for contrast in each.found if contrast.factor == RENDERING],
            by_second_judge=[contrast for contrast in each.by_second_judge if contrast.factor == RENDERING],
        )
        for each in answers
    ]


def _answers(
    runs: SweepRuns, tables: Sequence[Table], factors: Sequence[str], baseline: dict[str, str]
) -> list[Answers]:
    objective = runs.metric.removeprefix(words.VAL_PREFIX)
    found = []
    for metric in dict.fromkeys([objective, DECIDED.removeprefix(words.VAL_PREFIX)]):
        scores = scores_of(tables, factors, metric, runs.is_repeated)
        if scores.empty:
            if tables and metric == objective:
                runs.notes.append(f"{words.ARTIFACT_PER_RECORDING} has no column {metric}: no contrasts by it")
            continue
        second = scores_of(tables, factors, metric.replace("judge_", SECOND_JUDGE), runs.is_repeated)
        is_searched = not runs.is_repeated
        compared = contrasts(scores, factors, baseline, is_searched=is_searched)
        again = (
            contrasts(second, factors, baseline, is_searched=is_searched)
            if metric.startswith("judge_") and len(second)
            else []
        )
        found.append(Answers(metric, scores, compared, again))
    return found


def scores_of(tables: Sequence[Table], factors: Sequence[str], metric: str, is_repeated: bool) -> pd.DataFrame:
    """A column of the tables by recording, a row a training and recording.

    Args:
        tables: each with the row of its run.
        factors: columns of the runs.
        metric: the column; tables that lack it are left out.
        is_repeated: whether an arm is one configuration; otherwise one is what a trial of the search had.
    """
    frames = []
    for run, table in tables:
        if metric not in table:
            continue
        frames.append(
            pd.DataFrame(
                {
                    **{name: str(run[name]) for name in factors},
                    "configuration": "all" if is_repeated else str(run.get("confirms", run["trial"])),
                    "seed": str(run["seed"]) if is_repeated else str(run["trial"]),
                    "recording": table["recording"].astype(str),
                    "value": pd.to_numeric(table[metric], errors="coerce"),
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

"""The contrasts of a sweep, from the scores of its trials and renderings on the test split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from reports import vocabulary as words
from reports.errors import ReportError
from reports.runs import judges
from reports.runs.frames import SweepRuns, parse_param, to_text
from reports.runs.shortfall import broken_arms, current_look, unsettled_arms
from reports.statistics.contrast import Contrast, adjust_p
from reports.statistics.contrasts import contrasts

SECOND_METRIC = words.JUDGE_ACCURACY
"""Metric by which contrasts are described in addition to the objective, if it was measured."""
Table = tuple[dict[str, Any], pd.DataFrame]
"""A run's row, and the run's table of scores by recording."""


@dataclass(frozen=True)
class ContrastSet:
    """The contrasts by one metric, either between arms or between renderings of the same models.

    Attributes:
        metric: column of the tables by recording, such as `judge_probability`.
        is_tested: whether the metric is the objective. The objective was chosen before anything ran; contrasts by any
            other metric are descriptive.
        of_renderings: whether renderings are compared, not arms.
        contrasts: the contrasts.
        by_other_judges: for each other judge that scored the trainings, the same contrasts by it. Judges that fail to
            recognize real clips are left out.
    """

    metric: str
    is_tested: bool
    of_renderings: bool
    contrasts: list[Contrast]
    by_other_judges: Mapping[str, list[Contrast]]

    def find_disputed(self) -> Iterator[tuple[str, Contrast]]:
        """Yield the contrasts with an interval on one side of 0 whose difference has the other sign by another judge.

        Each comes with the name of that judge.
        """
        for judge, contrasts_by_judge in self.by_other_judges.items():
            differences = {contrast.question: contrast.difference for contrast in contrasts_by_judge}
            for contrast in self.contrasts:
                if contrast.excludes_zero and contrast.difference * differences.get(contrast.question, 0) < 0:
                    yield judge, contrast


def check_objective(runs: SweepRuns) -> None:
    """Check that the objective has the same meaning in all arms, so that it can rank them.

    Raises:
        ReportError: it is a loss that differs between arms, or is in units that differ between arms.
    """
    metric = runs.metric
    declared = runs.record.get("metrics", {}).get(metric, {})
    # The trainable's declaration decides; the metric's name is a fallback.
    comparable = declared.get("comparable", "same_loss" if metric == words.VAL_LOSS else "all")
    if len(runs.arms) < 2:
        return
    if metric.startswith(words.TRAIN_PREFIX) or comparable == "same_loss":
        raise ReportError(
            f"{runs.name}: {metric} is a loss, which is on another scale in each arm, so it can't rank arms; run the "
            f"sweep with an objective that means the same for all, such as {words.JUDGE_PROBABILITY}"
        )
    if comparable == "same_representation" and any(name != "loss" for name in runs.factors):
        raise ReportError(
            f"{runs.name}: {metric} is in each trial's own units, and {', '.join(runs.factors)} may change them; "
            f"run the sweep with an objective that means the same for all, such as {words.FVU}"
        )


def find_contrasts(runs: SweepRuns, tables: Sequence[Table]) -> list[ContrastSet]:
    """Return the contrasts between arms and then between renderings, by the objective and by the judge's accuracy.

    All tests of the report, of arms and of renderings, are one family for Holm's adjustment.

    Args:
        runs: the sweep; what is missing is added to its notes.
        tables: scores of its trials on the test split, by recording.
    """
    drafts = [*_contrasts_of_arms(runs, tables), *_contrasts_of_renderings(runs)]
    tested = [contrast for draft in drafts if draft.is_tested for contrast in draft.contrasts]
    family = iter(adjust_p(tested, current_look(runs)))
    return [
        replace(draft, contrasts=[next(family) for _ in draft.contrasts]) if draft.is_tested else draft
        for draft in drafts
    ]


def _contrasts_of_arms(runs: SweepRuns, tables: Sequence[Table]) -> Iterator[ContrastSet]:
    missing = [name for name in runs.factors if name not in runs.tested_trials]
    if missing and tables:
        runs.notes.append(f"no trial has the param {', '.join(missing)}: arms can't be compared")
    elif runs.factors:
        yield from _contrasts_by_metric(runs, tables, runs.factors, runs.record.get("baseline") or {})


def _contrasts_of_renderings(runs: SweepRuns) -> Iterator[ContrastSet]:
    if any(str(name).startswith(words.TEST_PREFIX) for name in runs.renderings):
        tables = list(runs.read_tables(words.ARTIFACT_PER_RECORDING, runs.renderings))
        # The factors of arms are included, so that renderings are compared within an arm.
        factors = [*runs.factors, *runs.rendering_settings]
        baseline = runs.record.get("at") or {}
        yield from _contrasts_by_metric(runs, tables, factors, baseline, within=runs.rendering_settings)


def _contrasts_by_metric(
    runs: SweepRuns,
    tables: Sequence[Table],
    factors: Sequence[str],
    baseline_values: Mapping[str, Any],
    within: Sequence[str] = (),
) -> Iterator[ContrastSet]:
    """Yield the contrasts by the objective and by the judge's accuracy, as far as the tables have them.

    Args:
        runs: the sweep; what is missing is added to its notes.
        tables: scores by recording.
        factors: names of the settings that are compared.
        baseline_values: baselines of settings as the sweep's record has them.
        within: factors that vary within a training (see `contrasts`).
    """
    objective = runs.metric.removeprefix(words.VAL_PREFIX)
    # Trainings that diverged have no renderings; in a comparison within trainings none of them is missing.
    broken = {} if within else broken_arms(runs)
    compare = partial(contrasts, is_searched=not runs.has_fixed_arms, broken=broken, unsettled=unsettled_arms(runs))
    for metric in dict.fromkeys([objective, SECOND_METRIC.removeprefix(words.VAL_PREFIX)]):
        scores = scores_of(tables, factors, metric)
        if scores.empty:
            if tables and metric == objective:
                runs.notes.append(f"{words.ARTIFACT_PER_RECORDING} has no column {metric}: no contrasts by it")
            continue
        is_objective = metric == objective
        levels = {name: level_of(value, scores[name]) for name, value in baseline_values.items() if name in factors}
        baseline = {name: level for name, level in levels.items() if level is not None}
        if is_objective:
            runs.notes.extend(
                f"{name}: its baseline {to_text(baseline_values[name])} was not judged on the test split; "
                "nothing is tested"
                for name in levels
                if name not in baseline
            )
        by_others = {}
        for judge, column in judges.other_columns(runs, metric).items():
            other_scores = scores_of(tables, factors, column)
            by_others[judge] = compare(other_scores, factors, baseline, within=within)
        yield ContrastSet(
            metric, is_objective, bool(within), compare(scores, factors, baseline, within=within), by_others
        )


def level_of(value: Any, levels: Iterable[str]) -> str | None:
    """Return the level that equals a value of the sweep's record, or None; as in YAML, 1.0 equals 1.

    Args:
        value: the value, such as a baseline.
        levels: levels of the factor as texts; they may repeat.
    """
    text, unique_levels = to_text(value), list(dict.fromkeys(levels))
    if text in unique_levels:
        return text
    equal_levels = (level for level in unique_levels if parse_param(level) == parse_param(text))
    return next(equal_levels, None)


def scores_of(tables: Sequence[Table], factors: Sequence[str], metric: str) -> pd.DataFrame:
    """Return one column of the tables by recording, in the form that `contrasts` takes.

    Args:
        tables: scores by recording, each with its run's row.
        factors: columns of the runs' rows to copy.
        metric: name of the column; tables without it are left out.

    Returns:
        One row per training and recording, with the factors, `configuration`, `seed`, `recording` and `value`.
    """
    frames = [
        pd.DataFrame(
            {
                **{name: str(run[name]) for name in factors},
                "configuration": run["configuration"],
                "seed": str(run["trial"]),
                "recording": table["recording"].astype(str),
                "value": pd.to_numeric(table[metric], errors="coerce"),
            }
        )
        for run, table in tables
        if metric in table
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

"""What a sweep found: the scores of the test split by recording, and the contrasts between arms and renderings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from reports import vocabulary as words
from reports.errors import ReportError
from reports.runs.frames import SweepRuns, as_text, typed
from reports.runs.shortfall import broken_arms, look_of, unsettled_arms
from reports.statistics.contrast import Contrast, adjust_p
from reports.statistics.contrasts import contrasts

READ = words.JUDGE_ACCURACY
"""What people read beside the objective, where both were measured."""
SECOND_JUDGE = "judge_b_"
Table = tuple[dict[str, Any], pd.DataFrame]
"""A run's row, and its table by recording."""


@dataclass(frozen=True)
class Answers:
    """The contrasts of one metric, between arms or between renderings of the same models.

    Attributes:
        metric: the column of the tables by recording, such as `judge_probability`.
        is_tested: whether it is the objective, which was chosen before anything ran; any other metric is descriptive.
        of_renderings: whether renderings are compared.
        found: the contrasts.
        by_second_judge: the same by judge B, as far as it judged.
    """

    metric: str
    is_tested: bool
    of_renderings: bool
    found: list[Contrast]
    by_second_judge: list[Contrast]

    def disputed(self) -> Iterator[Contrast]:
        """Those of which judge B says the opposite."""
        others = {contrast.question: contrast.difference for contrast in self.by_second_judge}
        for contrast in self.found:
            if contrast.excludes_zero and contrast.difference * others.get(contrast.question, 0) < 0:
                yield contrast


def check_ranked(runs: SweepRuns) -> None:
    """Refuse to rank arms by what means something else in each of them.

    Raises:
        ReportError: the objective is a training loss, or in the trial's own units while those differ.
    """
    metric = runs.metric
    declared = runs.record.get("metrics", {}).get(metric, {})
    # The trainable's word decides; its name says what a metric is only where nothing was declared.
    comparable = declared.get("comparable", "same_loss" if metric == words.VAL_LOSS else "all")
    if len(runs.arms) < 2:
        return
    if metric.startswith(words.TRAIN_PREFIX) or comparable == "same_loss":
        raise ReportError(
            f"{runs.name}: {metric} is a loss, which arms have on scales of their own; it can't rank them: run the "
            f"sweep with an objective that means the same for all, such as {words.JUDGE_PROBABILITY}"
        )
    if comparable == "same_representation" and any(name != "loss" for name in runs.factors):
        raise ReportError(
            f"{runs.name}: {metric} is in each trial's own units, and {', '.join(runs.factors)} may differ in them; "
            f"run the sweep with an objective that means the same for all, such as {words.FVU}"
        )


def read_answers(runs: SweepRuns, judged: Sequence[Table]) -> list[Answers]:
    """The contrasts between arms and then between renderings, by the objective and by the judge's accuracy.

    All tests of the report are one family: those of arms and of renderings, by the objective.

    Args:
        runs: the sweep.
        judged: the tables of its trials on the test split.
    """
    drafts = [*_of_arms(runs, judged), *_of_renderings(runs)]
    tested = [contrast for draft in drafts if draft.is_tested for contrast in draft.found]
    family = iter(adjust_p(tested, look_of(runs)))
    return [replace(draft, found=[next(family) for _ in draft.found]) if draft.is_tested else draft for draft in drafts]


def _of_arms(runs: SweepRuns, judged: Sequence[Table]) -> Iterator[Answers]:
    missing = [name for name in runs.factors if name not in runs.final]
    if missing and judged:
        runs.notes.append(f"no trial says its {', '.join(missing)}: arms can't be told apart")
    elif runs.factors:
        yield from _answers(runs, judged, runs.factors, runs.record.get("baseline") or {})


def _of_renderings(runs: SweepRuns) -> Iterator[Answers]:
    tested = runs.renderings
    if any(str(name).startswith(words.TEST_PREFIX) for name in tested):
        tables = list(runs.tables(words.ARTIFACT_PER_RECORDING, tested))
        # Arms are told apart too, so that renderings are compared within each of them.
        factors = [*runs.factors, *runs.rendered]
        yield from _answers(runs, tables, factors, runs.record.get("at") or {}, within=runs.rendered)


def _answers(
    runs: SweepRuns,
    tables: Sequence[Table],
    factors: Sequence[str],
    baseline_values: Mapping[str, Any],
    within: Sequence[str] = (),
) -> Iterator[Answers]:
    objective = runs.metric.removeprefix(words.VAL_PREFIX)
    # A training that diverged has no rendering at all, so that none is missing where it is compared with itself.
    broken = {} if within else broken_arms(runs)
    ask = partial(contrasts, is_searched=not runs.is_repeated, broken=broken, unsettled=unsettled_arms(runs))
    for metric in dict.fromkeys([objective, READ.removeprefix(words.VAL_PREFIX)]):
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
                f"{name}: its baseline {as_text(baseline_values[name])} was not judged on the test split; "
                "nothing is tested"
                for name in levels
                if name not in baseline
            )
        second = scores_of(tables, factors, metric.replace("judge_", SECOND_JUDGE))
        if not metric.startswith("judge_"):
            second = second.iloc[:0]
        compared, by_second_judge = (ask(values, factors, baseline, within=within) for values in (scores, second))
        yield Answers(metric, is_objective, bool(within), compared, by_second_judge)


def level_of(value: Any, levels: Iterable[str]) -> str | None:
    """Which level of a factor a value of the sweep's record is; to YAML, 1.0 is 1."""
    text, unique_levels = as_text(value), list(dict.fromkeys(levels))
    alike = [level for level in unique_levels if typed(level) == typed(text)]
    return text if text in unique_levels else next(iter(alike), None)


def scores_of(tables: Sequence[Table], factors: Sequence[str], metric: str) -> pd.DataFrame:
    """A column of the tables by recording, a row a training and recording.

    Args:
        tables: each with the row of its run.
        factors: columns of the runs.
        metric: the column; tables that lack it are left out.
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

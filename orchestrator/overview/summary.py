"""The progress and the results of a sweep by arm, for the live table and the final one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.plugins import additions
from orchestrator.state.budget import Budget
from orchestrator.state.curve import Objective
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep

CONFIDENCE = 0.95


@dataclass(frozen=True)
class ArmSummary:
    """The trials of one arm in numbers.

    Attributes:
        arm: the name of the arm.
        wanted: the number of trials that its budget allows, those of the confirm stage included.
        running: the number of trials that have not ended.
        pruned: the number of pruned trials.
        completed: the number of trials that trained to the end.
        broken: the number of diverged and failed trials.
        best: the best trial of the search; None before the first value.
        best_epoch: the best epoch of that trial; 0 if there is none.
        metrics: by name, at the best epoch of the best trial; with `budget.seeds` the means over completed trials.
        margins: with `budget.seeds`, half of the 95 % confidence interval of each mean.
        num_tested: the number of trials that were evaluated on the test split.
        renderings: by the name of the rendering, its metrics by name.
        epochs: the number of epochs of all trials.
        epochs_saved: the number of epochs that pruning has saved.
        mixed_code: whether the trials ran on different code.
    """

    arm: str
    wanted: int
    running: int
    pruned: int
    completed: int
    broken: int
    best: Trial | None
    best_epoch: int
    metrics: dict[str, float]
    margins: dict[str, float]
    num_tested: int
    renderings: dict[str, dict[str, float]]
    epochs: int
    epochs_saved: int
    mixed_code: bool

    @property
    def ended(self) -> int:
        """The number of trials that have ended, with any outcome."""
        return self.pruned + self.completed + self.broken


def list_table_metrics(sweep: Sweep) -> list[str]:
    """Return the names of the metrics in tables, the objectives first."""
    judges = [str(judge["name"]) for judge in additions.exclude_own(sweep.judges)]
    return words.headline_metrics(Objective.of(sweep.space).modes, sweep.metrics, judges)


def summarize(sweep: Sweep, ledger: Ledger) -> list[ArmSummary]:
    """Return the summary of every arm in the order of the search space; only the search has best trials."""
    budget = Budget(sweep, ledger)
    return [_summarize(sweep, budget, ledger, arm.name) for arm in sweep.arms]


def _summarize(sweep: Sweep, budget: Budget, ledger: Ledger, arm: str) -> ArmSummary:
    tally = ledger.tally(arm)
    row = tally.best.curve.best_row if tally.best else None
    if sweep.space.budget.seeds is not None:
        # The trials of an arm are repetitions with other seeds: the table has their means.
        seed_trials = ledger.of_arm(arm, words.STAGE_SEARCH)
        rows, rendered = _completed_rows(seed_trials), seed_trials
    else:
        # An arm may have thousands of trials here, and the live table is made several times a second.
        seed_trials = []
        rows = [row["metrics"]] if row else []
        rendered = [tally.best] if tally.best else []
    metrics, margins = _means(rows, list_table_metrics(sweep))
    evaluated = [*seed_trials, *ledger.of_arm(arm, words.STAGE_CONFIRM)]
    pruned = tally.statuses[words.OUTCOME_PRUNED]
    return ArmSummary(
        arm=arm,
        wanted=budget.trials(arm) + budget.confirm_trials(arm),
        running=tally.unfinished,
        pruned=pruned,
        completed=tally.statuses[words.OUTCOME_COMPLETED],
        broken=tally.statuses[words.OUTCOME_DIVERGED] + tally.statuses[words.OUTCOME_FAILED],
        best=tally.best,
        best_epoch=row["epoch"] if row else 0,
        metrics=metrics,
        margins=margins,
        num_tested=sum(bool(trial.test) for trial in evaluated),
        renderings=_mean_renderings(rendered),
        epochs=tally.epochs,
        epochs_saved=pruned * budget.epochs(arm) - tally.pruned_epochs,
        mixed_code=len(tally.codes) > 1,
    )


def _completed_rows(trials: Sequence[Trial]) -> list[Mapping[str, float]]:
    """Return the metrics at the best epoch of each completed trial."""
    rows = (trial.curve.best_row for trial in trials if trial.outcome == words.OUTCOME_COMPLETED)
    return [row["metrics"] for row in rows if row]


def _mean_renderings(trials: Sequence[Trial]) -> dict[str, dict[str, float]]:
    """Return the mean of each metric of each rendering over the trials, by the rendering's name."""
    rows_by_rendering: dict[str, list[Mapping[str, float]]] = {}
    for trial in trials:
        for rendering in trial.renderings:
            rows_by_rendering.setdefault(rendering["name"], []).append(rendering["metrics"])
    means_by_rendering = {}
    for name, rows in rows_by_rendering.items():
        metric_names = dict.fromkeys(key for row in rows for key in row)
        means_by_rendering[name], _ = _means(rows, metric_names)
    return means_by_rendering


def _means(rows: Sequence[Mapping[str, float]], names: Iterable[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean of each metric, and the margin of those with two or more values."""
    values = {name: [row[name] for row in rows if name in row] for name in names}
    means = {name: statistics.fmean(numbers) for name, numbers in values.items() if numbers}
    return means, {name: margin(numbers) for name, numbers in values.items() if len(numbers) > 1}


def margin(values: Sequence[float]) -> float:
    """Return half of the 95 % confidence interval of the mean of two or more values (Student's t)."""
    # This import takes more than a second, and a sweep without seeds does not need it.
    from scipy.stats import t

    quantile = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))

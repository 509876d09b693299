"""How far a sweep is and what it has found, by arm: for the live display, the last table and the tests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.search_space.reader import Sweep
from orchestrator.state.budget import Budget
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words

"""Metrics that people read beside the objective, where a trainable reports them."""


@dataclass(frozen=True)
class ArmSummary:
    """One arm's trials in numbers."""

    arm: str
    wanted: int
    running: int
    pruned: int
    completed: int
    broken: int
    best: Trial | None
    best_epoch: int
    metrics: dict[str, float]
    """At the best epoch of the best trial; with `budget.seeds` their means over all of its completed trials."""
    margins: dict[str, float]
    """With `budget.seeds`: half of the 95 % confidence interval of each mean."""
    judged: int
    """Trainings that the test split has judged."""
    renderings: dict[str, dict[str, float]]
    """What was measured of each rendering, by name."""
    epochs: int
    epochs_saved: int
    """Epochs that pruned trials did not have to train."""
    mixed_code: bool
    """Whether its trials ran on different code."""

    @property
    def ended(self) -> int:
        """Trials that have ended, however."""
        return self.pruned + self.completed + self.broken


def read_metrics(sweep: Sweep) -> list[str]:
    """The objective and the metrics that are read beside it."""
    return words.read(sweep.space.objective.metric, sweep.trainable.METRICS)


def summarize(sweep: Sweep, ledger: Ledger) -> list[ArmSummary]:
    """Every arm, in the file's order; only trials of the search compete for the best."""
    budget = Budget(sweep, ledger)
    return [_summarize(sweep, budget, ledger, arm.name) for arm in sweep.arms]


def _summarize(sweep: Sweep, budget: Budget, ledger: Ledger, arm: str) -> ArmSummary:
    tally = ledger.tally(arm)
    row = tally.best.curve.best_row if tally.best else None
    names = read_metrics(sweep)
    # Without seeds an arm may have thousands of trials, and this is asked for four times a second.
    repeated = ledger.of_arm(arm, "search") if sweep.space.budget.seeds is not None else None
    rows = ([row["metrics"]] if row else []) if repeated is None else _completed_rows(repeated)
    metrics, margins = _means(rows, names)
    pruned = tally.statuses[words.OUTCOME_PRUNED]
    return ArmSummary(
        arm=arm,
        wanted=budget.trials(arm) + budget.confirmed(arm),
        running=tally.unfinished,
        pruned=pruned,
        completed=tally.statuses[words.OUTCOME_COMPLETED],
        broken=tally.statuses[words.OUTCOME_DIVERGED] + tally.statuses[words.OUTCOME_FAILED],
        best=tally.best,
        best_epoch=row["epoch"] if row else 0,
        metrics=metrics,
        margins=margins,
        judged=sum(bool(trial.test) for trial in [*(repeated or ()), *ledger.of_arm(arm, "confirm")]),
        renderings=_renderings(repeated if repeated is not None else [tally.best] if tally.best else []),
        epochs=tally.epochs,
        epochs_saved=pruned * budget.epochs(arm) - tally.pruned_epochs,
        mixed_code=len(tally.codes) > 1,
    )


def _completed_rows(trials: Sequence[Trial]) -> list[Mapping[str, float]]:
    """The metrics at the best epoch of each completed trial."""
    rows = (trial.curve.best_row for trial in trials if trial.outcome == words.OUTCOME_COMPLETED)
    return [row["metrics"] for row in rows if row]


def _renderings(trials: Sequence[Trial]) -> dict[str, dict[str, float]]:
    """The mean of what was measured of each rendering of these trials, by its name."""
    rows_by_rendering: dict[str, list[Mapping[str, float]]] = {}
    for trial in trials:
        for rendering in trial.renderings:
            rows_by_rendering.setdefault(rendering["name"], []).append(rendering["metrics"])
    return {
        name: _means(rows, dict.fromkeys(key for row in rows for key in row))[0]
        for name, rows in rows_by_rendering.items()
    }


def _means(rows: Sequence[Mapping[str, float]], names: Iterable[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean of each metric and, of two or more, half of its 95 % confidence interval (Student's t)."""
    values = {name: [row[name] for row in rows if name in row] for name in names}
    means = {name: statistics.fmean(numbers) for name, numbers in values.items() if numbers}
    return means, {name: margin(numbers) for name, numbers in values.items() if len(numbers) > 1}


def margin(values: Sequence[float]) -> float:
    """Half of the 95 % confidence interval of the mean of two or more values (Student's t)."""
    from scipy.stats import t  # more than a second, which a sweep without seeds doesn't have to wait

    quantile = float(t.ppf(0.975, len(values) - 1))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


def seconds_left(sweep: Sweep, ledger: Ledger, slots: int) -> float | None:
    """A guess from the mean epoch and the mean length of trials so far; none before the first epoch."""
    tallies = [ledger.tally(arm.name) for arm in sweep.arms]
    num_epochs = sum(tally.epochs for tally in tallies)
    if not num_epochs:
        return None
    running = [ledger.trials[number].epochs for number in list(ledger.unfinished)]
    num_ended = len(ledger.trials) - len(running)
    expected = (num_epochs - sum(running)) / num_ended if num_ended else float(sweep.space.budget.max_epochs)
    wanted = sum(arm.wanted for arm in summarize(sweep, ledger))
    epochs = (wanted - len(ledger.trials)) * expected + sum(max(expected - done, 1) for done in running)
    mean_s: float = sum(tally.trained_s for tally in tallies) / num_epochs
    return epochs * mean_s / slots

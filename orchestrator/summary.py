"""How far a sweep is and what it has found, by arm: for the live display, the last table and the tests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.budget import Budget
from orchestrator.ledger import Ledger
from orchestrator.search_space import Sweep
from orchestrator.trial import Objective, Trial
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
    objective = Objective(sweep.space.objective.metric, sweep.space.objective.mode)
    trials = list(ledger.trials.values())
    budget = Budget(sweep, ledger)
    return [
        _summarize(sweep, budget, objective, arm.name, [trial for trial in trials if trial.arm == arm.name])
        for arm in sweep.arms
    ]


def _summarize(sweep: Sweep, budget: Budget, objective: Objective, arm: str, trials: Sequence[Trial]) -> ArmSummary:
    best = objective.best_trial(trials)
    row = best and objective.best_row(best)
    names = read_metrics(sweep)
    metrics, margins = _means([row["metrics"]] if row else [], names)
    if sweep.space.budget.seeds is not None:
        metrics, margins = _means(_completed_rows(objective, trials), names)
    count = [trial.outcome for trial in trials].count
    return ArmSummary(
        arm=arm,
        wanted=budget.trials(arm) + budget.confirmed(arm),
        running=count(None),
        pruned=count(words.OUTCOME_PRUNED),
        completed=count(words.OUTCOME_COMPLETED),
        broken=count(words.OUTCOME_DIVERGED) + count(words.OUTCOME_FAILED),
        best=best,
        best_epoch=row["epoch"] if row else 0,
        metrics=metrics,
        margins=margins,
        judged=sum(bool(trial.test) for trial in trials),
        renderings=_renderings(sweep, best, trials),
        epochs=sum(trial.epochs for trial in trials),
        epochs_saved=sum(
            budget.epochs(arm) - trial.epochs for trial in trials if trial.outcome == words.OUTCOME_PRUNED
        ),
        mixed_code=len({code for trial in trials for code in trial.codes}) > 1,
    )


def _completed_rows(objective: Objective, trials: Sequence[Trial]) -> list[Mapping[str, float]]:
    """The metrics at the best epoch of each completed trial of the search."""
    completed = [
        trial for trial in trials if trial.outcome == words.OUTCOME_COMPLETED and trial.stage == words.STAGE_SEARCH
    ]
    return [row["metrics"] for trial in completed if (row := objective.best_row(trial))]


def _renderings(sweep: Sweep, best: Trial | None, trials: Sequence[Trial]) -> dict[str, dict[str, float]]:
    is_repeated = sweep.space.budget.seeds is not None
    shown = [trial for trial in trials if trial.stage == words.STAGE_SEARCH] if is_repeated else [best] if best else []
    found: dict[str, list[Mapping[str, float]]] = {}
    for trial in shown:
        for rendering in trial.renderings:
            found.setdefault(rendering["name"], []).append(rendering["metrics"])
    return {name: _means(rows, dict.fromkeys(key for row in rows for key in row))[0] for name, rows in found.items()}


def _means(rows: Sequence[Mapping[str, float]], names: Iterable[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean of each metric and, of two or more, half of its 95 % confidence interval (Student's t)."""
    values = {name: [row[name] for row in rows if name in row] for name in names}
    means = {name: statistics.fmean(each) for name, each in values.items() if each}
    return means, {name: margin(each) for name, each in values.items() if len(each) > 1}


def margin(values: Sequence[float]) -> float:
    """Half of the 95 % confidence interval of the mean of two or more values (Student's t)."""
    from scipy.stats import t  # more than a second, which a sweep without seeds doesn't have to wait

    quantile = float(t.ppf(0.975, len(values) - 1))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


def seconds_left(sweep: Sweep, ledger: Ledger, slots: int) -> float | None:
    """A guess from the mean epoch and the mean length of trials so far; none before the first epoch."""
    trials = list(ledger.trials.values())
    times = [row["metrics"]["time/epoch_s"] for trial in trials for row in list(trial.rows)]
    if not times:
        return None
    ended = [trial.epochs for trial in trials if trial.outcome is not None]
    expected = sum(ended) / len(ended) if ended else float(sweep.space.budget.max_epochs)
    wanted = sum(arm.wanted for arm in summarize(sweep, ledger))
    running = [trial.epochs for trial in trials if trial.outcome is None]
    epochs = (wanted - len(trials)) * expected + sum(max(expected - done, 1) for done in running)
    mean_s: float = sum(times) / len(times)
    return epochs * mean_s / slots

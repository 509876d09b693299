"""How far a sweep is and what it has found, by arm: for the live display, the last table and the tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.budget import Budget
from orchestrator.ledger import Ledger
from orchestrator.search_space import Sweep
from orchestrator.trial import Objective, Trial
from reports import vocabulary as words

READ = (words.JUDGE_ACCURACY, words.FVU)
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
    """At the best epoch of the best trial."""
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
    known = sweep.trainable.METRICS
    return list(dict.fromkeys([sweep.space.objective.metric, *(name for name in READ if name in known)]))


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
    best: Trial | None = None
    for trial in trials:
        value = objective.best(trial)
        if value is not None and objective.competes(trial.stage, trial.outcome):
            best = trial if objective.better(value, objective.best(best) if best else None) else best
    row = best and objective.best_row(best)
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
        metrics={name: row["metrics"][name] for name in read_metrics(sweep) if name in row["metrics"]} if row else {},
        epochs=sum(trial.epochs for trial in trials),
        epochs_saved=sum(
            budget.epochs(arm) - trial.epochs for trial in trials if trial.outcome == words.OUTCOME_PRUNED
        ),
        mixed_code=len({code for trial in trials for code in trial.codes}) > 1,
    )


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

"""An arm in numbers, kept up to date with every change of a trial, so that showing it costs the same at any size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.state.trial import Objective, Stage, Trial
from reports import vocabulary as words

Rank = tuple[bool, float]


@dataclass(frozen=True)
class _Share:
    """What one trial adds to the sums of its arm."""

    outcome: str | None = None
    epochs: int = 0
    trained_s: float = 0.0


class Tally:
    """The sums and the best trial of one arm.

    Attributes:
        outcomes: how many trials have each outcome; None of those that have not ended.
        epochs: of all trials.
        pruned_epochs: of the pruned ones.
        trained_s: what all epochs took.
        codes: fingerprints of the code that its trials ran.
        ended: numbers of the trials that have ended, in the order of their ends.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._trials: dict[Stage, list[Trial]] = {words.STAGE_SEARCH: [], words.STAGE_CONFIRM: []}
        self._shares: dict[int, _Share] = {}
        self._best: tuple[Rank, Trial] | None = None
        self.outcomes: Counter[str | None] = Counter()
        self.epochs = 0
        self.pruned_epochs = 0
        self.trained_s = 0.0
        self.codes: set[str] = set()
        self.ended: dict[int, None] = {}

    def of_stage(self, stage: Stage) -> list[Trial]:
        """The trials of a stage in the order in which they were asked for."""
        return self._trials[stage]

    @property
    def best(self) -> Trial | None:
        """The best trial of its search, the first of equals."""
        return self._best[1] if self._best else None

    def last_ended(self) -> Iterator[int]:
        """Numbers of the trials that have ended, the last one first."""
        return reversed(self.ended)

    def update(self, trial: Trial) -> None:
        """Take over what has changed about a trial, or a new one."""
        if trial.number not in self._shares:
            self._trials[trial.stage].append(trial)
        else:
            self._add(self._shares[trial.number], -1)
        share = _Share(trial.outcome, trial.epochs, trial.curve.trained_s)
        self._shares[trial.number] = share
        self._add(share, 1)
        self.codes.update(trial.codes[-1:])
        if trial.outcome is None:
            self.ended.pop(trial.number, None)
        else:
            self.ended.setdefault(trial.number)
        self._rank(trial)

    def _add(self, share: _Share, sign: int) -> None:
        self.outcomes[share.outcome] += sign
        self.epochs += sign * share.epochs
        self.trained_s += sign * share.trained_s
        if share.outcome == words.OUTCOME_PRUNED:
            self.pruned_epochs += sign * share.epochs

    def _rank(self, trial: Trial) -> None:
        """Keep the best trial the best one."""
        rank = self._rank_of(trial)
        if self._best is None or self._best[1] is not trial:
            if rank is not None and (self._best is None or _order(rank, trial) > _order(*self._best)):
                self._best = rank, trial
        elif rank is not None and rank >= self._best[0]:
            self._best = rank, trial
        else:
            # The best one has been opened again or started over: now it may be any.
            ranked = [(other_rank, other) for other in self.of_stage("search") if (other_rank := self._rank_of(other))]
            self._best = max(ranked, key=lambda pair: _order(*pair), default=None)

    def _rank_of(self, trial: Trial) -> Rank | None:
        return self._objective.rank(trial.stage, trial.outcome, self._objective.best(trial))


def _order(rank: Rank, trial: Trial) -> tuple[Rank, int]:
    return rank, -trial.number

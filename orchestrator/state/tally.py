"""Sums over an arm's trials, updated with every change of a trial, so that reading them takes constant time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.state.curve import Objective, Rank
from orchestrator.state.front import Front
from orchestrator.state.trial import Stage, Trial, best_trial
from reports import vocabulary as words


@dataclass(frozen=True)
class _Share:
    """What one trial adds to the sums of its arm."""

    status: str
    epochs: int
    trained_s: float
    rendered: tuple[str, ...]
    length: int | None
    """The number of epochs of an ended search trial.

    None for a trial that has not ended, and for confirm trials, which are never pruned.
    """


class Tally:
    """The sums and the best trial of one arm.

    Attributes:
        best: the best trial of its search, the first of equals; None before the first number.
        front: its trials that no other of them dominates; empty with a single objective.
        statuses: how many trials have each status.
        epochs: the number of epochs of all trials, without those of other sweeps.
        pruned_epochs: the number of these epochs of the pruned trials.
        trained_s: the training time of all trials in seconds, without that in other sweeps.
        lengths: how many trials of the search have ended after each number of epochs.
        codes: fingerprints of the code that its trials ran.
        ended: numbers of the trials that have ended, in the order of their ends.
    """

    def __init__(self) -> None:
        self._trials: dict[Stage, list[Trial]] = {words.STAGE_SEARCH: [], words.STAGE_CONFIRM: []}
        self._shares: dict[int, _Share] = {}
        self._best_rank: Rank | None = None
        self._rendered: Counter[str] = Counter()
        self.best: Trial | None = None
        self.front = Front()
        self.statuses: Counter[str] = Counter()
        self.epochs = 0
        self.pruned_epochs = 0
        self.trained_s = 0.0
        self.lengths: Counter[int] = Counter()
        self.codes: set[str] = set()
        self.ended: dict[int, None] = {}

    def of_stage(self, stage: Stage) -> list[Trial]:
        """Return the trials of a stage in the order in which they were asked for."""
        return self._trials[stage]

    @property
    def unfinished(self) -> int:
        """The number of trials that have not ended."""
        return self.statuses[words.OUTCOME_RUNNING] + self.statuses[words.OUTCOME_INTERRUPTED]

    @property
    def rendered(self) -> list[str]:
        """The settings by which the renderings of its trials differ."""
        return [name for name, count in self._rendered.items() if count]

    def last_ended(self) -> Iterator[int]:
        """Yield the numbers of the trials that have ended, the last one first."""
        return reversed(self.ended)

    def update(self, trial: Trial, objective: Objective) -> None:
        """Replace what a trial adds to the sums, or add a new trial."""
        if trial.number in self._shares:
            self._add(self._shares[trial.number], -1)
        else:
            self._trials[trial.stage].append(trial)
        settings = [name for rendering in trial.renderings for name in rendering["settings"]]
        has_length = trial.outcome is not None and trial.stage == words.STAGE_SEARCH
        length = trial.epochs if has_length else None
        share = _Share(trial.status, trial.trained_epochs, trial.curve.spent_s, tuple(settings), length)
        self._shares[trial.number] = share
        self._add(share, 1)
        self.codes.update(trial.codes[-1:])
        if trial.outcome is None:
            self.ended.pop(trial.number, None)
        else:
            self.ended.setdefault(trial.number)
        self._compete(trial, objective)
        self.front.update(trial.number, trial.point(objective))

    def _add(self, share: _Share, times: int) -> None:
        """Add a trial's share to the sums (`times` is 1), or take it away (-1)."""
        self.statuses[share.status] += times
        self.epochs += times * share.epochs
        self.trained_s += times * share.trained_s
        if share.status == words.OUTCOME_PRUNED:
            self.pruned_epochs += times * share.epochs
        if share.length is not None:
            self.lengths[share.length] += times
        for name in share.rendered:
            self._rendered[name] += times

    def _compete(self, trial: Trial, objective: Objective) -> None:
        """Update the best trial after a change of one trial."""
        rank = trial.rank(objective)
        if self.best is None or self._best_rank is None:
            if rank is not None:
                self.best, self._best_rank = trial, rank
        elif self.best is not trial:
            if rank is not None and (rank, -trial.number) > (self._best_rank, -self.best.number):
                self.best, self._best_rank = trial, rank
        elif rank is not None and rank >= self._best_rank:
            self._best_rank = rank
        else:
            # The best trial was reopened or started over, so any trial may be the best now.
            self.best = best_trial(self.of_stage(words.STAGE_SEARCH), objective)
            self._best_rank = self.best.rank(objective) if self.best else None

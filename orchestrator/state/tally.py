"""Sums and bests of each arm and of all trials, kept as trials change, so that no look goes over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.state.tracked import MEDIA, Trial
from orchestrator.state.trial import Objective

Rank = tuple[bool, float]


@dataclass
class Tally:
    """An arm.

    Attributes:
        best: the best of its ended trials, the first of equals.
        spent: epochs that its ended trials trained.
        codes: fingerprints of the code that its trials ran.
    """

    best: Trial | None = None
    spent: int = 0
    codes: set[str] = field(default_factory=set)
    _ranked: dict[int, tuple[Rank, Trial]] = field(default_factory=dict)

    def rank(self, trial: Trial, rank: Rank | None) -> None:
        """Let a trial compete with this rank, or no more with none."""
        before = self._ranked.pop(trial.number, None)
        if rank is not None:
            self._ranked[trial.number] = rank, trial
        if self.best is not None and self.best.number == trial.number and (before is None or before[0] != rank):
            self.best = max(self._ranked.values(), key=_order, default=(None, None))[1]
        elif rank is not None and (self.best is None or _order((rank, trial)) > self._order_of_best()):
            self.best = trial

    def _order_of_best(self) -> tuple[Rank, int]:
        assert self.best is not None
        return _order(self._ranked[self.best.number])


def _order(ranked: tuple[Rank, Trial]) -> tuple[Rank, int]:
    rank, trial = ranked
    return rank, -trial.number


@dataclass(frozen=True)
class _Share:
    """What a trial adds to the tallies."""

    outcome: str
    spent: int
    rendered: tuple[str, ...]
    is_heard: bool


class Tallies:
    """The arms, in the order in which they were first asked for, and what is said of all trials.

    Attributes:
        arms: by name.
        outcomes: how many trials have each.
        num_heard: trials that have sounds or pictures.
    """

    def __init__(self) -> None:
        self.arms: dict[str, Tally] = {}
        self.outcomes: Counter[str] = Counter()
        self.num_heard = 0
        self._rendered: Counter[str] = Counter()
        self._shares: dict[int, _Share] = {}

    @property
    def bests(self) -> list[Trial]:
        """The best trial of each arm that has one."""
        return [tally.best for tally in self.arms.values() if tally.best is not None]

    @property
    def rendered(self) -> list[str]:
        """Every setting that renderings differ by."""
        return [name for name, count in self._rendered.items() if count]

    def update(self, trial: Trial, objective: Objective) -> None:
        """Take over what has become of a trial."""
        arm = self.arms.setdefault(trial.arm, Tally())
        if (before := self._shares.get(trial.number)) is not None:
            self._add(arm, before, -1)
        share = self._shares[trial.number] = _share(trial)
        self._add(arm, share, 1)
        arm.codes |= trial.codes
        value = trial.best["metrics"][objective.metric] if trial.best else None
        arm.rank(trial, objective.rank(trial.asked.stage, trial.outcome, value))

    def _add(self, arm: Tally, share: _Share, times: int) -> None:
        self.outcomes[share.outcome] += times
        self.num_heard += times * share.is_heard
        arm.spent += times * share.spent
        for name in share.rendered:
            self._rendered[name] += times


def _share(trial: Trial) -> _Share:
    rendered: Iterable[str] = (name for rendering in trial.renderings for name in rendering["settings"])
    is_heard = any(name.startswith(MEDIA) for name in trial.files)
    return _Share(trial.outcome, trial.ended.epochs if trial.ended else 0, tuple(rendered), is_heard)

"""What a sweep is expected to need: how many trials reach each rung, and how many epochs all of them train."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.commands.planning.load import ArmLoad, Course, Durations, Load
from orchestrator.commands.planning.rungs import interpolate_quantile
from orchestrator.commands.planning.simulation import simulate
from orchestrator.overview.estimate import list_rungs
from orchestrator.search_space.objective import ASHA

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Sweep

MOST_SIMULATIONS, LEAST_SIMULATIONS = 200, 2
SIMULATED_TRIALS = 10_000
"""About this many trials are simulated in all, so that a plan takes no longer than a second or two."""
LOW, HIGH = 0.1, 0.9
"""The quantiles between which four in five simulations lie."""


@dataclass(frozen=True)
class Spread:
    """A quantity in all simulations: its mean, and the range of four in five of them."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarize a quantity.

        Args:
            values: one of each simulation.
        """
        ordered = sorted(map(float, values))
        mean = sum(ordered) / len(ordered)
        return cls(mean, interpolate_quantile(ordered, LOW), interpolate_quantile(ordered, HIGH))


@dataclass(frozen=True)
class RungPlan:
    """A rung of pruning, or the last epoch.

    Attributes:
        epoch: the epoch at which trials are compared.
        most: the trials of the search that reach it if nothing is pruned.
        expected: how many reach it with pruning.
    """

    epoch: int
    most: int
    expected: Spread


def make_load(
    sweep: Sweep,
    *,
    slots: int,
    shares: Mapping[str, float] | None = None,
    gpus: Mapping[str, float] | None = None,
    durations: Mapping[str, tuple[Durations, ...]] | None = None,
) -> Load:
    """Return what a sweep has to run, for a simulation; without pruning if its kind is not ASHA.

    Args:
        sweep: the search space.
        slots: the number of trials that run at once.
        shares: by arm, the part of all slots that a trial takes; by default one slot.
        gpus: by arm, the GPUs of a trial; by default none.
        durations: by arm, how long the parts of a trial take; by default an epoch takes one second, the rest none.
    """
    space = sweep.space
    trials, confirm = space.budget.trials, space.confirm
    num_confirm = min(confirm.top, trials) * confirm.seeds if confirm else 0
    arms = []
    for arm in sweep.arms:
        share = (shares or {}).get(arm.name, 1 / slots)
        arm_durations = (durations or {}).get(arm.name, (Durations(),))
        arms.append(ArmLoad(arm.name, trials, num_confirm, share, (gpus or {}).get(arm.name, 0.0), arm_durations))
    media_epochs = tuple(epoch for epoch in space.media.epochs if isinstance(epoch, int))
    if space.pruning is None or space.pruning.kind != ASHA:
        return Load(tuple(arms), (space.budget.max_epochs,), None, media_epochs)
    return Load(tuple(arms), tuple(list_rungs(sweep, space.budget.max_epochs)), space.pruning, media_epochs)


def simulate_often(load: Load) -> list[Course]:
    """Simulate a sweep with other random values each time: often if it is small, a few times if it is large."""
    num_trials = sum(arm.trials + arm.confirm for arm in load.arms)
    times = max(LEAST_SIMULATIONS, min(MOST_SIMULATIONS, SIMULATED_TRIALS // num_trials))
    return [simulate(load, seed) for seed in range(times)]


def count_processors() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def expect_rungs(load: Load, courses: Sequence[Course]) -> tuple[RungPlan, ...]:
    """Return how many trials of the search reach each rung."""
    most = sum(arm.trials for arm in load.arms)
    return tuple(RungPlan(rung, most, Spread.of([course.reached[rung] for course in courses])) for rung in load.rungs)

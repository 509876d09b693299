"""From what a probe has measured to the time and the money of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.commands.data.feature_sets import list_feature_sets
from orchestrator.commands.planning.expectation import make_load, simulate_often
from orchestrator.commands.planning.plan import CHECKPOINTS_KEPT
from orchestrator.commands.planning.rungs import interpolate_quantile
from orchestrator.overview.panels import format_duration
from orchestrator.plugins.corpora import SAMPLE_BYTES, clip_format_of
from orchestrator.state.disk import format_bytes
from reports import vocabulary as words

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.commands.planning.contents import Plan
    from orchestrator.commands.planning.probe import Probe
    from orchestrator.search_space.sweep import Sweep


@dataclass(frozen=True)
class Quantiles:
    """The median and the 90th percentile of a quantity over all simulations."""

    p50: float
    p90: float

    @classmethod
    def of(cls, values: list[float]) -> Quantiles:
        """Compute the quantiles of a quantity.

        Args:
            values: the quantity in each simulation.
        """
        ordered = sorted(values)
        return cls(interpolate_quantile(ordered, 0.5), interpolate_quantile(ordered, 0.9))

    def format(self, show: Callable[[float], str]) -> str:
        """Return both with their names.

        Args:
            show: formats one of them.
        """
        return f"{show(self.p50)} (p50), {show(self.p90)} (p90)"


@dataclass(frozen=True)
class Estimate:
    """How long a sweep takes.

    Attributes:
        seconds: from the command to the end of the last trial.
        gpu_hours: the hours for which all trials together hold GPUs.
    """

    seconds: Quantiles
    gpu_hours: Quantiles


def make_estimate(sweep: Sweep, probe: Probe) -> Estimate:
    """Simulate a sweep with the durations that a probe has measured."""
    shares = {arm: 1 / max(1, probe.capacity.count(grant)) for arm, grant in probe.grants.items()}
    gpus = {arm: grant.gpus for arm, grant in probe.grants.items()}
    load = make_load(sweep, slots=probe.slots, shares=shares, gpus=gpus, durations=probe.durations)
    courses = simulate_often(load)
    return Estimate(
        seconds=Quantiles.of([probe.start_s + course.seconds for course in courses]),
        gpu_hours=Quantiles.of([course.gpu_seconds / 3600 for course in courses]),
    )


def print_estimate(sweep: Sweep, plan: Plan, home: Path, price: float | None) -> None:
    """Probe a sweep, and print how long it takes and what it costs.

    Args:
        sweep: the search space.
        plan: its plan.
        home: the folder of all sweeps.
        price: of a GPU for an hour; None for `budget.price_per_gpu_hour`.

    Raises:
        UserError: it can't be probed.
    """
    from orchestrator.commands.planning.probe import run_probe
    from orchestrator.overview.screen import Screen

    screen = Screen()
    try:
        probe = run_probe(sweep, home, screen)
    finally:
        screen.close()
    if price is None:
        price = sweep.space.budget.price_per_gpu_hour
    for line in describe_estimate(sweep, plan, probe, make_estimate(sweep, probe), price, datetime.now()):
        screen.say(line)


def describe_estimate(
    sweep: Sweep, plan: Plan, probe: Probe, estimate: Estimate, price: float | None, now: datetime
) -> list[str]:
    """Return the lines that `plan --probe` adds to a plan.

    Args:
        sweep: the search space.
        plan: its plan.
        probe: what was measured.
        estimate: the time that it takes.
        price: of a GPU for an hour; None if it is not known.
        now: the time at which it would start.
    """
    seconds = estimate.seconds
    lines = [
        f"probe: {words.amount(probe.shapes, 'shape')}; {words.amount(probe.slots, 'trial')} at once on "
        f"{probe.capacity.describe()}",
        *(f"note: {note}" for note in probe.notes),
        *(_describe_arm(arm.name, probe) for arm in plan.arms),
        *_describe_disk(sweep, plan, probe),
        f"time: {seconds.format(format_duration)}; begun now, finished at {_format_time(now, seconds.p50)} (p50), "
        f"{_format_time(now, seconds.p90)} (p90)",
    ]
    if plan.epochs is None:
        lines.append(f"note: that is without pruning, and less {plan.pruner}")
    hours = sweep.space.budget.hours
    if hours is not None and seconds.p50 > hours * 3600:
        lines.append(f"note: budget.hours ({hours:g}) ends the sweep before that")
    if not probe.capacity.gpus:
        lines.append("GPU-hours: none (no GPU here)")
        return lines
    lines.append(f"GPU-hours: {estimate.gpu_hours.format(lambda value: f'{value:.2f}')}")
    if price is not None:
        lines.append(f"cost: {estimate.gpu_hours.format(lambda value: f'{price * value:.2f}')} at {price:g} an hour")
    return lines


def _describe_arm(arm: str, probe: Probe) -> str:
    """Return the range of what the trials of an arm took."""
    durations = probe.durations[arm]
    parts = {"start": [d.start for d in durations], "epoch": [d.epoch for d in durations]}
    parts["evaluation"] = [max(d.pruned, d.completed, d.confirm) for d in durations]
    return f"  {arm}: " + ", ".join(f"{part} {_format_range(values)} s" for part, values in parts.items())


def _format_range(values: list[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def _describe_disk(sweep: Sweep, plan: Plan, probe: Probe) -> list[str]:
    """Return a line about checkpoints whose size was not known, and one about the features of the corpus."""
    lines = []
    if plan.checkpoint_bytes is None:
        total = CHECKPOINTS_KEPT * probe.checkpoint_bytes * plan.trials
        lines.append(f"disk: checkpoints of {format_bytes(probe.checkpoint_bytes)}, {format_bytes(total)} at most")
    if probe.clips:
        clip_format = clip_format_of(sweep.space.corpus)
        feature_sets = list_feature_sets(sweep, clip_format.frames)
        feature_bytes = sum(clip_bytes for _, clip_bytes in feature_sets)
        cached_bytes = probe.clips * (SAMPLE_BYTES * clip_format.samples + feature_bytes)
        names = ", ".join(name for name, _ in feature_sets) or "none"
        lines.append(
            f"corpus: {words.amount(probe.clips, 'clip')}, {words.amount(len(feature_sets), 'feature set')} "
            f"({names}), {format_bytes(cached_bytes)} in the cache"
        )
    return lines


def _format_time(now: datetime, seconds: float) -> str:
    end = now + timedelta(seconds=seconds)
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%a %d %b %H:%M}"

"""What a search space would run, before anything starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from orchestrator.commands.detectable import detectable
from orchestrator.plugins.loader import Trainable, config_values
from orchestrator.search_space.combinations import rendering_name
from orchestrator.state.disk import format_bytes
from reports import vocabulary as words

RENDERING_BYTES = 230_000
"""A clip of two seconds, original and reconstructed, and its picture, in the sweep's folder or in MLflow's."""

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.search_space.reader import Arm, Sweep
    from orchestrator.search_space.schema import Pruning


@dataclass(frozen=True)
class ArmPlan:
    """What one arm runs.

    Attributes:
        name: of the arm.
        trials: trials of the search.
        startup: of them, quasi-random points.
        tpe: of them, proposed by TPE.
        confirm: trials that run after the search.
        searched: what is searched: name to domain, in words.
    """

    name: str
    trials: int
    startup: int
    tpe: int
    confirm: int
    searched: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """What a sweep runs.

    Attributes:
        sweep: its name.
        arms: in the order of the sweep.
        skipped: combinations left out, each with its reason.
        trials: of all arms, the confirmation included.
        most_epochs: if nothing is pruned.
        least_epochs: if ASHA stops all but one in `reduction_factor` at each rung; it decides as reports come in, so
            that the first trials to reach a rung go on and the sum ends above this.
        checkpoint_bytes: what checkpoints take at most, pruned trials' included; None where that is not known.
        media_bytes: what sounds and pictures take at most.
        detectable: what its final comparison could find, in a line.
        notes: what may surprise.
    """

    sweep: str
    arms: tuple[ArmPlan, ...]
    skipped: tuple[str, ...]
    trials: int
    most_epochs: int
    least_epochs: int
    checkpoint_bytes: int | None
    media_bytes: int
    detectable: str
    notes: tuple[str, ...]


def make_plan(sweep: Sweep) -> Plan:
    """Count what a sweep would run; its own `budget.hours` may end it earlier."""
    space, budget = sweep.space, sweep.space.budget
    arms = tuple(_plan_arm(sweep, arm) for arm in sweep.arms)
    confirmed = sum(arm.confirm for arm in arms) * budget.max_epochs
    searched = sum(arm.trials for arm in arms)
    if space.pruning is None:
        least = searched * budget.max_epochs
    elif space.pruning.across_arms:
        least = _least_epochs(searched, space.pruning, budget.max_epochs)
    else:
        least = len(arms) * _least_epochs(budget.trials, space.pruning, budget.max_epochs)
    return Plan(
        sweep=sweep.name,
        arms=arms,
        skipped=sweep.skipped,
        trials=searched + sum(arm.confirm for arm in arms),
        most_epochs=searched * budget.max_epochs + confirmed,
        least_epochs=least + confirmed,
        checkpoint_bytes=_checkpoint_bytes(sweep, arms),
        media_bytes=_media_bytes(sweep) * sum(arm.trials + arm.confirm for arm in arms),
        detectable=detectable(sweep),
        notes=tuple(_notes(sweep, arms)),
    )


def _plan_arm(sweep: Sweep, arm: Arm) -> ArmPlan:
    space = sweep.space
    trials = space.budget.trials
    startup = min(space.search.startup_trials, trials) if arm.searched else 0
    return ArmPlan(
        name=arm.name,
        trials=trials,
        startup=startup,
        tpe=trials - startup if arm.searched else 0,
        confirm=min(space.confirm.top, trials) * space.confirm.seeds if space.confirm else 0,
        searched={name: str(domain) for name, domain in arm.searched.items()},
    )


def _checkpoint_bytes(sweep: Sweep, arms: tuple[ArmPlan, ...]) -> int | None:
    """The best and the last checkpoint of every trial, by the largest settings of its arm."""
    total = 0
    for arm, planned in zip(sweep.arms, arms, strict=True):
        settings = [arm.middle(), *(corner for _, corner in arm.corners())]
        configs = (
            sweep.trainable.Config(**config_values(sweep.trainable, trial_settings)) for trial_settings in settings
        )
        sizes = [size for config in configs if (size := sweep.trainable.checkpoint_bytes(config)) is not None]
        if not sizes:
            return None
        total += 2 * max(sizes) * (planned.trials + planned.confirm)
    return total


def _media_bytes(sweep: Sweep) -> int:
    """Renderings of one trial."""
    space = sweep.space
    if space.corpus is None or sweep.trainable.render is Trainable.render:
        return 0
    epochs = [epoch for epoch in space.media.epochs if isinstance(epoch, int) and epoch <= space.budget.max_epochs]
    return (len(epochs) + 1 + len(sweep.renderings)) * space.media.clips * RENDERING_BYTES


def _least_epochs(trials: int, pruning: Pruning, max_epochs: int) -> int:
    """Epochs of successive halving: of the trials at each rung, one in `reduction_factor` goes on, at least one."""
    total, rung, before = 0, pruning.grace_epochs, 0
    while rung < max_epochs:
        total += trials * (rung - before)
        trials = math.ceil(trials / pruning.reduction_factor)
        rung, before = rung * pruning.reduction_factor, rung
    return total + trials * (max_epochs - before)


def _notes(sweep: Sweep, arms: tuple[ArmPlan, ...]) -> list[str]:
    space, notes = sweep.space, list(sweep.remarks)
    if space.budget.seeds is not None:
        notes.append(f"nothing is searched: an arm's trials are its {space.budget.seeds} seeds, the same in every arm")
    judged_finally = space.confirm is not None or space.budget.seeds is not None
    if judged_finally and sweep.trainable.evaluate is Trainable.evaluate:
        notes.append(
            f"{sweep.trainable.__name__} has no evaluate(): the test split judges no trial, and the report can test "
            "nothing"
        )
    if sweep.renderings:
        count = words.amount(len(sweep.renderings), "rendering")
        notes.append(f"each completed trial is judged with {count}: {', '.join(map(rendering_name, sweep.renderings))}")
    if any(arm.searched and not arm.tpe for arm in arms):
        notes.append(
            f"TPE proposes nothing: search.startup_trials ({space.search.startup_trials}) takes all of "
            f"budget.trials_per_arm ({space.budget.trials})"
        )
    fixed = [arm.name for arm in arms if not arm.searched]
    if fixed and (space.budget.trials_per_arm or 0) > 1:
        notes.append(f"where nothing is searched ({'; '.join(fixed)}), trials differ by their seeds only")
    if space.pruning and space.pruning.across_arms:
        notes.append("arms are pruned against each other: one that starts slowly may lose all its trials")
    if space.budget.hours is not None:
        notes.append(f"the sweep stops after {space.budget.hours:g} h (budget.hours)")
    return notes


def show(plan: Plan, console: Console, free_bytes: int) -> None:
    """Print a plan: a row an arm, then the sums, what is skipped and what may surprise."""
    table = Table(title=f"{plan.sweep}: {words.amount(len(plan.arms), 'arm')}, {words.amount(plan.trials, 'trial')}")
    table.add_column("arm")
    for heading in ("trials", "startup", "TPE", "confirm"):
        table.add_column(heading, justify="right")
    table.add_column("searched")
    for arm in plan.arms:
        counts = map(str, (arm.trials, arm.startup, arm.tpe, arm.confirm))
        searched = "\n".join(f"{name} {domain}" for name, domain in arm.searched.items())
        # As Text, since brackets in strings are markup.
        table.add_row(Text(arm.name), *counts, Text(searched or "nothing"))
    console.print(table)
    skipped = [f"skipped: {cell}" for cell in plan.skipped]
    for line in (
        _epochs(plan),
        _disk(plan, free_bytes),
        plan.detectable,
        *skipped,
        *(f"note: {note}" for note in plan.notes),
    ):
        console.print(line, markup=False, soft_wrap=True)


def _epochs(plan: Plan) -> str:
    if plan.least_epochs == plan.most_epochs:
        return f"epochs: {plan.most_epochs} (nothing is pruned)"
    return f"epochs: {plan.most_epochs} at most, {plan.least_epochs} or more when ASHA prunes"


def _disk(plan: Plan, free_bytes: int) -> str:
    checkpoints = (
        "not known before a trial runs" if plan.checkpoint_bytes is None else format_bytes(plan.checkpoint_bytes)
    )
    total = format_bytes((plan.checkpoint_bytes or 0) + plan.media_bytes)
    return (
        f"disk: {total} at most (checkpoints {checkpoints}, sounds and pictures {format_bytes(plan.media_bytes)}); "
        f"{format_bytes(free_bytes)} free"
    )

"""`orchestrate plan FILE`: count what a search space would run, without starting anything."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from orchestrator.commands.detectable import describe_detectable
from orchestrator.commands.pruning_plan import PRUNERS, count_least_epochs, describe_pruning
from orchestrator.plugins.loader import config_values
from orchestrator.policy.warm_start import WarmStart
from orchestrator.search_space.combinations import rendering_name
from orchestrator.search_space.search import WITHOUT_STARTUP, choose_sampler, describe_choices, label_of
from orchestrator.state.disk import format_bytes
from orchestrator.state.ledger import Ledger
from reports import vocabulary as words

RENDERING_BYTES = 230_000
"""Size of one rendered clip of two seconds: the original, the reconstruction and their picture."""
CHECKPOINTS_KEPT = 2
"""A trial keeps its best and its last checkpoint."""
TEXT_WIDTH = 100
"""Characters in a line of a plan as text."""

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.search_space.reader import Arm, Sweep


@dataclass(frozen=True)
class ArmPlan:
    """The trials of one arm.

    Attributes:
        name: the name of the arm.
        trials: the number of trials of the search.
        startup: the number of them with quasi-random parameters.
        sampler: the label of the sampler that proposes the others.
        proposed: the number of the others.
        confirm: the number of trials of the confirm stage.
        searched: the domain of each searched parameter, as text.
    """

    name: str
    trials: int
    startup: int
    sampler: str
    proposed: int
    confirm: int
    searched: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """The trials, the epochs and the disk space of a sweep.

    Attributes:
        sweep: the name of the sweep.
        arms: the arms in the order of the sweep.
        skipped: combinations that are left out, each with its reason.
        trials: the number of trials of all arms, those of the confirm stage included.
        most_epochs: the number of epochs if nothing is pruned.
        least_epochs: the number of epochs if pruning ends trials as early as it can, such as if ASHA continues one
            trial in `reduction_factor` at each rung. The real number is larger: ASHA judges each report when it
            arrives, so that the first trials at a rung continue.
        pruner: when that is, in words.
        checkpoint_bytes: the size of all checkpoints at most, those of pruned trials included; None if it is unknown.
        media_bytes: the size of all sounds and pictures at most.
        detectable: a line about the smallest difference that the final comparison would detect.
        notes: lines about what the user may not expect.
    """

    sweep: str
    arms: tuple[ArmPlan, ...]
    skipped: tuple[str, ...]
    trials: int
    most_epochs: int
    least_epochs: int
    pruner: str
    checkpoint_bytes: int | None
    media_bytes: int
    detectable: str
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Return the plan as `orchestrate plan` prints it."""
        from rich.console import Console

        stream = io.StringIO()
        print_plan(self, Console(file=stream, width=TEXT_WIDTH, highlight=False), None)
        return stream.getvalue().rstrip()


def make_plan(sweep: Sweep, home: Path | None = None) -> Plan:
    """Count what a sweep would run if `budget.hours` did not end it earlier.

    Args:
        sweep: the search space.
        home: the folder of all sweeps, which says what a warm start would learn from; None leaves that out.
    """
    space, budget = sweep.space, sweep.space.budget
    arms = tuple(_plan_arm(sweep, arm) for arm in sweep.arms)
    num_confirm = sum(arm.confirm for arm in arms)
    num_search = sum(arm.trials for arm in arms)
    confirm_epochs = num_confirm * budget.max_epochs
    if space.pruning is None:
        least = num_search * budget.max_epochs
    elif space.pruning.across_arms:
        least = count_least_epochs(num_search, space.pruning, budget.max_epochs)
    else:
        least = len(arms) * count_least_epochs(budget.trials, space.pruning, budget.max_epochs)
    return Plan(
        sweep=sweep.name,
        arms=arms,
        skipped=sweep.skipped,
        trials=num_search + num_confirm,
        most_epochs=num_search * budget.max_epochs + confirm_epochs,
        least_epochs=least + confirm_epochs,
        pruner=PRUNERS[space.pruning.kind] if space.pruning else "",
        checkpoint_bytes=_checkpoint_bytes(sweep, arms),
        media_bytes=_media_bytes(sweep) * (num_search + num_confirm),
        detectable=describe_detectable(sweep),
        notes=(*_make_notes(sweep, arms), *(_describe_warm_start(sweep, home) if home else ())),
    )


def _plan_arm(sweep: Sweep, arm: Arm) -> ArmPlan:
    space = sweep.space
    trials = space.budget.trials
    # Without searched parameters, Optuna proposes none of the trials.
    proposed = trials if arm.searched else 0
    sampler = choose_sampler(space, arm).name
    startup = 0 if sampler in WITHOUT_STARTUP else min(space.search.startup_trials, proposed)
    confirm = min(space.confirm.top, trials) * space.confirm.seeds if space.confirm else 0
    return ArmPlan(
        name=arm.name,
        trials=trials,
        startup=startup,
        sampler=label_of(sampler),
        proposed=proposed - startup,
        confirm=confirm,
        searched={name: str(domain) for name, domain in arm.searched.items()},
    )


def _checkpoint_bytes(sweep: Sweep, arms: tuple[ArmPlan, ...]) -> int | None:
    """Return the size of all checkpoints if every trial had the settings of its arm with the largest checkpoint."""
    total = 0
    for arm, planned in zip(sweep.arms, arms, strict=True):
        sizes = []
        for params in (arm.middle(), *(corner for _, corner in arm.corners())):
            config = sweep.declaration.Config(**config_values(sweep.declaration, params))
            size = sweep.declaration.checkpoint_bytes(config)
            if size is not None:
                sizes.append(size)
        if not sizes:
            return None
        total += CHECKPOINTS_KEPT * max(sizes) * (planned.trials + planned.confirm)
    return total


def _media_bytes(sweep: Sweep) -> int:
    """Return the size of one trial's renderings: at some epochs, at the best one, and in each way of `evaluate:`."""
    space = sweep.space
    if space.corpus is None or not sweep.declaration.can_render():
        return 0
    epochs = [epoch for epoch in space.media.epochs if isinstance(epoch, int) and epoch <= space.budget.max_epochs]
    return (len(epochs) + 1 + len(sweep.renderings)) * space.media.clips * RENDERING_BYTES


def _make_notes(sweep: Sweep, arms: tuple[ArmPlan, ...]) -> list[str]:
    space, budget, notes = sweep.space, sweep.space.budget, list(sweep.remarks)
    if space.budget.seeds is not None:
        notes.append(f"nothing is searched: an arm's trials are its {space.budget.seeds} seeds, the same in every arm")
    judged_finally = space.confirm is not None or space.budget.seeds is not None
    if judged_finally and not sweep.declaration.can_evaluate():
        notes.append(
            f"{sweep.declaration.class_name()} has no evaluate(): no trial is evaluated on the test split, and the "
            "report tests nothing"
        )
    if sweep.renderings:
        count = words.amount(len(sweep.renderings), "rendering")
        notes.append(f"each completed trial is judged with {count}: {', '.join(map(rendering_name, sweep.renderings))}")
    notes += describe_choices(space, sweep.arms)
    idle = [arm.sampler for arm in arms if arm.searched and not arm.proposed]
    if idle:
        notes.append(
            f"{idle[0]} proposes nothing: search.startup_trials ({space.search.startup_trials}) takes all of "
            f"budget.trials_per_arm ({space.budget.trials})"
        )
    fixed = [arm.name for arm in arms if not arm.searched]
    if fixed and (space.budget.trials_per_arm or 0) > 1:
        notes.append(f"where nothing is searched ({'; '.join(fixed)}), trials differ by their seeds only")
    if space.pruning is not None:
        notes += describe_pruning(space.pruning, budget.max_epochs)
    if space.pruning and space.pruning.across_arms:
        notes.append("arms are pruned against each other: one that starts slowly may lose all its trials")
    limits = {"gpu_hours": space.budget.gpu_hours, "cost": space.budget.cost}
    for key, limit in limits.items():
        if limit is not None:
            notes.append(f"the sweep stops once trials have held graphics cards for budget.{key} of {limit:g}")
    if space.trials:
        notes.append(f"{words.amount(len(space.trials), 'configuration')} of your own (trials) come first")
    if space.budget.stop_when is not None:
        count = words.amount(space.budget.stop_when.no_better_for, "trial")
        notes.append(f"an arm gets no more trials after {count} in a row without a better one (budget.stop_when)")
    if space.budget.hours is not None:
        notes.append(f"the sweep stops after {space.budget.hours:g} h (budget.hours)")
    return notes


def _describe_warm_start(sweep: Sweep, home: Path) -> list[str]:
    """Return a line for each sweep of a warm start; the fingerprint of the code and the judge are not known yet."""
    return WarmStart(sweep, home, Ledger(home / sweep.name, read_only=True), None).lines


def print_plan(plan: Plan, console: Console, free_bytes: int | None) -> None:
    """Print a plan: a row for each arm, then the sums, the skipped combinations and the notes.

    Args:
        plan: the plan.
        console: prints it.
        free_bytes: the free space on the disk of the home; None leaves it out.
    """
    table = Table(title=f"{plan.sweep}: {words.amount(len(plan.arms), 'arm')}, {words.amount(plan.trials, 'trial')}")
    table.add_column("arm")
    samplers = {arm.sampler for arm in plan.arms if arm.proposed} or {plan.arms[0].sampler}
    for heading in ("trials", "startup", samplers.pop() if len(samplers) == 1 else "proposed", "confirm"):
        table.add_column(heading, justify="right")
    table.add_column("searched")
    for arm in plan.arms:
        counts = map(str, (arm.trials, arm.startup, arm.proposed, arm.confirm))
        searched = "\n".join(f"{name} {domain}" for name, domain in arm.searched.items())
        # A plain string would be read as markup, and brackets would disappear.
        table.add_row(Text(arm.name), *counts, Text(searched or "nothing"))
    console.print(table)
    skipped = [f"skipped: {combination}" for combination in plan.skipped]
    notes = [f"note: {note}" for note in plan.notes]
    for line in (_format_epochs(plan), _format_disk(plan, free_bytes), plan.detectable, *skipped, *notes):
        console.print(line, markup=False, soft_wrap=True)


def _format_epochs(plan: Plan) -> str:
    if plan.least_epochs == plan.most_epochs:
        return f"epochs: {plan.most_epochs} (nothing is pruned)"
    return f"epochs: {plan.most_epochs} at most, {plan.least_epochs} or more {plan.pruner}"


def _format_disk(plan: Plan, free_bytes: int | None) -> str:
    checkpoints = (
        "not known before a trial runs" if plan.checkpoint_bytes is None else format_bytes(plan.checkpoint_bytes)
    )
    total = format_bytes((plan.checkpoint_bytes or 0) + plan.media_bytes)
    free = "" if free_bytes is None else f"; {format_bytes(free_bytes)} free"
    return (
        f"disk: {total} at most (checkpoints {checkpoints}, sounds and pictures {format_bytes(plan.media_bytes)}){free}"
    )

"""What a plan contains, and how it is printed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from orchestrator.commands.planning.expectation import RungPlan, Spread
from orchestrator.state.disk import format_bytes
from reports import vocabulary as words

if TYPE_CHECKING:
    from rich.console import Console

TEXT_WIDTH = 100
"""Characters in a line of a plan as text."""


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
        epochs: the number of epochs that is expected, from simulations; None for a kind of pruning that depends on the
            curves of trials, which are unknown beforehand: PASHA, the median rule, patience and the Wilcoxon test.
        rungs: how many trials of the search are expected to reach each rung; none if that is not known either.
        least_epochs: the number of epochs if pruning ends trials as early as it can.
        pruner: when that is, in words; empty if epochs are simulated.
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
    epochs: Spread | None
    rungs: tuple[RungPlan, ...]
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
    if len(plan.rungs) > 1:
        console.print(_make_rung_table(plan))
    skipped = [f"skipped: {combination}" for combination in plan.skipped]
    notes = [f"note: {note}" for note in plan.notes]
    for line in (_format_epochs(plan), _format_disk(plan, free_bytes), plan.detectable, *skipped, *notes):
        console.print(line, markup=False, soft_wrap=True)


def _make_rung_table(plan: Plan) -> Table:
    """Return how many trials of the search reach each rung."""
    table = Table(title="trials of the search that reach an epoch")
    for heading in ("epoch", "without pruning", "expected", "in 4 of 5 simulations"):
        table.add_column(heading, justify="right")
    for rung in plan.rungs:
        table.add_row(str(rung.epoch), str(rung.most), _format_mean(rung.expected), _format_range(rung.expected))
    return table


def _format_mean(spread: Spread) -> str:
    return f"{spread.mean:.0f}" if spread.mean >= 10 or spread.low == spread.high else f"{spread.mean:.1f}"


def _format_range(spread: Spread) -> str:
    return f"{spread.low:.0f} to {spread.high:.0f}"


def _format_epochs(plan: Plan) -> str:
    if plan.epochs is None:
        return f"epochs: {plan.most_epochs} at most, {plan.least_epochs} or more {plan.pruner}"
    if plan.epochs.low == plan.epochs.high == plan.most_epochs:
        return f"epochs: {plan.most_epochs} (nothing is pruned)"
    return (
        f"epochs: {plan.epochs.mean:.0f} expected with pruning ({_format_range(plan.epochs)} in 4 of 5 simulations), "
        f"{plan.most_epochs} without"
    )


def _format_disk(plan: Plan, free_bytes: int | None) -> str:
    checkpoints = (
        "not known before a trial runs" if plan.checkpoint_bytes is None else format_bytes(plan.checkpoint_bytes)
    )
    total = format_bytes((plan.checkpoint_bytes or 0) + plan.media_bytes)
    free = "" if free_bytes is None else f"; {format_bytes(free_bytes)} free"
    return (
        f"disk: {total} at most (checkpoints {checkpoints}, sounds and pictures {format_bytes(plan.media_bytes)}){free}"
    )

"""`orchestrate plan FILE`: count what a search space would run, without starting anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.commands.planning.contents import ArmPlan, Plan
from orchestrator.commands.planning.detectable import describe_detectable
from orchestrator.commands.planning.expectation import (
    Spread,
    count_processors,
    expect_rungs,
    make_load,
    simulate_often,
)
from orchestrator.commands.planning.least import PRUNERS, count_least_epochs
from orchestrator.commands.planning.notes import make_notes
from orchestrator.plugins.corpora import clip_format_of
from orchestrator.plugins.loader import config_values
from orchestrator.search_space.objective import ASHA
from orchestrator.search_space.sampler import WITHOUT_STARTUP, label_of
from orchestrator.search_space.sampler_choice import choose_sampler

DRAWING_BYTES = 53_600
"""Size of the picture of a rendered clip."""
SOUND_BYTES = 2 * 2
"""Size of a sample of the original and of the reconstruction, which have 16 bits."""
CHECKPOINTS_KEPT = 2
"""A trial keeps its best and its last checkpoint."""

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Arm, Sweep


def make_plan(sweep: Sweep, home: Path | None = None) -> Plan:
    """Count what a sweep would run if `budget.hours` did not end it earlier.

    Args:
        sweep: the search space.
        home: the folder of all sweeps, which says what a warm start would learn from, and which trials are not trained
            again; None leaves that out.
    """
    budget = sweep.space.budget
    arms = tuple(_plan_arm(sweep, arm) for arm in sweep.arms)
    num_confirm = sum(arm.confirm for arm in arms)
    num_search = sum(arm.trials for arm in arms)
    slots = max(1, int(count_processors() // min(arm.resources.cpu for arm in sweep.arms)))
    load = make_load(sweep, slots=slots)
    courses = simulate_often(load)
    pruning = sweep.space.pruning
    is_simulated = pruning is None or pruning.kind == ASHA
    return Plan(
        sweep=sweep.name,
        arms=arms,
        skipped=sweep.skipped,
        trials=num_search + num_confirm,
        most_epochs=(num_search + num_confirm) * budget.max_epochs,
        epochs=Spread.of([course.epochs for course in courses]) if is_simulated else None,
        rungs=expect_rungs(load, courses) if is_simulated else (),
        least_epochs=_count_least_epochs(sweep, num_search) + num_confirm * budget.max_epochs,
        pruner="" if pruning is None else PRUNERS.get(pruning.kind, ""),
        checkpoint_bytes=_checkpoint_bytes(sweep, arms),
        media_bytes=_media_bytes(sweep) * (num_search + num_confirm),
        detectable=describe_detectable(sweep),
        notes=tuple(make_notes(sweep, arms, home)),
    )


def _count_least_epochs(sweep: Sweep, num_search: int) -> int:
    """Return the epochs of the search if pruning ends trials as early as it can."""
    pruning, max_epochs = sweep.space.pruning, sweep.space.budget.max_epochs
    if pruning is None:
        return num_search * max_epochs
    groups = 1 if pruning.across_arms else len(sweep.arms)
    return groups * count_least_epochs(num_search // groups, pruning, max_epochs)


def _plan_arm(sweep: Sweep, arm: Arm) -> ArmPlan:
    """Return how many trials of each kind an arm has."""
    space = sweep.space
    trials = space.budget.trials
    # An arm without searched parameters needs no sampler.
    num_sampled = trials if arm.searched else 0
    sampler = choose_sampler(space, arm).name
    startup = 0 if sampler in WITHOUT_STARTUP else min(space.search.startup_trials, num_sampled)
    confirm = min(space.confirm.top, trials) * space.confirm.seeds if space.confirm else 0
    return ArmPlan(
        name=arm.name,
        trials=trials,
        startup=startup,
        sampler=label_of(sampler),
        proposed=num_sampled - startup,
        confirm=confirm,
        searched={name: str(domain) for name, domain in arm.searched.items()},
    )


def _checkpoint_bytes(sweep: Sweep, arms: tuple[ArmPlan, ...]) -> int | None:
    """Return the size of all checkpoints if every trial had the settings of its arm with the largest checkpoint."""
    clip_format = clip_format_of(sweep.space.corpus)
    # A user's trainable may say nothing about the length of clips.
    clip = () if clip_format == clip_format_of(None) else (clip_format,)
    total = 0
    for arm, planned in zip(sweep.arms, arms, strict=True):
        sizes = []
        for params in (arm.middle(), *(corner for _, corner in arm.corners())):
            config = sweep.declaration.Config(**config_values(sweep.declaration, params))
            size = sweep.declaration.checkpoint_bytes(config, *clip)
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
    clip_bytes = DRAWING_BYTES + SOUND_BYTES * clip_format_of(space.corpus).samples
    epochs = [epoch for epoch in space.media.epochs if isinstance(epoch, int) and epoch <= space.budget.max_epochs]
    return (len(epochs) + 1 + len(sweep.renderings)) * space.media.clips * clip_bytes

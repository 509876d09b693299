"""What the user of a plan may not expect, one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.commands.planning.spared import describe_spared
from orchestrator.policy.warm_start import WarmStart
from orchestrator.search_space.combinations import rendering_name
from orchestrator.search_space.objective import MEDIAN, PASHA, PATIENT, WILCOXON
from orchestrator.search_space.sampler_choice import LEAST_TRIALS_OF_REGRET, describe_choices
from orchestrator.state.ledger import Ledger
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.commands.planning.contents import ArmPlan
    from orchestrator.search_space.objective import Pruning
    from orchestrator.search_space.reader import Sweep
    from orchestrator.search_space.section import StopWhen


def make_notes(sweep: Sweep, arms: Sequence[ArmPlan], home: Path | None = None) -> list[str]:
    """Return the notes on a plan.

    Args:
        sweep: the search space.
        arms: the plans of its arms.
        home: the folder of all sweeps; None without notes on its other sweeps.
    """
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
        notes += _describe_pruning(space.pruning, budget.max_epochs)
    if space.pruning and space.objective.beside:
        notes.append(
            f"pruning goes by {space.objective.metric} alone: a trial that would come to the front by "
            f"{' or '.join(space.objective.beside)} may be stopped; pruning: none lets all trials end"
        )
    if space.pruning and space.pruning.across_arms:
        notes.append("arms are pruned against each other: one that starts slowly may lose all its trials")
    limits = {"gpu_hours": space.budget.gpu_hours, "cost": space.budget.cost}
    for key, limit in limits.items():
        if limit is not None:
            notes.append(f"the sweep stops once trials have held GPUs for budget.{key} of {limit:g}")
    if home is not None:
        # The fingerprint of the code, the corpus and the judge are not known before the start.
        warm_start = WarmStart(sweep, home, Ledger(home / sweep.name, read_only=True), None)
        notes += warm_start.lines
        num_warm = Counter(record["arm"] for event in warm_start.events for record in event.trials)
        notes += describe_spared(sweep, home, num_warm)
    if space.trials:
        notes.append(f"{words.amount(len(space.trials), 'configuration')} of your own (trials) come first")
    if space.budget.stop_when is not None:
        notes += _describe_stop(space.budget.stop_when, space.objective.metric)
    if space.budget.hours is not None:
        notes.append(f"the sweep stops after {space.budget.hours:g} h (budget.hours)")
    return notes


def _describe_stop(stop_when: StopWhen, metric: str) -> Iterator[str]:
    """Yield a line for each reason for which the search of an arm ends early."""
    if stop_when.no_better_for is not None:
        count = words.amount(stop_when.no_better_for, "trial")
        yield f"an arm gets no more trials after {count} in a row without a better one (budget.stop_when)"
    if stop_when.regret_below is not None:
        yield (
            f"an arm gets no more trials once a model of {LEAST_TRIALS_OF_REGRET} trials or more says that "
            f"{metric} can still improve by less than {stop_when.regret_below:g} (budget.stop_when)"
        )


def _describe_pruning(pruning: Pruning, max_epochs: int) -> Iterator[str]:
    """Yield a line about a kind of pruning other than ASHA."""
    top = pruning.first_top()
    if pruning.kind == PASHA and top < max_epochs:
        yield f"the top rung of pruning is epoch {top:g}, and rises as long as the ranking of an arm's trials changes"
    elif pruning.kind == PASHA:
        yield f"pasha prunes as asha does: its top rung (epoch {top:g}) is not below the last epoch ({max_epochs})"
    elif pruning.kind == MEDIAN:
        yield (
            f"from epoch {pruning.first_epoch} on, a trial stops below the median of the running averages of its arm's "
            f"other trials, once {pruning.min_trials} have reached the epoch"
        )
    elif pruning.kind == WILCOXON:
        yield (
            f"from epoch {pruning.first_epoch} on, a trial stops if its epochs are worse than those of the best "
            f"completed trial of its arm (p below {pruning.p_threshold:g}, a paired Wilcoxon test)"
        )
    elif pruning.kind == PATIENT:
        yield f"a trial that has not improved for {pruning.patience} epochs has completed, after fewer than its budget"

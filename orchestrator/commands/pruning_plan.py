"""What a plan says about pruning: the epochs that are left at least, and how trials end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.search_space.objective import ASHA, MEDIAN, PASHA, PATIENT

if TYPE_CHECKING:
    from orchestrator.search_space.objective import Pruning

PRUNERS = {
    ASHA: "when ASHA prunes",
    PASHA: "when PASHA prunes",
    MEDIAN: "when the median rule prunes",
    PATIENT: "when trials stop improving",
}
"""By the kind of pruning, when a sweep needs fewer epochs than its budget has."""


def count_least_epochs(trials: int, pruning: Pruning, max_epochs: int) -> int:
    """Return the epochs that some trials need at least, of which one always trains to the end."""
    first = min(pruning.first_epoch, max_epochs)
    if pruning.kind == PATIENT:
        return trials * first
    if pruning.kind == MEDIAN:
        whole = min(trials, pruning.min_trials)
        return whole * max_epochs + (trials - whole) * first
    # Successive halving: at each rung one trial in `reduction_factor` continues, at least one.
    total, before = 0, 0
    for rung in itertools.takewhile(lambda rung: rung < max_epochs, pruning.rungs()):
        total += trials * (rung - before)
        is_top = rung >= pruning.first_top()
        trials, before = 1 if is_top else math.ceil(trials / pruning.reduction_factor), rung
    return total + trials * (max_epochs - before)


def describe_pruning(pruning: Pruning, max_epochs: int) -> Iterator[str]:
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
    elif pruning.kind == PATIENT:
        yield f"a trial that has not improved for {pruning.patience} epochs has completed, after fewer than its budget"

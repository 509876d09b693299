"""The least epochs that a sweep trains, for kinds of pruning that are not simulated."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from orchestrator.search_space.objective import MEDIAN, PASHA, PATIENT, WILCOXON

if TYPE_CHECKING:
    from orchestrator.search_space.objective import Pruning

PRUNERS = {
    PASHA: "when PASHA prunes",
    MEDIAN: "when the median rule prunes",
    PATIENT: "when trials stop improving",
    WILCOXON: "when the Wilcoxon rule prunes",
}
"""By the kind of pruning, when a sweep needs fewer epochs than its budget has."""


def count_least_epochs(trials: int, pruning: Pruning, max_epochs: int) -> int:
    """Return the least epochs that some trials need; one of them always trains to the end."""
    first = min(pruning.first_epoch, max_epochs)
    if pruning.kind == PATIENT:
        return trials * first
    if pruning.kind in (MEDIAN, WILCOXON):
        # The median needs some trials, and a test one that has completed.
        whole = min(trials, pruning.min_trials if pruning.kind == MEDIAN else 1)
        return whole * max_epochs + (trials - whole) * first
    # Successive halving: at each rung one trial in `reduction_factor` continues, at least one.
    total, before = 0, 0
    for rung in itertools.takewhile(lambda rung: rung < max_epochs, pruning.rungs()):
        total += trials * (rung - before)
        is_top = rung >= pruning.first_top()
        trials, before = 1 if is_top else math.ceil(trials / pruning.reduction_factor), rung
    return total + trials * (max_epochs - before)

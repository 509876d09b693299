"""Parameters that don't depend on results: quasi-random, random and grid points, the same in every arm."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence

from scipy.stats import qmc

from orchestrator.search_space.arms import Arm
from orchestrator.search_space.sampler import GRID, RANDOM, SOBOL
from orchestrator.search_space.sampler_choice import choose_sampler, grid_points
from orchestrator.search_space.scalars import Value
from orchestrator.search_space.sweep import Sweep


def derive_seed(*parts: object) -> int:
    """Return a seed in [0, 2³¹) that is a hash of the parts."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def search_seed(sweep: Sweep, index: int) -> int:
    """Return the seed of the trials at one place in their arms: the same, which makes arms easier to compare.

    `budget.seeds` has other seeds than a search. Otherwise the trial that a search has chosen could be one of the
    trainings that test its configuration.
    """
    stage = "search" if sweep.space.budget.seeds is None else "seeds"
    return derive_seed(sweep.space.seed, stage, index)


def first_point(sweep: Sweep, arm: Arm) -> dict[str, Value]:
    """Return the values of the searched parameters of an arm's first trial."""
    return sobol_point(sweep, arm, 0) if arm.searched else {}


def sobol_point(sweep: Sweep, arm: Arm, index: int) -> dict[str, Value]:
    """Return the values of an arm's trial with this index: a point of a scrambled Sobol sequence.

    The sequence begins with the same points, however many of them are used.
    """
    # One Sobol dimension for each name searched anywhere, so that a parameter has the same values in all arms.
    names = searched_names(sweep)
    count = max(sweep.space.search.startup_trials, index + 1)
    sobol = qmc.Sobol(len(names), scramble=True, rng=derive_seed(sweep.space.seed, "startup"))
    point = sobol.random_base2((count - 1).bit_length())[index]
    return arm.draw(lambda name, domain: domain.at(float(point[names.index(name)])))


def random_point(sweep: Sweep, arm: Arm, index: int) -> dict[str, Value]:
    """Return independent random values for an arm's trial with this index."""
    generator = random.Random(derive_seed(sweep.space.seed, "random", index))
    quantiles = {name: generator.random() for name in searched_names(sweep)}
    return arm.draw(lambda name, domain: domain.at(quantiles[name]))


def grid_point(sweep: Sweep, arm: Arm, used: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """Return the next point of an arm's grid, in a random order, so that its beginning covers the grid.

    Args:
        sweep: the search space.
        arm: the arm.
        used: the points that trials have had, also of a grid that was coarser or wider.
    """
    points = list(grid_points(arm))
    random.Random(derive_seed(sweep.space.seed, "grid")).shuffle(points)
    counts = Counter(frozenset(point.items()) for point in used)
    # A budget that was granted beyond the grid begins it again, with other seeds.
    return min(points, key=lambda point: counts[frozenset(point.items())])


POINTS = {SOBOL: sobol_point, RANDOM: random_point}
"""The samplers that look at no other trial."""


def propose_without_results(
    sweep: Sweep, arm: Arm, index: int, used: Sequence[Mapping[str, Value]], num_warm: int
) -> tuple[dict[str, Value], str] | None:
    """Return the values of an arm's trial with this index, and their source; None if they depend on results.

    Args:
        sweep: the search space.
        arm: the arm.
        index: the place of the trial in its arm, from 0 on.
        used: the points of the grid that trials have had.
        num_warm: the number of trials of other sweeps from which the arm's sampler learns.
    """
    sampler = choose_sampler(sweep.space, arm).name
    if sampler == GRID:
        # The trials that were wanted come on top, so that no point of the grid is left out.
        return grid_point(sweep, arm, used), GRID
    if sampler in POINTS:
        return POINTS[sampler](sweep, arm, index), sampler
    # A sweep with the same seed had the first points of the sequence.
    if index + num_warm < sweep.space.search.startup_trials:
        return sobol_point(sweep, arm, index + num_warm), "startup"
    return None


def searched_names(sweep: Sweep) -> list[str]:
    """Return the names of the parameters that are searched in any arm."""
    return list(dict.fromkeys(name for arm in sweep.arms for name in arm.searched))

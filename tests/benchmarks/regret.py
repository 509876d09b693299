"""How often the bound of `budget.stop_when.regret_below` holds, beside the one of Optuna's `RegretBoundEvaluator`.

    python -m tests.benchmarks.regret [--seeds 10] [--parameters 1 2 3 4 5 6] [--trials 20 30 60 100 250]

Functions whose best value is known are evaluated at random points, with and without noise. A bound holds where the best
of these points is no further from the best value. A row is a function with so many parameters; all numbers of trials
together take about a minute of a processor for each.
"""

from __future__ import annotations

import argparse
import math
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.terminator import RegretBoundEvaluator
from optuna.trial import FrozenTrial
from scipy.optimize import minimize

from orchestrator.policy.regret import bound_improvement

Point = NDArray[np.float64]
"""Parameters from 0 to 1."""
NOISE = 0.02
WEIGHTS = np.array([1, 1.2, 3, 3.2])
SCALES = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
PEAKS = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def square(point: Point) -> float:
    """Minus the squared distance from the middle."""
    return -float(np.square(point - 0.5).sum())


def valley(point: Point) -> float:
    """Minus a hundredth of Rosenbrock's function from −2 to 2, whose best point lies in a curved valley."""
    x = 4 * point - 2
    return -0.01 * float((100 * np.square(x[1:] - x[:-1] ** 2) + np.square(1 - x[:-1])).sum())


def cliff(point: Point) -> float:
    """A cusp for each parameter, flat far from it, and a slope beyond 0.6 of the first one, as of a learning rate."""
    return -float(np.minimum(1, (2 * np.abs(point - 0.37)) ** 1.5).sum()) - 0.5 * max(0.0, float(point[0]) - 0.6)


def hills(point: Point) -> float:
    """The first parameters of Hartmann's function of six: four hills."""
    size = len(point)
    return float((WEIGHTS * np.exp(-(SCALES[:, :size] * np.square(point - PEAKS[:, :size])).sum(axis=1))).sum())


FUNCTIONS: dict[Callable[[Point], float], int] = {square: 1, valley: 2, cliff: 1, hills: 3}
"""The functions, which are maximized, with the fewest parameters of each."""


@dataclass(frozen=True)
class Sample:
    """Random points.

    Attributes:
        trials: the points and their values.
        regret: by how much the best point, as measured, is worse than the best possible one.
    """

    trials: list[FrozenTrial]
    regret: float


def draw(function: Callable[[Point], float], best: float, size: int, count: int, noise: float, seed: int) -> Sample:
    """Evaluate a function at random points."""
    generator = random.Random(f"{count} {seed}")
    distributions: dict[str, BaseDistribution] = {f"p{index}": FloatDistribution(0, 1) for index in range(size)}
    points = [np.array([generator.random() for _ in range(size)]) for _ in range(count)]
    values = [function(point) + generator.gauss(0, noise) for point in points]
    trials = [
        optuna.trial.create_trial(
            params=dict(zip(distributions, map(float, point), strict=True)), distributions=distributions, value=value
        )
        for point, value in zip(points, values, strict=True)
    ]
    return Sample(trials, best - function(points[int(np.argmax(values))]))


def find_best(function: Callable[[Point], float], size: int) -> float:
    """Return the largest value of a function, by searches from 100 random points and the middle."""
    starts = [np.full(size, 0.5), *np.random.default_rng(0).random((100, size))]

    def negated(point: Point) -> float:
        return -function(point)

    ends = [minimize(negated, start, bounds=[(0, 1)] * size, tol=1e-12) for start in starts]
    return max(max(-float(end.fun) for end in ends), 0.0 if function in (square, valley, cliff) else -math.inf)


def measure(function: Callable[[Point], float], size: int, counts: Sequence[int], seeds: int) -> str:
    """Return a row of the table: how many bounds hold, and how many times the true regret the median bound is."""
    best = find_best(function, size)
    ratios: dict[str, list[float]] = {"Optuna": [], "ours": []}
    for count in counts:
        for noise in (0.0, NOISE):
            for seed in range(seeds):
                sample = draw(function, best, size, count, noise, seed)
                evaluator = RegretBoundEvaluator(seed=seed)
                bounds = {
                    "Optuna": evaluator.evaluate(sample.trials, StudyDirection.MAXIMIZE),
                    "ours": bound_improvement(sample.trials, StudyDirection.MAXIMIZE, seed),
                }
                for name, bound in bounds.items():
                    ratios[name].append(bound / max(sample.regret, 1e-12))
    cells = [f"{np.mean(np.array(found) >= 1):.0%} | {np.median(found):.1f}" for found in ratios.values()]
    return f"| {function.__name__} | {size} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--parameters", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6])
    parser.add_argument("--trials", type=int, nargs="+", default=[20, 30, 60, 100, 250])
    options = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    print("| function | parameters | Optuna: hold | bound / regret | ours: hold | bound / regret |")
    print("|---|---|---|---|---|---|")
    for size in options.parameters:
        for function, fewest in FUNCTIONS.items():
            if size >= fewest:
                print(measure(function, size, options.trials, options.seeds), flush=True)


if __name__ == "__main__":
    main()

"""Which sampler finds the best value with few trials: functions with known optima, each with noise.

    python -m tests.benchmarks.search [--seeds 20] [--samplers tpe gp] [--functions Hartmann-6]
    python -m tests.benchmarks.search --pruning [--seeds 20]

Each search is a sweep without processes, through the real ledger, agenda and suggestions: four startup trials, then the
sampler. The value without noise of the trial that looked best counts, as in a sweep, whose best trial is the one that
looks best. The table has the median over the seeds, lower is better, with the quartiles.

With `--pruning`, the same 27 Sobol points of Hartmann-6 have learning curves, of which those with a large first
parameter fall slowly. The table has the epochs that each kind of pruning trains, and the value of the best trial.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestrator.search_space.reader import Sweep, read_search_space
from orchestrator.state.trial import Trial
from tests.support.driving import drive

NOISE = 0.02
SAMPLERS = ("random", "sobol", "tpe", "cmaes", "gp")
STARTUP_TRIALS = 4
HARTMANN_A3 = np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]])
HARTMANN_P3 = 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])
HARTMANN_A6 = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
HARTMANN_P6 = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])


def valley(x: np.ndarray) -> float:
    """Return a curved valley in two dimensions, with the minimum 0 at (0.3, 0.6)."""
    return float(4 * (x[1] - 0.6 - (x[0] - 0.3) ** 2) ** 2 + 0.5 * (x[0] - 0.3) ** 2)


def hartmann(x: np.ndarray) -> float:
    """Return the Hartmann function of three or six dimensions (Dixon and Szegö, 1978); minima −3.86 and −3.32."""
    scale, places = (HARTMANN_A3, HARTMANN_P3) if len(x) == 3 else (HARTMANN_A6, HARTMANN_P6)
    return -float(HARTMANN_WEIGHTS @ np.exp(-(scale * (x - places) ** 2).sum(axis=1)))


@dataclass(frozen=True)
class Problem:
    """A function of points in the unit cube, and the number of trials to find its minimum."""

    name: str
    function: Callable[[np.ndarray], float]
    dimensions: int
    trials: int

    def point(self, trial: Trial) -> np.ndarray:
        """Return the parameters of a trial, of shape (dimensions,)."""
        return np.array([float(trial.params[f"x{index}"]) for index in range(1, self.dimensions + 1)])


PROBLEMS = (
    Problem("2-D valley", valley, 2, 8),
    Problem("2-D valley", valley, 2, 24),
    Problem("Hartmann-3", hartmann, 3, 16),
    Problem("Hartmann-6", hartmann, 6, 24),
)


CURVED = Problem("Hartmann-6", hartmann, 6, 27)
MAX_EPOCHS = 27
PRUNINGS = {
    "none": "none",
    "asha": "{kind: asha}",
    "asha, promote": "{kind: asha, promote: true}",
    "pasha": "{kind: pasha}",
    "median": "{kind: median, grace_epochs: 3}",
    "patient": "{kind: patient, patience: 5, min_delta: 0.02}",
}


def make_sweep(
    folder: Path, problem: Problem, sampler: str, seed: int, max_epochs: int = 1, pruning: str = "none"
) -> Sweep:
    """Write the search space of a problem into a folder, and read it."""
    # The command names the parameters. It never runs, since `drive` gets the values from here.
    command = " ".join(["true", *(f"{{x{index}}}" for index in range(1, problem.dimensions + 1))])
    params = "".join(f"  x{index}: {{uniform: [0.0, 1.0]}}\n" for index in range(1, problem.dimensions + 1))
    (folder / "space.yaml").write_text(
        f'trainable: {{command: "{command}"}}\nobjective: {{metric: val/error, mode: min}}\n'
        f"params:\n{params}search: {{sampler: {sampler}, startup_trials: {STARTUP_TRIALS}}}\n"
        f"budget: {{trials_per_arm: {problem.trials}, max_epochs: {max_epochs}}}\nseed: {seed}\n"
        f"pruning: {pruning}\n"
    )
    return read_search_space(folder / "space.yaml")


def search(problem: Problem, sampler: str, seed: int) -> float:
    """Return the value without noise of the trial that looked best."""
    noise = np.random.default_rng(seed).normal(0.0, NOISE, problem.trials)

    def score(trial: Trial, epoch: int) -> float:
        return problem.function(problem.point(trial)) + float(noise[trial.index])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = drive(make_sweep(folder, problem, sampler, seed), folder / "sweep", score)
        best = ledger.tally("all").best
        assert best is not None
        return problem.function(problem.point(best))


def prune(pruning: str, seed: int) -> tuple[int, float]:
    """Return the epochs of a sweep of learning curves, and the value without noise of its best trial at its end."""
    noise = np.random.default_rng(seed).normal(0.0, NOISE, (CURVED.trials, MAX_EPOCHS))

    def score(trial: Trial, epoch: int) -> float:
        return at_epoch(trial, epoch) + float(noise[trial.index, epoch - 1])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sweep = make_sweep(folder, CURVED, "sobol", seed, MAX_EPOCHS, PRUNINGS[pruning])
        ledger = drive(sweep, folder / "sweep", score)
        best = ledger.tally("all").best
        assert best is not None
        return sum(trial.epochs for trial in ledger.trials.values()), at_epoch(best, best.epochs)


def at_epoch(trial: Trial, epoch: int) -> float:
    """Return the learning curve of a trial: the slower the larger its first parameter is."""
    point = CURVED.point(trial)
    return CURVED.function(point) + 2 * float(np.exp(-epoch / (1 + 6 * point[0])))


def compare_prunings(num_seeds: int) -> None:
    """Print a row for each kind of pruning."""
    print("| pruning | epochs | best value at its end |\n|---|---|---|", flush=True)
    for pruning in PRUNINGS:
        results = [prune(pruning, seed) for seed in range(num_seeds)]
        epochs = describe([float(epochs) for epochs, _ in results])
        print(f"| {pruning} | {epochs} | {describe([value for _, value in results])} |", flush=True)


def describe(values: Sequence[float]) -> str:
    """Return the median with the quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    digits = 3 if abs(middle) < 1 else 2
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    """Print a row for each problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS))
    parser.add_argument("--functions", nargs="+", default=[problem.name for problem in PROBLEMS])
    parser.add_argument("--pruning", action="store_true", help="compare kinds of pruning instead")
    options = parser.parse_args()
    if options.pruning:
        compare_prunings(options.seeds)
        return
    problems = [problem for problem in PROBLEMS if problem.name in options.functions]
    print(f"| function, trials | {' | '.join(options.samplers)} |\n|---|{'---|' * len(options.samplers)}", flush=True)
    seconds = dict.fromkeys(options.samplers, 0.0)
    for problem in problems:
        cells = []
        for sampler in options.samplers:
            begin = time.perf_counter()
            cells.append(describe([search(problem, sampler, seed) for seed in range(options.seeds)]))
            seconds[sampler] += time.perf_counter() - begin
        print(f"| {problem.name}, {problem.trials} | {' | '.join(cells)} |", flush=True)
    num_trials = options.seeds * sum(problem.trials for problem in problems)
    spent = ", ".join(f"{sampler} {1000 * value / num_trials:.0f}" for sampler, value in seconds.items())
    print(f"\nms per trial: {spent}")


if __name__ == "__main__":
    main()

"""Recorded learning curves of real trainings, and how soon samplers and kinds of pruning find the best of them.

    python -m tests.benchmarks.curves record search_spaces/vae.yaml HOME [--trials 50]
    python -m tests.benchmarks.curves write HOME curves.jsonl
    python -m tests.benchmarks.curves replay curves.jsonl [--seeds 30]
    python -m tests.benchmarks.curves search curves.jsonl [--seeds 30] [--samplers tpe gp] [--prunings none asha]

`record` is a sweep of Sobol points without pruning, each trained to its end: hours of processors. It may be killed at
any time; the same command goes on. 50 trials in each of the four arms of `vae.yaml` are 200 configurations. `write`
keeps the objective of every epoch, in some 100 bytes a trial. The others need no training. In `replay` the recorded
trials of every arm come in another order for each seed, and the real ledger, agenda and pruning decide how many epochs
each one has. In `search` a sampler chooses among them (`curves_search`), also that of Optuna and of Ray alone.
With four arms of 50 trials, a row of `search` takes 1 to 2 s of a processor for each seed, one of the GP 10 to 25 s;
`auto` is not searched twice.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from orchestrator.search_space.sampler_choice import choose_sampler
from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words
from tests.benchmarks.curves_peers import search_with_hyperband, search_with_ray
from tests.benchmarks.curves_search import NEAR, Grid, Trainings, read_sweep, search
from tests.support.driving import drive
from tests.support.spaces import noop_sweep

NAME = "curves"
"""The sweep that is recorded."""
DIGITS = 4
MIN_EPOCHS = 5
PRUNINGS: Mapping[str, Any] = {
    "none": "none",
    "asha": {"kind": "asha"},
    "asha, promote": {"kind": "asha", "promote": True},
    "pasha": {"kind": "pasha"},
    "median": {"kind": "median", "grace_epochs": 3},
    "patient": {"kind": "patient", "patience": 3},
    "wilcoxon": {"kind": "wilcoxon", "grace_epochs": 3},
}
SAMPLERS = ("tpe", "gp", "random", "sobol", "auto")
STARTUP_TRIALS = 5
"""Points that don't depend on results, before any of the samplers learns."""
PEERS: Mapping[str, Callable[[Grid, int, int], Trainings]] = {
    "Optuna's TPE and Hyperband": search_with_hyperband,
    "Ray's OptunaSearch and ASHA": search_with_ray,
}


@dataclass(frozen=True)
class Table:
    """The recorded curves.

    Attributes:
        mode: which way the objective is better.
        curves: the objective of every epoch of each trial, by arm; all have as many epochs.
        configurations: the searched parameters of each trial, by arm.
    """

    mode: str
    curves: Mapping[str, Sequence[Sequence[float]]]
    configurations: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Replay:
    """One search through the recorded curves.

    Attributes:
        epochs: the epochs that its trials had.
        regret: how much better the best recorded trial of an arm is than the best one found, mean over the arms.
    """

    epochs: int
    regret: float


def record(space: Path, home: Path, num_trials: int) -> None:
    """Train the configurations, or go on where the last call was killed."""
    changes = [
        *("pruning=none", "confirm=none", "search.sampler=sobol", "media.clips=0"),
        # Within the range of `vae.yaml` nearly every configuration of its better network is as good as the best.
        "params.lr.loguniform=[1e-4,1e-2]",
        f"budget.trials_per_arm={num_trials}",
        "budget.hours=none",
    ]
    options = [option for change in changes for option in ("--set", change)]
    command = [sys.executable, "-m", "orchestrator", "sweep", str(space), "--home", str(home), "--name", NAME, *options]
    subprocess.run(command, check=True)


def write(folder: Path, file: Path) -> int:
    """Write the curves of the completed trials of a sweep's search, and return their number."""
    ledger = Ledger(folder, read_only=True)
    lines = [json.dumps({"metric": ledger.objective.metric, "mode": ledger.objective.mode})]
    for trial in ledger.trials.values():
        if trial.stage == words.STAGE_SEARCH and trial.outcome == words.OUTCOME_COMPLETED:
            values = [round(value, DIGITS) for value in trial.curve.values()]
            lines.append(json.dumps({"arm": trial.arm, "params": trial.searched, "values": values}))
    file.write_text("\n".join(lines) + "\n")
    return len(lines) - 1


def read(file: Path) -> Table:
    """Read the curves that `write` has written."""
    head, *rows = (json.loads(line) for line in file.read_text().splitlines())
    curves: dict[str, list[list[float]]] = {}
    configurations: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        curves.setdefault(row["arm"], []).append(row["values"])
        configurations.setdefault(row["arm"], []).append(row["params"])
    return Table(head["mode"], curves, configurations)


def replay(table: Table, pruning: Any, seed: int) -> Replay:
    """Search the recorded curves, in an order of their own for each seed."""
    arms = {f"a{index}": list(curves) for index, curves in enumerate(table.curves.values())}
    for curves in arms.values():
        random.Random(seed).shuffle(curves)
    epochs = len(next(iter(arms.values()))[0])

    def score(trial: Trial, epoch: int) -> float:
        value = arms[str(trial.params["arm"])][trial.index][epoch - 1]
        return value if table.mode == "max" else -value

    with tempfile.TemporaryDirectory() as name:
        sweep = noop_sweep(
            Path(name),
            compare={"arm": list(arms)},
            search={"sampler": "sobol"},
            budget={"trials_per_arm": min(map(len, arms.values())), "max_epochs": epochs},
            pruning=pruning,
        )
        ledger = drive(sweep, Path(name) / "sweep", score)
    regrets = []
    for arm, curves in arms.items():
        best = ledger.tally(f"arm={arm}").best
        assert best is not None and best.best_value is not None
        values = [
            value if table.mode == "max" else -value for curve in curves[: sweep.space.budget.trials] for value in curve
        ]
        regrets.append(max(values) - best.best_value)
    return Replay(sum(trial.epochs for trial in ledger.trials.values()), statistics.mean(regrets))


def describe(values: Sequence[float]) -> str:
    """Return the mean with a 95 % interval of the normal distribution."""
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4g} ± {half:.2g}"


def compare(table: Table, num_seeds: int) -> None:
    """Print a row for each kind of pruning."""
    shortest = min(len(curve) for curves in table.curves.values() for curve in curves)
    if shortest < MIN_EPOCHS:
        raise SystemExit(f"the curves have {shortest} epochs; a replay needs {MIN_EPOCHS}, for the grace of the rules")
    print("| pruning | epochs | regret |\n|---|---|---|")
    for name, pruning in PRUNINGS.items():
        replays = [replay(table, pruning, seed) for seed in range(num_seeds)]
        epochs, regrets = [float(run.epochs) for run in replays], [run.regret for run in replays]
        print(f"| {name} | {describe(epochs)} | {describe(regrets)} |", flush=True)


def make_grids(table: Table) -> list[Grid]:
    """Return the recorded configurations of each arm; only numbers above 0 can be searched."""
    for arm, configurations in table.configurations.items():
        for name, value in (item for configuration in configurations for item in configuration.items()):
            if isinstance(value, str) or value <= 0:
                raise SystemExit(f"{arm}: {name} is {value!r}, and only numbers above 0 can be searched")
    return [Grid(table.mode, table.configurations[arm], curves) for arm, curves in table.curves.items()]


def search_all(table: Table, samplers: Sequence[str], prunings: Sequence[str], num_seeds: int) -> None:
    """Print a row for each sampler with each kind of pruning, then one for each peer.

    Each number is that of one arm, as a mean over the arms and then over the seeds. A search that has ended without a
    value near the best counts with the epochs of the full grid.
    """
    grids = make_grids(table)
    print(f"| sampler, pruning | epochs until within {NEAR} of the best | of the full grid | found | regret at 1/4 |")
    print("|---|---|---|---|---|")
    # `auto` is one of the other samplers.
    runs_by_choice: dict[tuple[str, ...], Sequence[Sequence[Trainings]]] = {}
    for sampler in samplers:
        for pruning in prunings:
            sweeps = [read_sweep(grid, sampler, PRUNINGS[pruning], STARTUP_TRIALS) for grid in grids]
            choice = (pruning, *(choose_sampler(sweep.space, sweep.arms[0]).name for sweep in sweeps))
            if choice not in runs_by_choice:
                pairs = list(zip(grids, sweeps, strict=True))
                runs_by_choice[choice] = [[search(*pair, seed) for pair in pairs] for seed in range(num_seeds)]
            print_row(f"{sampler}, {pruning}", runs_by_choice[choice])
    for name, search_one in PEERS.items():
        runs = [[search_one(grid, seed, STARTUP_TRIALS) for grid in grids] for seed in range(num_seeds)]
        print_row(name, runs)


def print_row(name: str, runs: Sequence[Sequence[Trainings]]) -> None:
    """Print the results of searches, of which each seed has one in every arm."""
    epochs = [statistics.mean(trainings.epochs_until_found for trainings in run) for run in runs]
    regrets = [statistics.mean(trainings.regret for trainings in run) for run in runs]
    share = statistics.mean(
        trainings.epochs_until_found / trainings.grid.values.size for run in runs for trainings in run
    )
    found = statistics.mean(trainings.found_after is not None for run in runs for trainings in run)
    print(f"| {name} | {describe(epochs)} | {share:.0%} | {found:.0%} | {describe(regrets)} |", flush=True)


def main() -> None:
    """Record, write, replay or search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("space", type=Path)
    recording.add_argument("home", type=Path)
    recording.add_argument("--trials", type=int, default=50)
    writing = commands.add_parser("write")
    writing.add_argument("home", type=Path)
    writing.add_argument("file", type=Path)
    replaying = commands.add_parser("replay")
    replaying.add_argument("file", type=Path)
    replaying.add_argument("--seeds", type=int, default=30)
    searching = commands.add_parser("search")
    searching.add_argument("file", type=Path)
    searching.add_argument("--seeds", type=int, default=30)
    searching.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=SAMPLERS)
    searching.add_argument("--prunings", nargs="+", choices=list(PRUNINGS), default=list(PRUNINGS))
    options = parser.parse_args()
    match options.command:
        case "record":
            record(options.space, options.home, options.trials)
        case "write":
            print(f"{write(options.home / NAME, options.file)} curves in {options.file}")
        case "replay":
            compare(read(options.file), options.seeds)
        case "search":
            # The threads of a GP's small matrices wait for each other: they take several times as long.
            with threadpool_limits(1):
                search_all(read(options.file), options.samplers, options.prunings, options.seeds)


if __name__ == "__main__":
    main()

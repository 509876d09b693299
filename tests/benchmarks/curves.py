"""Recorded learning curves of real trainings, and how soon each kind of pruning finds the best of them.

    python -m tests.benchmarks.curves record search_spaces/vae.yaml HOME [--trials 67]
    python -m tests.benchmarks.curves write HOME curves.jsonl
    python -m tests.benchmarks.curves replay curves.jsonl [--seeds 30]

`record` is a sweep of Sobol points without pruning, each trained to its end: hours of processors. It may be killed at
any time; the same command goes on. 67 trials in each of the three arms of `vae.yaml` are 201 configurations. `write`
keeps the objective of every epoch, in some 100 bytes a trial. `replay` needs no training: in every arm the recorded
trials come in another order for each seed, and the real ledger, agenda and pruning decide how many epochs each one has.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from reports import vocabulary as words
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
}


@dataclass(frozen=True)
class Table:
    """The recorded curves.

    Attributes:
        mode: which way the objective is better.
        curves: the objective of every epoch of each trial, by arm; all have as many epochs.
    """

    mode: str
    curves: Mapping[str, Sequence[Sequence[float]]]


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
    for row in rows:
        curves.setdefault(row["arm"], []).append(row["values"])
    return Table(head["mode"], curves)


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


def main() -> None:
    """Record, write or replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("space", type=Path)
    recording.add_argument("home", type=Path)
    recording.add_argument("--trials", type=int, default=67)
    writing = commands.add_parser("write")
    writing.add_argument("home", type=Path)
    writing.add_argument("file", type=Path)
    replaying = commands.add_parser("replay")
    replaying.add_argument("file", type=Path)
    replaying.add_argument("--seeds", type=int, default=30)
    options = parser.parse_args()
    match options.command:
        case "record":
            record(options.space, options.home, options.trials)
        case "write":
            print(f"{write(options.home / NAME, options.file)} curves in {options.file}")
        case "replay":
            compare(read(options.file), options.seeds)


if __name__ == "__main__":
    main()

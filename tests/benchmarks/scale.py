"""What a sweep of thousands of trials costs its driver, and how much longer than bare Ray Tune it takes.

    python tests/benchmarks/scale.py [--sizes 2000x60 10000x10] [--run 2000] [--search random tpe]

First, of sweeps of these sizes (trials x epochs, sixteen metrics an epoch) that lie on the disk: reading the sweep,
ASHA's replay, one picture of the live display, one question to TPE beside that of a study that is rebuilt, and the
memory of a row. Then, of `--run` trials that do nothing, through the real command and in Ray Tune with `reuse_actors`,
bare and with its own callback for MLflow, one after the other: how long they take, a trial at the end and at the start,
the driver's memory, the same command again, and `status`; with random proposals, as bare Ray Tune has them, and with
TPE's.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[2]))

from orchestrator.overview.board import Board
from orchestrator.overview.screen import Screen
from orchestrator.policy.pruning import Rungs
from orchestrator.policy.suggestions import Studies
from orchestrator.search_space.reader import Sweep, read_search_space
from orchestrator.state.curve import Objective
from orchestrator.state.ledger import Ledger
from orchestrator.state.orphaned_folders import identity_line
from orchestrator.state.paths import trial_folder
from tests.benchmarks.overhead import metrics_at

HERE = Path(__file__).parent
SEARCHES = ("random", "tpe")
"""Bare Ray Tune searches nothing: what TPE takes is Optuna's, and grows with the trials that it knows."""
STARTUP_TRIALS = 10
NAME = "scale"
OBJECTIVE = Objective("val/score", "max")
REPORTS = 3
RECORDED = 300
"""Ray's callback sends a metric in a call of its own, so that it would take hours for ten thousand trials."""


def write_space(
    folder: Path, trials: int, epochs: int, *, pruning: str = "{grace_epochs: 1}", startup_trials: int = STARTUP_TRIALS
) -> Path:
    """A search space of one arm, in which TPE proposes after so many random trials."""
    path = folder / f"{NAME}.yaml"
    path.write_text(
        f"name: {NAME}\ntrainable: {HERE / 'noop.py'}\nobjective: {{metric: val/score, mode: max}}\n"
        f"params: {{x: {{uniform: [0, 1]}}}}\npruning: {pruning}\nresources: {{cpu: 1}}\n"
        f"search: {{startup_trials: {startup_trials}}}\n"
        f"budget: {{trials_per_arm: {trials + 1}, max_epochs: {epochs + 1}}}\n"
    )
    return path


def write_folder(folder: Path, trials: int, epochs: int) -> None:
    """A sweep of which every trial has been judged after each of its epochs, two of them at a time."""
    rng, time_ms = random.Random(0), 1_795_000_000_000
    folder.mkdir(parents=True)
    start = {"event": "started", "objective": {"metric": OBJECTIVE.metric, "mode": OBJECTIVE.mode}}
    with (folder / "sweep.jsonl").open("w") as file:

        def write(**event: Any) -> None:
            nonlocal time_ms
            time_ms += 1
            file.write(json.dumps(event | {"ts": time_ms}) + "\n")

        write(**start)
        for number in range(1, trials + 1):
            x, trial_id = rng.random(), f"{number:012x}"
            values = {"compared": {}, "searched": {"x": x}, "params": {"x": x}}
            write(event="asked", trial=number, id=trial_id, arm="all", index=number - 1, stage="search", source="tpe",
                  of=None, seed=number, **values)  # fmt: skip
            write(event="attempt", trial=number, attempt=1, code="code", share=1)
            own = trial_folder(folder, number)
            own.mkdir(parents=True)
            lines: list[Any] = [identity_line(trial_id, number)]
            for epoch in range(1, epochs + 1):
                metrics = metrics_at(x, epoch) | {"time/epoch_s": 0.1}
                lines.append({"epoch": epoch, "ts": time_ms, "attempt": 1, "metrics": metrics})
                if epoch < epochs:
                    write(event="judged", trial=number, epochs=epoch)
            (own / "outbox.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
            write(event="ended", trial=number, outcome="pruned", cause="none", reason="", epochs=epochs)


def seconds(work: Any, times: int = 1) -> float:
    """How long it takes, the fastest of some times."""
    durations = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        durations.append(time.perf_counter() - began)
    return min(durations)


def ask_anew(sweep: Sweep, ledger: Ledger, trials: int) -> None:
    """One question to TPE, of a study that is rebuilt."""
    Studies(sweep, ledger).suggest(sweep.arms[0], trials)


def memory_of_ledger(folder: Path) -> int:
    """The bytes that Python's objects take of a ledger."""
    tracemalloc.start()
    ledger = Ledger(folder, OBJECTIVE, read_only=True)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ledger.trials
    return size


def measure_parts(trials: int, epochs: int) -> dict[str, str]:
    """What the parts of a driver cost at this size."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        write_folder(home / NAME, trials, epochs)
        sweep = read_search_space(write_space(home, trials, epochs))
        memory = memory_of_ledger(home / NAME)
        opened: list[Ledger] = []
        reading_s = seconds(lambda: opened.append(Ledger(home / NAME, OBJECTIVE)))
        ledger = opened[0]
        replay_s = seconds(lambda: Rungs(sweep, ledger))
        board = Board(sweep, ledger, 2, home / NAME)
        console = Screen(Console(file=open(os.devnull, "w"))).console
        render_s = seconds(lambda: console.print(board.render(console.width, console.height)), 5)
        rebuilt_s = seconds(lambda: ask_anew(sweep, ledger, trials), 3)
        studies = Studies(sweep, ledger)
        studies.suggest(sweep.arms[0], trials)
        asked = ledger.ask(
            arm="all", index=trials, stage="search", source="tpe", of=None, seed=1, compared={},
            searched=studies._studies["all"]._asked, params={},
        )  # fmt: skip
        ledger.end(asked, "pruned")
        kept_s = seconds(lambda: studies.suggest(sweep.arms[0], trials + 1))
    return {
        "reading the sweep": f"{reading_s:.2f} s",
        "ASHA's replay": f"{replay_s:.2f} s",
        "a picture of the live display": f"{1000 * render_s:.1f} ms",
        "a question to TPE, study rebuilt": f"{1000 * rebuilt_s:.0f} ms",
        "a question to TPE, study kept": f"{1000 * kept_s:.0f} ms",
        "memory of the ledger, a row": f"{memory / trials / epochs / 1000:.2f} kB",
    }


def run_ours(trials: int, startup_trials: int) -> dict[str, float]:
    """The real command, as often as it takes to see it all."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        space = write_space(home, trials - 1, REPORTS - 1, pruning="none", startup_trials=startup_trials)
        command = [sys.executable, "-m", "orchestrator"]
        sweep = [*command, "sweep", str(space), "--home", str(home)]
        began = time.time()
        with subprocess.Popen(sweep, stdout=subprocess.DEVNULL) as driver:
            memory = 0
            while driver.poll() is None:
                try:
                    memory = max(memory, psutil.Process(driver.pid).memory_info().rss)
                except psutil.Error:
                    break
                time.sleep(1)
        paths = sorted((home / NAME / "trials").glob("*/outbox.jsonl"))
        ends = sorted(json.loads(path.read_text().splitlines()[-1])["ts"] / 1000 for path in paths)
        tenth = len(ends) // 10
        first, last = (ends[tenth] - ends[0]) / tenth, (ends[-1] - ends[-tenth - 1]) / tenth
        again = seconds(lambda: subprocess.run(sweep, stdout=subprocess.DEVNULL, check=True))
        resumed = [*command, "resume", NAME, "--home", str(home)]
        resume = seconds(lambda: subprocess.run(resumed, stdout=subprocess.DEVNULL, check=True))
        shown = [*command, "status", NAME, "--home", str(home)]
        status = seconds(lambda: subprocess.run(shown, stdout=subprocess.DEVNULL, check=True))
    return {
        "trials": len(ends),
        "first report, s": ends[0] - began,
        "ms a trial": 1000 * (ends[-1] - ends[0]) / (len(ends) - 1),
        "ms a trial, first tenth": 1000 * first,
        "ms a trial, last tenth": 1000 * last,
        "driver's memory, MB": memory / 1e6,
        "the same command again, s": again,
        "resume, s": resume,
        "status, s": status,
    }


def run_ray(trials: int, *, with_mlflow: bool) -> dict[str, float]:
    """Ray Tune in a process of its own, bare or with its own callback for MLflow."""
    code = (
        "import json, sys; from pathlib import Path; from tests.benchmarks.overhead import run_ray; "
        f"print(json.dumps(run_ray(Path(sys.argv[1]), int(sys.argv[2]), with_mlflow={with_mlflow})))"
    )
    with tempfile.TemporaryDirectory() as name:
        done = subprocess.run(
            [sys.executable, "-c", code, name, str(trials)],
            check=True, capture_output=True, text=True, cwd=HERE.parents[1],
        )  # fmt: skip
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["2000x60", "10000x10"], help="trials x epochs")
    parser.add_argument("--run", type=int, default=2000, help="trials that are really run; 0 for none")
    parser.add_argument("--search", nargs="*", choices=SEARCHES, default=SEARCHES, help="who proposes parameters")
    given = parser.parse_args()
    for size in given.sizes:
        trials, epochs = map(int, size.split("x"))
        print(f"\n{trials} trials x {epochs} epochs")
        for name, value in measure_parts(trials, epochs).items():
            print(f"  {name:<36}{value:>12}", flush=True)
    if given.run:
        print(f"\n{given.run} trials of {REPORTS} reports, run")
        bare_ms = 1000 * run_ray(given.run, with_mlflow=False)["per_trial"]
        print(f"  {'bare Ray Tune, ms a trial':<36}{bare_ms:>12.1f}", flush=True)
        recording_ms = 1000 * run_ray(min(given.run, RECORDED), with_mlflow=True)["per_trial"]
        print(f"  {'with its MLflow callback':<36}{recording_ms:>12.1f}", flush=True)
        for search in given.search:
            print(f"  {search} proposals:")
            ours = run_ours(given.run, given.run if search == "random" else STARTUP_TRIALS)
            for name, number in ours.items():
                print(f"    {name:<34}{number:>12.1f}")
            print(f"    {'to bare Ray Tune':<34}{ours['ms a trial'] / bare_ms:>12.2f}")
            print(f"    {'to that with its MLflow callback':<34}{ours['ms a trial'] / recording_ms:>12.2f}", flush=True)


if __name__ == "__main__":
    main()

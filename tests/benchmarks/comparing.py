"""How long somebody waits who compares a large sweep: `compare`, `report`, and the first row of MLflow's table.

    python -m tests.benchmarks.comparing [--trials 2000] [--home DIR]

A sweep of so many trials of twelve epochs is written as a driver would, and sent to an sqlite database. Asked for:
`compare` within 1 s, the table's first row within 3 s, the report within 30 s and 1 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator.tracking import ui
from orchestrator.tracking.__main__ import follow
from tests.support.browser import chromium
from tests.support.sweep_folder import SweepFolder

LOSSES = ("l1", "l2", "vae")
EPOCHS = 12
CONFIRMED, RECORDINGS = 3, 100


def write(home: Path, num_trials: int) -> SweepFolder:
    """A finished sweep, two thirds of whose trials were pruned, with a confirm stage."""
    sweep = SweepFolder(home)
    searched = {"lr": {"loguniform": [1e-4, 1e-2]}}
    arms = {f"loss={loss}": {"compared": {"loss": loss}, "searched": searched, "epochs": EPOCHS} for loss in LOSSES}
    pruning = {"grace_epochs": 2, "reduction_factor": 3}
    sweep.start(arms=arms, baseline={"loss": "l2"}, pruning=pruning, metrics={})
    rng = np.random.default_rng(0)
    for trial in range(1, num_trials + 1):
        is_pruned = trial % 3 > 0
        sweep.ask(trial, LOSSES[trial % len(LOSSES) - 1 if trial % 9 else 0], lr=float(10 ** rng.uniform(-4, -2)))
        epochs = 2 if is_pruned else EPOCHS
        for epoch in range(1, epochs + 1):
            sweep.report(trial, epoch, judge_probability=float(rng.normal(0.05 * epoch, 0.02)))
        sweep.end(trial, "pruned" if is_pruned else "completed", epochs=epochs)
    number = num_trials
    for of, loss in enumerate(LOSSES * CONFIRMED, 1):
        number += 1
        sweep.ask(number, loss, of=of)
        sweep.report(number, 1)
        sweep.end(number, epochs=1)
        sweep.render(number, "best", 1)
        values = rng.uniform(size=RECORDINGS)
        table = pd.DataFrame({"recording": range(RECORDINGS), "class": "dog", "judge_probability": values})
        table.to_csv(sweep.trial(number) / "media" / "best" / "per_recording.csv", index=False)
        metrics = {"test/judge_probability": float(values.mean())}
        sweep.event("evaluated", trial=number, metrics=metrics, renderings=[], error="")
    sweep.close()
    return sweep


def timed(*arguments: str) -> float:
    """Seconds that a command of ours takes, its start included."""
    begin = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("orchestrate"), *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def first_row_s(sweep: SweepFolder) -> tuple[float, float]:
    """Seconds until the table of trials shows its first row, the first and the second time."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    link = json.loads((sweep.path / "tracking.json").read_text())["links"]["trials"]
    with ui.run_server(sweep.home, sweep.uri, port), chromium() as browser:
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        waited = []
        for _ in range(2):
            page.goto("about:blank")
            begin = time.perf_counter()
            page.goto(f"http://127.0.0.1:{port}/{link}")
            page.locator("a[href*='/runs/']").first.wait_for()
            waited.append(time.perf_counter() - begin)
    return waited[0], waited[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--home", type=Path, help="keep what is written")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = arguments.home or Path(scratch)
        if (home / "vae" / "tracking.json").exists():
            sweep = SweepFolder(home)
        else:
            sweep = write(home, arguments.trials)
            begin = time.perf_counter()
            follow(sweep.path, once=True)
            print(f"sent to MLflow in {time.perf_counter() - begin:.0f} s", flush=True)
        print(f"compare: {min(timed('compare', 'vae', '--home', str(home)) for _ in range(3)):.2f} s", flush=True)
        seconds = timed("report", "vae", "--home", str(home))
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"report: {seconds:.1f} s, {peak_mb:.0f} MB at most", flush=True)
        cold, warm = first_row_s(sweep)
        print(f"the table's first row: {cold:.1f} s the first time, {warm:.1f} s the second")


if __name__ == "__main__":
    main()

"""How long the process that sends to MLflow looks at a large sweep every five seconds.

    python -m tests.benchmarks.tracking_look [--trials 2000] [--epochs 60]

Without arguments: 2,000 trials of 60 epochs and 10,000 of 10. All but one have ended. MLflow is not called: what is
measured is the reading of the folder, and what the sweep's own run, its views and its links are made of.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.tracking.__main__ import Follower
from orchestrator.tracking.best_renderings import make_columns
from orchestrator.tracking.description import describe_sweep
from orchestrator.tracking.links import SweepPages
from orchestrator.tracking.mirror import Mirror
from tests.support.sweep_folder import METRICS, SweepFolder

SIZES = ((2_000, 60), (10_000, 10))
ARMS = 8
TIMES = 5


def write(home: Path, num_trials: int, num_epochs: int) -> SweepFolder:
    """A sweep that runs; every tenth trial can be heard."""
    sweep = SweepFolder(home)
    sweep.start()
    for number in range(1, num_trials + 1):
        sweep.ask(number, f"loss-{number % ARMS}", lr=1e-4 * (1 + number % 97))
        folder = sweep.trial(number)
        folder.mkdir(parents=True)
        rows = []
        for epoch in range(1, num_epochs + 1):
            metrics = dict.fromkeys(METRICS, (number * epoch) % 1009 / 1009)
            rows.append(json.dumps({"epoch": epoch, "ts": sweep.ts, "attempt": 1, "metrics": metrics}) + "\n")
        (folder / "outbox.jsonl").write_text("".join(rows))
        (folder / "config.yaml").write_text("loss: vae\n")
        if number % 10 == 0:
            (folder / "media" / "best").mkdir(parents=True)
        if number < num_trials:
            sweep.end(number, epochs=num_epochs)
    return sweep


class Looking:
    """A follower that has taken in everything, and all that it does every five seconds but the calls of MLflow."""

    def __init__(self, sweep: SweepFolder) -> None:
        self.sweep = sweep
        self.follower = Follower(sweep.path)
        self.follower.look(everywhere=True)
        self.mirror = Mirror(self.follower._history)
        self.mirror.pages = SweepPages("vae", "1", "ab" * 16)
        self.describe()

    def look(self) -> None:
        """Look where nothing is new."""
        self.follower._looked_late_s = 0.0
        self.follower.look()
        self.mirror.links()

    def describe(self) -> None:
        """Make what is sent of the sweep when something is new."""
        assert self.mirror.pages is not None
        describe_sweep(self.follower._history, self.mirror.pages)
        make_columns(self.follower._history)
        self.mirror._view_contents()
        self.mirror.links()

    def look_at_an_epoch(self) -> None:
        """Look where a trial has reported an epoch."""
        number = max(self.follower._history.trials)
        self.sweep.report(number, 1000)
        self.look()
        self.describe()


def median_ms(call: Callable[[], None]) -> float:
    """The median of some calls, in milliseconds."""
    times = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def measure(num_trials: int, num_epochs: int) -> dict[str, float]:
    """Milliseconds of each kind of look."""
    with tempfile.TemporaryDirectory(prefix="tracking-look-") as home:
        sweep = write(Path(home), num_trials, num_epochs)
        begin = time.perf_counter()
        looking = Looking(sweep)
        first_ms = 1000 * (time.perf_counter() - begin)
        return {
            "the first look": first_ms,
            "nothing new": median_ms(looking.look),
            "one epoch": median_ms(looking.look_at_an_epoch),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    sizes = [(arguments.trials, arguments.epochs)] if arguments.trials else SIZES
    for num_trials, num_epochs in sizes:
        values = ", ".join(f"{kind} {ms:.1f} ms" for kind, ms in measure(num_trials, num_epochs).items())
        print(f"{num_trials:,} trials of {num_epochs} epochs: {values}", flush=True)


if __name__ == "__main__":
    main()

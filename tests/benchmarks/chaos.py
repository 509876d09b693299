"""A real sweep that is killed in every way at random instants, resumed, and compared with one that never was.

    python tests/benchmarks/chaos.py [--kills 50] [--seed 0] [--only ours-1|ours-2|power|peer]

Half of the kills hit a sweep that runs one trial at a time, which must come out as if nothing had happened: the same
suggestions, prunings and metrics, bit for bit. The other half hits one that runs two at a time. Instants are uniform
over the epochs of the undisturbed sweep. As many power cuts hit a third one, on a disk that forgets what was not
synced, some of them followed by an older log that is put back (`power_cut.py`). Beside them stands what the same kinds
of kills make of Ray Tune with `Tuner.restore`, OptunaSearch, ASHA and Ray's MLflow callback.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import ray
import soundfile
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from orchestrator.machines.inventory import Capacity, Machine
from orchestrator.search_space.reader import read_search_space
from orchestrator.state.ledger import Ledger
from tests.benchmarks import chaos_checks as checks
from tests.benchmarks import power_cut
from tests.benchmarks.chaos_rig import KINDS, Rig, Server, small_disk, tell, write_space
from tests.benchmarks.ray_restore import run_peer

CONTENDERS = ("ours-1", "ours-2", "power", "peer")
DISK_MB = 400
EPOCHS = 9
"""Two rungs and the end: 1, 3, 9."""
RATE_HZ = 16_000


def make_corpus(root: Path) -> Path:
    """Three classes of five recordings of 4.2 s."""
    rng = np.random.default_rng(0)
    time_s = np.arange(int(4.2 * RATE_HZ)) / RATE_HZ
    for kind, base_hz in (("low", 110), ("middle", 440), ("high", 1500)):
        (root / kind).mkdir(parents=True)
        for index in range(5):
            tone = np.sin(2 * np.pi * base_hz * rng.uniform(0.9, 1.1) * time_s + 3 * np.sin(2 * np.pi * index * time_s))
            sound = 0.3 * tone + 0.05 * rng.standard_normal(len(time_s))
            soundfile.write(root / kind / f"take {index}.wav", sound, RATE_HZ)
    return root


def schedule(rng: random.Random, kinds: tuple[str, ...], kills: int, epochs: int) -> list[tuple[int, float, str]]:
    """(epoch, part of a second behind it, kind) of every kill: every kind in turn, at sorted random instants."""
    chosen = [kinds[index % len(kinds)] for index in range(kills)]
    rng.shuffle(chosen)
    instants = sorted(rng.uniform(0, epochs - 1) for _ in range(kills))
    return [(int(instant), rng.random(), kind) for instant, kind in zip(instants, chosen, strict=True)]


def run_ours(
    work: Path,
    corpus: Path,
    *,
    kills: int,
    seed: int,
    at_once: int,
    kinds: tuple[str, ...] = KINDS,
    epochs: int = EPOCHS,
) -> checks.Verdict:
    """Run the sweep through its kills and judge what came out."""
    rng = random.Random(seed)
    work.mkdir(parents=True)
    # Two at a time get further between kills.
    trials = max(3, at_once * kills // 4 + 2)
    reference = _reference(work, corpus, trials=trials, epochs=epochs, at_once=at_once)
    total = sum(trial.epochs for trial in reference.trials.values())
    began = time.monotonic()
    space, executed, server = work / "chaos.yaml", work / "executed.txt", Server(work / "mlflow")
    write_space(space, corpus, executed, trials=trials, epochs=epochs, at_once=at_once)
    with small_disk(work / "home", DISK_MB) as is_small:
        home = work / "home"
        kinds = tuple(kind for kind in kinds if is_small or kind != "disk full")
        for name in ("corpora", "cache"):
            if (work / "reference" / name).exists():
                shutil.copytree(work / "reference" / name, home / name)
        server.start()
        rig = Rig(home, space, server, rng)
        done = []
        try:
            rig.start()
            for epoch, seconds, kind in schedule(rng, kinds, kills, total):
                if not rig.wait_for_rows(epoch):
                    break
                time.sleep(seconds)
                if rig.is_finished():
                    break
                tell(sys.stderr, f"{at_once} at a time, epoch {rig.rows()} of about {total}: {kind}")
                rig.strike(kind)
                done.append(kind)
            # The last one: MLflow is gone until the sweep has ended.
            server.kill()
            rig.finish_without_mlflow()
            server.start()
            rig.finish()
        finally:
            rig.close()
            server.kill()
        verdict = checks.Verdict(
            {"kills": f"{len(done) + 1} of {kills + 1}", "minutes": round((time.monotonic() - began) / 60, 1)}
        )
        ledger = Ledger(home / "chaos", read_only=True)
        sweep = read_search_space(space)
        checks.check_trials(verdict, ledger, 2 * trials)
        checks.check_mlflow(verdict, ledger, server.database)
        checks.check_executed(verdict, ledger, executed, len(done), at_once)
        checks.check_rungs(verdict, sweep, ledger)
        if at_once == 1:
            checks.check_same(verdict, sweep, ledger, reference)
            checks.check_renderings(verdict, ledger, reference)
        else:
            cpus = float(os.cpu_count() or 1)
            checks.check_alone(verdict, sweep, ledger, home, Capacity((Machine(cpus),)))
        verdict.equal("exit codes and what they should be", rig.surprises)
    return verdict


def _reference(work: Path, corpus: Path, *, trials: int, epochs: int, at_once: int) -> Ledger:
    """The same sweep, undisturbed, which records in a database of its own."""
    space, home = work / "reference.yaml", work / "reference"
    write_space(space, corpus, work / "reference.txt", trials=trials, epochs=epochs, at_once=at_once)
    command = [sys.executable, "-m", "orchestrator", "sweep", str(space), "--home", str(home)]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the undisturbed sweep did not end well: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return Ledger(home / "chaos", read_only=True)


def show(verdicts: dict[str, dict[str, Any]], console: Console) -> None:
    """A line a figure, a column a contender."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in verdicts:
        table.add_column(name, justify="right")
    for figure in dict.fromkeys(figure for figures in verdicts.values() for figure in figures):
        table.add_row(figure, *(str(figures.get(figure, "–")) for figures in verdicts.values()))
    console.print(table)


def cut_power(folder: Path, cuts: int, seed: int) -> list[str]:
    """Cut the power of a sweep so often; what is mixed or lost, a line each."""
    folder.mkdir()
    with power_cut.mounted_disk(folder) as disk:
        if disk is None:
            print("power cuts are left out: a file system can't be mounted here; it needs root and loop devices")
            return []
        outcome = power_cut.run(folder, disk, cuts=cuts, seed=seed)
    power_cut.show(outcome)
    return outcome.wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=CONTENDERS, help="one column of the table, or the power cuts")
    given = parser.parse_args()
    # A shell lets what it starts in the background ignore Ctrl-C, nohup a hangup, and the drivers would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    work = Path(tempfile.mkdtemp(prefix="chaos-"))
    corpus = make_corpus(work / "corpus")
    verdicts: dict[str, dict[str, Any]] = {}
    wrong = []
    for at_once in (each for each in (1, 2) if given.only in (None, f"ours-{each}")):
        # The last kill of each is MLflow's.
        verdict = run_ours(
            work / f"ours-{at_once}", corpus, kills=given.kills // 2 - 1, seed=given.seed, at_once=at_once
        )
        verdicts[f"ours, {at_once} at a time"] = verdict.figures
        wrong += verdict.wrong
        show(verdicts, Console())
    if given.only in (None, "power"):
        wrong += cut_power(work / "power", given.kills, given.seed)
    if given.only in (None, "peer"):
        kills = schedule(random.Random(given.seed), KINDS, given.kills // 2, 100)
        trials = 2 * max(3, (given.kills // 2 - 1) // 4 + 2)
        with small_disk(work / "peer", DISK_MB) as is_small:
            kinds = [kind for *_, kind in kills if is_small or kind != "disk full"]
            verdicts["Tuner.restore, 2 at a time"] = run_peer(work / "peer", corpus, kinds, trials)
    shutil.rmtree(work, ignore_errors=True)
    print(f"{date.today()}, {os.cpu_count()} processors, Ray {ray.__version__}, MLflow {mlflow.__version__}:")
    print(f"python tests/benchmarks/chaos.py {' '.join(sys.argv[1:])}")
    if verdicts:
        show(verdicts, Console(width=140))
    for line in wrong:
        print(f"BROKEN: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

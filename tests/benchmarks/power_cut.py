"""A real sweep on a disk that loses power at random instants: what was not synced is gone, as on a real machine.

    python tests/benchmarks/power_cut.py [--cuts 50] [--seed 0]

The home is an ext4 file system in a file, mounted so that nothing reaches the file but what was synced, or what is
minutes old. A cut stops every process, keeps the file as it is at that instant, kills the processes, and mounts what
was kept; ext4 replays its journal. After every third cut the sweep log is an older one, too, as one that was put back
from a backup: it ends before its last trial was asked for. It needs root, to mount. It ends with 1 if anything is mixed
or lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import OUTBOX, trial_folder
from orchestrator.storage import json_lines

HERE = Path(__file__).parent
NAME = "cut"
EPOCH_S = 0.05
MAX_EPOCHS = 6
MEGABYTES = 300
OPTIONS = "loop,commit=300,noauto_da_alloc"
"""Five minutes until ext4 writes by itself, and no help for those who rename without a sync."""
UNSYNCED_LINES = 2
"""A trial is asked for and begun with one sync; a cut between the write and the sync takes both lines."""
START_S = 240.0


class Disk:
    """A file system in a file, mounted at a folder."""

    def __init__(self, folder: Path, mount_point: Path) -> None:
        self._image = folder / "disk.img"
        self._mount_point = mount_point
        mount_point.mkdir(parents=True, exist_ok=True)
        with self._image.open("wb") as file:
            file.truncate(MEGABYTES * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self._image)], check=True)

    def mount(self) -> bool:
        """Mount it; whether that is allowed here."""
        command = ["mount", "-o", OPTIONS, str(self._image), str(self._mount_point)]
        return subprocess.run(command, capture_output=True).returncode == 0

    def unmount(self) -> None:
        """Take it away, also from under processes that are about to end."""
        for _ in range(50):
            if subprocess.run(["umount", str(self._mount_point)], capture_output=True).returncode == 0:
                return
            time.sleep(0.2)
        subprocess.run(["umount", "-l", str(self._mount_point)], check=True)

    def keep(self) -> None:
        """Keep what has reached the disk until now."""
        subprocess.run(["cp", "--sparse=always", str(self._image), f"{self._image}.kept"], check=True)

    def restore(self) -> None:
        """Go back to what was kept."""
        Path(f"{self._image}.kept").replace(self._image)


@contextlib.contextmanager
def mounted_disk(folder: Path) -> Iterator[Disk | None]:
    """A disk that is mounted at `folder / "home"`; None where nobody may mount one."""
    disk = Disk(folder, folder / "home")
    if not disk.mount():
        yield None
        return
    try:
        yield disk
    finally:
        disk.unmount()


@dataclass
class Outcome:
    """What became of the sweep.

    Attributes:
        cuts: how often the power was cut.
        put_back: how often the sweep log was an older one after that.
        lost_lines: lines of the sweep log that cuts took, none of which had been acted on.
        set_aside: folders that belonged to no trial of the log any more.
        wrong: what must not be, a line each.
    """

    cuts: int = 0
    put_back: int = 0
    lost_lines: int = 0
    set_aside: int = 0
    epochs: int = 0
    trials: int = 0
    wrong: list[str] = field(default_factory=list)


def write_space(path: Path, trials: int) -> None:
    """Two arms of trials that do nothing, of which ASHA prunes some."""
    path.write_text(
        f"name: {NAME}\ntrainable: {HERE / 'noop.py'}\nobjective: {{metric: val/score, mode: max}}\n"
        f"compare: {{arm: [a, b]}}\nparams: {{x: {{uniform: [0, 1]}}, epoch_s: {EPOCH_S}}}\n"
        f"search: {{startup_trials: 3}}\nbudget: {{trials_per_arm: {trials}, max_epochs: {MAX_EPOCHS}}}\n"
        "pruning: {grace_epochs: 1, reduction_factor: 2}\nresources: {cpu: 1}\ndisk: {min_free_gib: 0}\n"
    )


def start(space: Path, home: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "orchestrator", "sweep", str(space), "--home", str(home)]
    with output.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, cwd=HERE.parents[1])


def num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def cut(disk: Disk, driver: subprocess.Popen[bytes], folder: Path) -> list[json_lines.Line]:
    """Cut the power; the events that the sweep log had in memory at that instant."""
    processes = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.suspend()
    events = json_lines.read(folder / "sweep.jsonl")[0]
    note = json.loads((folder / "driver.lock").read_text() or "{}")
    disk.keep()
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    driver.wait()
    psutil.wait_procs(processes, timeout=10)
    shutil.rmtree(note.get("scratch", "/nonexistent"), ignore_errors=True)
    disk.unmount()
    disk.restore()
    assert disk.mount()
    return events


def put_back_log(path: Path) -> bool:
    """Let the log end before its last trial was asked for; whether there is one."""
    lines = path.read_text().splitlines(keepends=True)
    asked = [place for place, line in enumerate(lines) if json.loads(line)["event"] == "asked"]
    if asked:
        path.write_text("".join(lines[: asked[-1]]))
    return bool(asked)


def check_cut(outcome: Outcome, before: list[json_lines.Line], folder: Path) -> None:
    """What had been judged must still be there, and the log may lack what nobody had acted on."""
    after = json_lines.read(folder / "sweep.jsonl")[0]
    lost = len(before) - len(after)
    outcome.lost_lines += max(lost, 0)
    if before[: len(after)] != after or lost > UNSYNCED_LINES:
        outcome.wrong.append(f"cut {outcome.cuts}: the sweep log lacks {lost} lines, {before[len(after) :][:3]}")
    rows: dict[int, int] = {}
    for event in after:
        if event["event"] == "judged":
            rows[event["trial"]] = max(event["epochs"], rows.get(event["trial"], 0))
    for number, epochs in rows.items():
        lines = json_lines.read(trial_folder(folder, number) / OUTBOX)[0]
        recorded = max((line["epoch"] for line in lines if "epoch" in line), default=0)
        if recorded < epochs:
            outcome.wrong.append(f"cut {outcome.cuts}: trial {number} was judged at {epochs}, has {recorded} epochs")


def check_end(outcome: Outcome, folder: Path) -> None:
    """Every row must be of its own trial, and every epoch there once."""
    ledger = Ledger(folder, read_only=True)
    outcome.trials = len(ledger.trials)
    outcome.set_aside = len(list((folder / "set_aside").glob("*")))
    for trial in ledger.trials.values():
        rows = ledger.read_rows(trial)
        outcome.epochs += len(rows)
        if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
            outcome.wrong.append(f"trial {trial.number}: epochs {[row['epoch'] for row in rows]}")
        for row in rows:
            expected = 1 - abs(float(trial.params["x"]) - 0.3) - 0.5 ** row["epoch"]
            if row["metrics"]["val/score"] != expected:
                outcome.wrong.append(f"trial {trial.number}, epoch {row['epoch']}: a row of another configuration")
    if not ledger.is_finished:
        outcome.wrong.append("the sweep did not finish")


def run(folder: Path, disk: Disk, *, cuts: int, seed: int, put_back_every: int = 3) -> Outcome:
    """Cut the power so many times, put an older log back after some cuts, then let the sweep end."""
    rng = random.Random(seed)
    home, space, output = folder / "home", folder / "cut.yaml", folder / "output.txt"
    sweep_folder, outcome = home / NAME, Outcome()
    # Enough for as many cuts as there are, each a few epochs after the one before.
    write_space(space, trials=4 + 2 * cuts)
    while outcome.cuts < cuts:
        lines = num_lines(sweep_folder / "sweep.jsonl")
        driver = start(space, home, output)
        wanted, deadline = lines + rng.randint(2, 14), time.monotonic() + START_S
        while num_lines(sweep_folder / "sweep.jsonl") < wanted and driver.poll() is None:
            if time.monotonic() > deadline:
                outcome.wrong.append(f"nothing happened for {START_S:g} s: {output.read_text()[-500:]}")
                driver.kill()
            time.sleep(0.005)
        if driver.poll() is not None:
            break
        time.sleep(rng.uniform(0, 2 * EPOCH_S))
        before = cut(disk, driver, sweep_folder)
        outcome.cuts += 1
        check_cut(outcome, before, sweep_folder)
        if outcome.cuts % put_back_every == 0:
            outcome.put_back += put_back_log(sweep_folder / "sweep.jsonl")
        print(f"cut {outcome.cuts} after {len(before)} events", file=sys.stderr, flush=True)
    if start(space, home, output).wait() != 0:
        outcome.wrong.append(f"the last start failed: {output.read_text()[-500:]}")
    check_end(outcome, sweep_folder)
    return outcome


def show(outcome: Outcome) -> None:
    """Print what became of the sweep."""
    print(f"{outcome.cuts} cuts, {outcome.put_back} logs put back, {outcome.trials} trials, {outcome.epochs} epochs")
    print(f"lines of the sweep log lost before anybody acted on them: {outcome.lost_lines}")
    print(f"folders set aside: {outcome.set_aside}; wrong: {len(outcome.wrong)}")


def main() -> None:
    """Cut the power of a sweep, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="power-cut-") as name, mounted_disk(Path(name)) as disk:
        if disk is None:
            raise SystemExit("a file system can't be mounted here; it needs root and loop devices")
        outcome = run(Path(name), disk, cuts=given.cuts, seed=given.seed)
    show(outcome)
    if outcome.wrong:
        raise SystemExit("\n".join(outcome.wrong))


if __name__ == "__main__":
    main()

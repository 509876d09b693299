"""A real sweep on five Ray nodes, of which one dies, one is cut off, one is slow and one is drained, while one joins.

    python -m tests.benchmarks.cluster [--cut-off-s 60]

The nodes run on this machine. The sweep is run twice: undisturbed, and with all of the faults. Beside them one trial's
process receives SIGTERM.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray._private.node import Node
from ray.cluster_utils import Cluster

from orchestrator.state.ledger import Ledger
from orchestrator.state.trial import Trial
from orchestrator.storage.json_lines import Line, read
from tests.benchmarks.paced import SLOW
from tests.support.clusters import count_rows, drain, processes_of
from tests.support.spaces import write_space
from tests.system.test_sweep import orchestrate

PACED = str(Path(__file__).with_name("paced.py"))
NUM_TRIALS, NUM_EPOCHS, EPOCH_S = 12, 8, 2.0
PATIENCE_S = 1200.0
NAME = "tiny"


@dataclass
class Machines:
    """A head without trials, and four machines that train one each; one is slow while a file exists."""

    slow: Path
    by_name: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for name in ("dies", "is cut off", "drains"):
            self.join(name)
        self.join("is slow", {SLOW: str(self.slow)})

    def join(self, name: str, variables: dict[str, str] | None = None) -> None:
        self.by_name[name] = self.cluster.add_node(num_cpus=1, env_vars=variables or {})

    def is_alive(self, name: str) -> bool:
        """Whether the cluster counts a machine as alive."""
        from ray._raylet import GcsClient

        infos = GcsClient(address=self.cluster.address).get_all_node_info()
        (state,) = [info.state for key, info in infos.items() if key.hex() == self.by_name[name].node_id]
        return bool(state == 0)


class Faults:
    """What happens to the machines, each thing after so many epochs of the sweep."""

    def __init__(self, machines: Machines, folder: Path, cut_off_s: float) -> None:
        self.machines, self.folder, self.cut_off_s = machines, folder, cut_off_s
        self.events: list[str] = []
        self._began = time.monotonic()
        self._cut_off = threading.Thread(target=self.cut_off)

    def say(self, what: str) -> None:
        self.events.append(f"{time.monotonic() - self._began:5.0f} s  {count_rows(self.folder):3} epochs  {what}")
        print(self.events[-1], flush=True)

    def cut_off(self) -> None:
        """Stop a machine's processes, and let them go on; note when the cluster gives it up."""
        processes = processes_of(self.machines.by_name["is cut off"])
        for process in processes:
            process.suspend()
        self.say(f"one of {len(processes) - 1} processes' machine is cut off")
        ended_s, was_alive = time.monotonic() + self.cut_off_s, True
        while time.monotonic() < ended_s:
            if was_alive and not self.machines.is_alive("is cut off"):
                was_alive = False
                self.say("the cluster has given up the machine that is cut off")
            time.sleep(0.5)
        for process in processes:
            if process.is_running():
                process.resume()
        self.say("the machine that was cut off goes on")

    def kill(self) -> None:
        self.machines.cluster.remove_node(self.machines.by_name["dies"], allow_graceful=False)
        self.say("a machine died")

    def tell_to_end(self) -> None:
        """Send SIGTERM to the process that trains on the machine that will be drained."""
        workers = [
            each for each in processes_of(self.machines.by_name["drains"]) if ".train" in " ".join(each.cmdline())
        ]
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        self.say(f"{len(workers)} process received SIGTERM")

    def join(self) -> None:
        self.machines.join("joins")
        self.say("a machine joined")

    def drain(self) -> None:
        drain(self.machines.cluster, self.machines.by_name["drains"].node_id, 60)
        self.say("a machine is drained")

    def run(self, is_over: Callable[[], bool]) -> None:
        """Let everything happen, unless the sweep ends before."""
        for epochs, happens in (
            (8, self._cut_off.start),
            (14, self.tell_to_end),
            (22, self.kill),
            (28, self.join),
            (44, self.drain),
        ):
            while count_rows(self.folder) < epochs:
                if is_over():
                    return
                time.sleep(0.2)
            happens()
        self._cut_off.join()


@dataclass(frozen=True)
class Outcome:
    """What a sweep came to."""

    seconds: float
    output: str
    folder: Path
    executed: Path

    def ledger(self) -> Ledger:
        return Ledger(self.folder, read_only=True)

    def lines(self, trial: Trial) -> list[Line]:
        return [
            line for line in read(self.folder / "trials" / f"{trial.number:04d}" / "outbox.jsonl")[0] if "epoch" in line
        ]


def run_sweep(work: Path, machines: Machines, cut_off_s: float | None) -> Outcome:
    """Run the sweep on the machines, with all faults if `cut_off_s` is given."""
    work.mkdir()
    executed = work / "executed"
    executed.touch()
    space = write_space(
        work / "tiny.yaml",
        trainable=PACED,
        compare=None,
        params={"epoch_s": EPOCH_S, "executed": str(executed)},
        budget={"seeds": NUM_TRIALS, "max_epochs": NUM_EPOCHS},
        pruning="none",
        limits={"max_machine_failures": 0},
    )
    folder = work / "home" / NAME
    began = time.monotonic()
    with (work / "output.txt").open("w") as file:
        driver = orchestrate(
            *("sweep", space, "--home", work / "home", "--address", machines.cluster.address),
            stdout=file,
            cwd=str(work),
        )
    if cut_off_s is not None:
        Faults(machines, folder, cut_off_s).run(lambda: driver.poll() is not None)
    if driver.wait(PATIENCE_S):
        raise SystemExit((work / "output.txt").read_text())
    seconds = time.monotonic() - began
    return Outcome(seconds, (work / "output.txt").read_text(), folder, executed)


def report(undisturbed: Outcome, disturbed: Outcome) -> dict[str, Any]:
    """Return what is asked of the disturbed sweep, as numbers by their names."""
    ledger, reference = disturbed.ledger(), undisturbed.ledger()
    lost = doubled = late = equal = recorded = 0
    for number, trial in reference.trials.items():
        other = ledger.trials[number]
        lines = disturbed.lines(other)
        epochs = [line["epoch"] for line in lines]
        recorded += len(epochs)
        lost += len(set(range(1, NUM_EPOCHS + 1)) - set(epochs))
        doubled += len(epochs) - len(set(epochs))
        attempts = [line["attempt"] for line in lines]
        late += sum(after < before for before, after in itertools.pairwise(attempts))
        scores = [line["metrics"]["val/score"] for line in lines]
        equal += scores == [line["metrics"]["val/score"] for line in undisturbed.lines(trial)]
    executed = len(disturbed.executed.read_text().splitlines())
    trials = ledger.trials.values()
    return {
        "trials, completed": (len(trials), sum(trial.outcome == "completed" for trial in trials)),
        "epochs lost, doubled": (lost, doubled),
        "epochs recorded by an attempt after a later one had begun to": late,
        "epochs executed again": f"{executed - recorded} of {executed}",
        "trials equal to those of the undisturbed sweep, bit for bit": equal,
        "times that a trial was moved, without counting as its failure": sum(
            len(trial.displaced_at) for trial in trials
        ),
        "deaths that count as failures": sum(len(trial.died_at) for trial in trials),
        "seconds, undisturbed": round(undisturbed.seconds),
        "seconds, disturbed": round(disturbed.seconds),
        "ratio": round(disturbed.seconds / undisturbed.seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cut-off-s", type=float, default=60.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cluster-") as temporary:
        work = Path(temporary)
        slow = work / "slow"
        machines = Machines(slow)
        try:
            undisturbed = run_sweep(work / "undisturbed", machines, None)
            print(f"undisturbed: {undisturbed.seconds:.0f} s", flush=True)
            slow.touch()
            disturbed = run_sweep(work / "disturbed", machines, arguments.cut_off_s)
        finally:
            machines.cluster.shutdown()
        print(disturbed.output)
        for name, value in report(undisturbed, disturbed).items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()

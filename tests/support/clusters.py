"""What tests and benchmarks do with the machines of a Ray cluster, which are nodes on this one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from ray._private.node import Node
from ray.cluster_utils import Cluster

from orchestrator.storage.json_lines import read


def drain(nodes: Cluster, node_id: str, seconds: int) -> None:
    """Warn the cluster that a machine will be taken away, as clouds do with those that they lend cheaply."""
    from ray._raylet import GcsClient
    from ray.core.generated import autoscaler_pb2

    reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    deadline_ms = int((time.time() + seconds) * 1000)
    accepted, message = GcsClient(address=nodes.address).drain_node(node_id, reason, "taken back", deadline_ms)
    assert accepted, message


def wait_for_machines(nodes: Cluster, count: int) -> None:
    """Wait until so many machines are in a cluster."""
    from ray._raylet import GcsClient

    deadline = time.monotonic() + 120
    while sum(node.state == 0 for node in GcsClient(address=nodes.address).get_all_node_info().values()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.5)


@contextlib.contextmanager
def blind_machine(nodes: Cluster, *folders: Path, cpus: int = 2, **environment: str) -> Iterator[psutil.Process]:
    """A machine of a cluster that does not see some folders; its processes are killed at the end of the block.

    It is in a mount namespace of its own, in which those folders are empty.
    """
    mounts = " && ".join(f"mount -t tmpfs none {folder}" for folder in folders)
    join = f"{mounts} && exec {sys.executable} -m ray.scripts.scripts start --block --num-cpus={cpus}"
    join += f" --address={nodes.address} --object-store-memory=80000000 --disable-usage-stats"
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", join]
    paths = {"PYTHONPATH": str(Path(__file__).parents[2])}
    machine = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, env={**os.environ, **paths, **environment}
    )
    try:
        yield psutil.Process(machine.pid)
    finally:
        kill_machine(psutil.Process(machine.pid))
        machine.wait()


def kill_machine(machine: psutil.Process) -> None:
    """Kill all processes of a machine at once."""
    for process in (machine, *machine.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            process.kill()


def count_rows(folder: Path) -> int:
    """How many epochs a sweep has recorded so far."""
    return sum("epoch" in line for path in folder.glob("trials/*/outbox.jsonl") for line in read(path)[0])


def processes_of(node: Node) -> list[psutil.Process]:
    """The raylet of a machine and the processes that it has started, its workers among them."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return [raylet, *raylet.children(recursive=True)]

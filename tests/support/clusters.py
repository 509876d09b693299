"""What tests and benchmarks do with the machines of a Ray cluster, which are nodes on this one."""

from __future__ import annotations

import time
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


def count_rows(folder: Path) -> int:
    """How many epochs a sweep has recorded so far."""
    return sum("epoch" in line for path in folder.glob("trials/*/outbox.jsonl") for line in read(path)[0])


def processes_of(node: Node) -> list[psutil.Process]:
    """The raylet of a machine and the processes that it has started, its workers among them."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return [raylet, *raylet.children(recursive=True)]

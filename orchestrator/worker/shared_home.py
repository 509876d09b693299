"""A check that every machine of a Ray cluster sees the sweep's folder; others would train into a folder of their own.

The driver writes a random token into the folder. Every machine has to read it before the first trial, and every worker
before each epoch, since machines may join later.
"""

from __future__ import annotations

import socket
import uuid
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.storage import durable
from orchestrator.worker.failure import HomeNotShared

TOKEN = "home.token"
"""In a sweep's folder: the file with the token."""


def check_home_is_shared(folder: Path) -> str:
    """Write a new token into a sweep's folder, and check that every machine of the cluster reads it.

    Returns:
        The token.

    Raises:
        UserError: a machine can't read the token.
    """
    token = uuid.uuid4().hex
    durable.write_whole(folder / TOKEN, token)
    machines = _machines_without(folder / TOKEN, token)
    if machines:
        raise UserError(
            f"{folder.parent}: the home is not shared with {', '.join(machines)}: trials there would be recorded on "
            "another disk; mount the home there under the same path, choose a shared one with --home, or leave that "
            "machine out of the cluster"
        )
    return token


def _machines_without(path: Path, token: str) -> list[str]:
    """Return the names of the cluster's machines that do not read the token at this path.

    Raises:
        UserError: a machine can't run the check at all.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return []
    read = ray.remote(num_cpus=0)(read_token)
    machines = []
    for node in nodes:
        machine = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        try:
            token_there = ray.get(read.options(scheduling_strategy=there).remote(str(path)))
        except ray.exceptions.RayError as error:
            raise UserError(
                f"{machine}: it can't run orchestrate ({str(error).strip().splitlines()[-1]}); install the same "
                "version there, or leave that machine out of the cluster"
            ) from None
        if token_there != token:
            machines.append(machine)
    return machines


def read_token(path: str) -> str:
    """Return the token that this machine reads; "" if it does not see the file."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def check_token(sweep_folder: Path, token: str) -> None:
    """Check that this machine reads the driver's token in the sweep's folder.

    Raises:
        HomeNotShared: it reads no token, or another one.
    """
    if token and read_token(str(sweep_folder / TOKEN)) != token:
        raise HomeNotShared(
            f"{sweep_folder.parent}: the home is not shared with {socket.gethostname()}, which has joined the cluster; "
            "mount it there under the same path, or take that machine out of the cluster"
        )

"""The resources of each machine of a Ray cluster: CPUs, GPUs, and custom resources."""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ACCELERATOR = "accelerator_type:"
"""The beginning of Ray's resource for a kind of GPU; each machine with one has 1 of it."""
ACCELERATOR_SHARE = 0.001
"""How much of that resource a trial takes, so that any number of them fit."""
OF_RAY = ("CPU", "GPU", "memory", "object_store_memory")
"""Names of resources that Ray gives to machines by itself."""
PATIENCE_S = 3.0
"""The longest wait for a machine that may be gone."""
MOST_NAMES = 3
"""A message names this many of the machines that have the same."""


@dataclass(frozen=True)
class Request:
    """The resources of a trial; CPUs and GPUs may be fractions.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs.
        custom: amounts of other resources, by the name that `ray start --resources` gave them.
        accelerator_type: the kind of GPU, such as H100; "" for any.
    """

    cpus: float
    gpus: float = 0
    custom: Mapping[str, float] = field(default_factory=dict)
    accelerator_type: str = ""

    def as_bundle(self) -> dict[str, float]:
        """Return the request as Ray's resources."""
        bundle = {"CPU": self.cpus, "GPU": self.gpus, **self.custom}
        return bundle | ({ACCELERATOR + self.accelerator_type: ACCELERATOR_SHARE} if self.accelerator_type else {})

    def __str__(self) -> str:
        parts = [f"cpu {self.cpus:g}", f"gpu {self.gpus:g}" if self.gpus else ""]
        parts += [f"{name} {amount:g}" for name, amount in self.custom.items()]
        parts.append(f"accelerator_type {self.accelerator_type}" if self.accelerator_type else "")
        return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class Machine:
    """One machine of a cluster.

    Attributes:
        cpus: its CPU cores, as far as Ray may use them.
        gpus: its GPUs.
        custom: its other resources, by name.
        accelerators: the kinds of its GPUs.
        name: its host name and address, for messages.
        id: Ray's id of its node.
        endpoint: the address and the port of its raylet; None if they are not known.
    """

    cpus: float
    gpus: float = 0
    custom: Mapping[str, float] = field(default_factory=dict)
    accelerators: tuple[str, ...] = ()
    name: str = "this machine"
    id: str = ""
    endpoint: tuple[str, int] | None = None

    def count(self, request: Request) -> int:
        """Return how many trials with such a request fit at once."""
        if request.accelerator_type and request.accelerator_type not in self.accelerators:
            return 0
        shares = [(self.cpus, request.cpus), (self.gpus, request.gpus)]
        shares += [(self.custom.get(name, 0), amount) for name, amount in request.custom.items()]
        # Fractions such as 0.1 are not exact in binary: 0.3 / 0.1 is 2.99….
        return min(math.floor(total / share + 1e-6) if share else 1_000_000 for total, share in shares)

    def answers(self) -> bool:
        """Return whether its raylet still takes connections; Ray itself needs seconds to notice that it does not."""
        if self.endpoint is None:
            return True
        try:
            socket.create_connection(self.endpoint, timeout=PATIENCE_S).close()
        except OSError:
            return False
        return True

    @property
    def possessions(self) -> str:
        """What it has, for messages."""
        kinds = f" ({', '.join(self.accelerators)})" if self.accelerators else ""
        custom = "".join(f", {name} {amount:g}" for name, amount in sorted(self.custom.items()))
        return f"cpu {self.cpus:g}, gpu {self.gpus:g}{kinds}{custom}"


@dataclass(frozen=True)
class Capacity:
    """The machines that may run trials."""

    machines: tuple[Machine, ...]

    @property
    def gpus(self) -> float:
        """The GPUs of all machines."""
        return sum(machine.gpus for machine in self.machines)

    def count(self, request: Request) -> int:
        """Return how many trials with such a request run at once; each of them runs on one machine."""
        return sum(machine.count(request) for machine in self.machines)

    def describe(self) -> str:
        """Return what each machine has; machines that have the same are named together."""
        names_by_possessions: dict[str, list[str]] = {}
        for machine in self.machines:
            names_by_possessions.setdefault(machine.possessions, []).append(machine.name)
        return "; ".join(f"{_join(names)}: {what}" for what, names in names_by_possessions.items()) or "none"


def _join(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def read_machines() -> tuple[Machine, ...]:
    """Return the machines of the cluster that this process has joined, without those that are gone."""
    import ray

    return tuple(_read_machine(node) for node in ray.nodes() if node["Alive"])


def _read_machine(node: Mapping[str, object]) -> Machine:
    resources = node["Resources"]
    assert isinstance(resources, Mapping)
    accelerators, custom = [], {}
    for name, amount in resources.items():
        if name.startswith(ACCELERATOR):
            accelerators.append(name.removeprefix(ACCELERATOR))
        elif name not in OF_RAY and not name.startswith("node:"):
            custom[name] = float(amount)
    return Machine(
        cpus=float(resources.get("CPU", 0)),
        gpus=float(resources.get("GPU", 0)),
        custom=custom,
        accelerators=tuple(sorted(accelerators)),
        name=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
        id=str(node["NodeID"]),
        endpoint=(str(node["NodeManagerAddress"]), int(str(node["NodeManagerPort"]))),
    )

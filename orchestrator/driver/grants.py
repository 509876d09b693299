"""Fit the resources that arms request to what the cluster has."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.errors import UserError
from orchestrator.machines.inventory import Capacity, Machine, Request

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Resources, Sweep


@dataclass(frozen=True)
class Grant(Request):
    """The resources of each trial of an arm, as far as the cluster has them."""

    @property
    def threads(self) -> int:
        """The number of threads of a trial: its whole CPU cores, at least 1."""
        return max(1, int(self.cpus))

    def scale(self, factor: float, capacity: Capacity) -> Grant:
        """Return a multiple of this grant, limited by what one machine has."""
        return max(
            (self._scale_on(machine, factor) for machine in capacity.machines if machine.count(self)),
            key=lambda grant: (grant.gpus, grant.cpus),
            default=self,
        )

    def _scale_on(self, machine: Machine, factor: float) -> Grant:
        gpus = min(self.gpus * factor, machine.gpus)
        # A fraction of a GPU grows to one whole GPU at most; several GPUs stay a whole number.
        whole_gpus = min(gpus, 1.0) if self.gpus < 1 else float(int(gpus))
        return replace(self, cpus=min(self.cpus * factor, machine.cpus), gpus=whole_gpus)


def grant_resources(sweep: Sweep, capacity: Capacity) -> tuple[dict[str, Grant], list[str]]:
    """Fit the resources that each arm requests to the machines of the cluster.

    Returns:
        The grant of each arm by its name, and a line for each request that was reduced.

    Raises:
        UserError: a GPU is required where there is none, or no machine has what a trial requests.
    """
    grant_by_arm: dict[str, Grant] = {}
    notes: dict[str, None] = {}
    for arm in sweep.arms:
        grant_by_arm[arm.name], arm_notes = _grant(arm.resources, capacity)
        notes |= dict.fromkeys(arm_notes)
    return grant_by_arm, list(notes)


def _grant(resources: Resources, capacity: Capacity) -> tuple[Grant, list[str]]:
    notes = []
    grant = Grant(resources.cpu, resources.gpu, resources.custom, resources.accelerator_type or "")
    if grant.gpus > 0 and capacity.gpus == 0:
        if resources.require_gpu:
            raise UserError(
                f"resources.gpu: {resources.gpu:g} is required and Ray sees no GPU here; "
                "run where there is one, or set resources.require_gpu=false to train on the CPU"
            )
        notes.append("No GPU here: trials run on the CPU.")
        grant = replace(grant, gpus=0, accelerator_type="")
    if len(capacity.machines) == 1 and grant.cpus > (cpus := capacity.machines[0].cpus) > 0:
        notes.append(f"resources.cpu: {resources.cpu:g} asked for, {cpus:g} here: trials get {cpus:g}.")
        grant = replace(grant, cpus=cpus)
    if capacity.count(grant) == 0:
        raise UserError(
            f"resources: no machine has all that a trial asks for ({grant}), so that it would wait forever; ask for "
            f"what one of them has: {capacity.describe()}"
        )
    return grant, notes


def count_slots(grant_by_arm: dict[str, Grant], capacity: Capacity) -> int:
    """Return how many trials of the arm with the smallest grant can run at once."""
    return max(capacity.count(grant) for grant in grant_by_arm.values())


def find_busy_gpus() -> list[str]:
    """Return a warning for each GPU of this machine that has less than half of its memory free."""
    query = ["nvidia-smi", "--query-gpu=index,memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    lines = []
    for row in answer.splitlines():
        index, free_mib, total_mib = (int(cell) for cell in row.split(","))
        if free_mib < total_mib / 2:
            lines.append(
                f"GPU {index} has {free_mib / 1024:.1f} of {total_mib / 1024:.1f} GiB free, another process "
                "holds the rest: trials there may run out of memory (CUDA_VISIBLE_DEVICES chooses other GPUs)."
            )
    return lines

"""Fit the resources that arms request to what the cluster has."""

from __future__ import annotations

import math
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import UserError

if TYPE_CHECKING:
    from orchestrator.search_space.reader import Resources, Sweep


@dataclass(frozen=True)
class Capacity:
    """The processors and the graphics cards of the whole cluster."""

    cpus: float
    gpus: float


@dataclass(frozen=True)
class Grant:
    """The processors and the graphics cards of each trial of an arm; both may be fractions."""

    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """The number of threads of a trial: its whole processors, at least 1."""
        return max(1, int(self.cpus))

    def scale(self, factor: float, capacity: Capacity) -> Grant:
        """Return a multiple of this grant, limited by the cluster's capacity."""
        gpus = min(self.gpus * factor, capacity.gpus)
        # A fraction of a card grows to one whole card at most; several cards stay a whole number.
        whole_gpus = min(gpus, 1.0) if self.gpus < 1 else float(int(gpus))
        return Grant(min(self.cpus * factor, capacity.cpus), whole_gpus)


def grant_resources(sweep: Sweep, capacity: Capacity) -> tuple[dict[str, Grant], list[str]]:
    """Fit the resources that each arm requests to the capacity of the cluster.

    Returns:
        The grant of each arm by its name, and a line for each request that was reduced.

    Raises:
        UserError: a GPU is required where there is none, or more are requested than there are.
    """
    grant_by_arm: dict[str, Grant] = {}
    notes: dict[str, None] = {}
    for arm in sweep.arms:
        grant_by_arm[arm.name], arm_notes = _grant(arm.resources, capacity)
        notes |= dict.fromkeys(arm_notes)
    return grant_by_arm, list(notes)


def _grant(resources: Resources, capacity: Capacity) -> tuple[Grant, list[str]]:
    notes = []
    cpus, gpus = resources.cpu, resources.gpu
    if cpus > capacity.cpus:
        notes.append(
            f"resources.cpu: {resources.cpu:g} asked for, {capacity.cpus:g} here: trials get {capacity.cpus:g}."
        )
        cpus = capacity.cpus
    if gpus > 0 and capacity.gpus == 0:
        if resources.require_gpu:
            raise UserError(
                f"resources.gpu: {resources.gpu:g} is required and Ray sees no GPU here; "
                "run where there is one, or set resources.require_gpu=false to train on the CPU"
            )
        notes.append("No GPU here: trials run on the CPU.")
        gpus = 0
    elif gpus > capacity.gpus:
        raise UserError(
            f"resources.gpu: {resources.gpu:g} asked for each trial, {capacity.gpus:g} here; set at most that"
        )
    return Grant(cpus, gpus), notes


def count_slots(grant_by_arm: dict[str, Grant], capacity: Capacity) -> int:
    """Return how many trials of the arm with the smallest grant can run at once."""
    return max(
        min(_count_shares(capacity.cpus, grant.cpus), _count_shares(capacity.gpus, grant.gpus))
        for grant in grant_by_arm.values()
    )


def _count_shares(total: float, share: float) -> int:
    # Fractions such as 0.1 are not exact in binary: 0.3 / 0.1 is 2.99….
    return math.floor(total / share + 1e-6) if share else 1_000_000


def find_busy_gpus() -> list[str]:
    """Return a warning for each card of this machine that has less than half of its memory free."""
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
                "holds the rest: trials there may run out of memory (CUDA_VISIBLE_DEVICES chooses other cards)."
            )
    return lines

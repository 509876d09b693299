"""What travels from the driver to a worker; the driver has no need of torch, so this module has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.plugins.loader import Split


@dataclass(frozen=True)
class TrialSpec:
    """All that a worker must know of a trial; plain values, since it travels through Ray.

    Attributes:
        id: tells the trial from any other that had its number.
        since: the first attempt whose epochs and checkpoints count.
        token: by which a worker knows that it sees the driver's disk.
        known: epochs that the driver knows of.
        splits: to be judged once more from the best checkpoint.
        renderings: settings of each rendering of it.
    """

    number: int
    folder: str
    home: str
    trainable: str
    trainable_folder: str
    components: tuple[str, ...]
    config: Mapping[str, Any]
    corpus: Mapping[str, Any] | None
    seed: int
    attempt: int
    objective: str
    mode: str
    clips: int
    media_epochs: tuple[int, ...]
    gpu: float
    threads: int
    id: str = ""
    token: str = ""
    since: int = 1
    known: int = 0
    minutes_per_epoch: float | None = None
    blowup: float | None = 10
    collapsed_epochs: int | None = 3
    splits: tuple[Split, ...] = ()
    renderings: tuple[Mapping[str, Any], ...] = ()

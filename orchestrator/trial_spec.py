"""What travels from the driver to a worker; the driver has no need of torch, so this module has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.loader import Split


@dataclass(frozen=True)
class TrialSpec:
    """All that a worker must know of a trial; plain values, since it travels through Ray."""

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
    minutes_per_epoch: float | None = None
    splits: tuple[Split, ...] = ()
    """Splits to judge once more from the best checkpoint."""

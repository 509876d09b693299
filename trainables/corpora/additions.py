"""The judges and metrics that a search space adds to those of its trainable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Additions:
    """What assesses trials beside the corpus judge.

    A corpus carries them, because trials and baselines are assessed with the same ones.

    Attributes:
        judges: the settings of each added judge; `name` is the one under which it is registered.
        metrics: the names of added metrics.
        augment: the names of the augmentations that the corpus judge of sounds is trained with beside its usual ones.
    """

    judges: tuple[Mapping[str, Any], ...] = ()
    metrics: tuple[str, ...] = ()
    augment: tuple[str, ...] = ()


NO_ADDITIONS = Additions()

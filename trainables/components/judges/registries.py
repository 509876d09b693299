"""The registry of augmentations; apart from the module that fills it, which imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.support.lazy_registry import LazyRegistry

if TYPE_CHECKING:
    from trainables.components.judges.batch import Augmentation


@dataclass(frozen=True)
class AugmentationTraits:
    """Nothing is checked but the name."""


AUGMENTATIONS: LazyRegistry[Augmentation, AugmentationTraits] = LazyRegistry(
    "augmentation", "trainables.components.judges.augmentations", "AUGMENTATIONS.register", AugmentationTraits
)

"""The registries of normalizations and phases; apart from the modules that fill them, which import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.components.representation.traits import NormalizationTraits, PhaseTraits
from trainables.support.lazy_registry import LazyRegistry

if TYPE_CHECKING:
    from trainables.components.representation.normalization import Normalization
    from trainables.components.representation.scene import Phase


NORMALIZATIONS: LazyRegistry[type[Normalization], NormalizationTraits] = LazyRegistry(
    "normalization",
    "trainables.components.representation.normalizations",
    "NORMALIZATIONS.register",
    NormalizationTraits,
)
PHASES: LazyRegistry[Phase, PhaseTraits] = LazyRegistry(
    "phase", "trainables.components.representation.phase_rendering", "register_phase", PhaseTraits
)

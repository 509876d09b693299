"""The registries of normalizations and phases; apart from the modules that fill them, which import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.support.lazy_registry import LazyRegistry

if TYPE_CHECKING:
    from trainables.components.representation.normalizations import Normalization
    from trainables.components.representation.phase_rendering import Phase


@dataclass(frozen=True)
class NormalizationTraits:
    """What settings are checked against; the attributes are those of `Normalization`."""

    num_statistics: int = 0
    is_bounded: bool = False
    needs_both: bool = False


@dataclass(frozen=True)
class PhaseTraits:
    """What settings are checked against; the attribute is that of `Phase`."""

    follows_magnitude: bool = False


NORMALIZATIONS: LazyRegistry[type[Normalization], NormalizationTraits] = LazyRegistry(
    "normalization",
    "trainables.components.representation.normalizations",
    "NORMALIZATIONS.register",
    NormalizationTraits,
)
PHASES: LazyRegistry[Phase, PhaseTraits] = LazyRegistry(
    "phase", "trainables.components.representation.phase_rendering", "register_phase", PhaseTraits
)

"""What settings are checked against without the normalizations and phases themselves, whose modules import torch."""

from __future__ import annotations

from dataclasses import dataclass


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

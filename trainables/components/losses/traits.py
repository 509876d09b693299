"""What settings are checked against without the losses and sigmas themselves, whose modules import torch."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.components.representation.channels import PhaseName

ANY_PHASE: tuple[PhaseName, ...] = ("instantaneous_frequency", "angle", "cos_sin")


@dataclass(frozen=True)
class LossTraits:
    """What settings are checked against; the attributes are those of `Loss`."""

    is_variational: bool = False
    has_sigma: bool = False
    is_quantized: bool = False
    in_nats: bool = False
    needs_linear_axis: bool = False


@dataclass(frozen=True)
class PhaseLossTraits:
    """What settings are checked against; the attribute is that of `PhaseLoss`."""

    takes: tuple[PhaseName, ...] = ANY_PHASE


@dataclass(frozen=True)
class SigmaTraits:
    """What the decoder's size depends on; the attribute is that of `Sigma`."""

    num_maps: int = 0

"""The registries of losses and sigmas; apart from the modules that fill them, which import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.components.representation.channels import PhaseName
from trainables.support.lazy_registry import LazyRegistry

if TYPE_CHECKING:
    from trainables.components.losses.phase_losses import PhaseLoss
    from trainables.components.losses.reconstruction import Loss
    from trainables.components.losses.sigmas import Sigma

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


LOSSES: LazyRegistry[Loss, LossTraits] = LazyRegistry(
    "loss", "trainables.components.losses.reconstruction", "register_loss", LossTraits
)
PHASE_LOSSES: LazyRegistry[PhaseLoss, PhaseLossTraits] = LazyRegistry(
    "phase loss", "trainables.components.losses.phase_losses", "register_phase_loss", PhaseLossTraits
)
SIGMAS: LazyRegistry[type[Sigma], SigmaTraits] = LazyRegistry(
    "sigma", "trainables.components.losses.sigmas", "SIGMAS.register", SigmaTraits
)

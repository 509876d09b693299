"""The registries of losses and sigmas; apart from the modules that fill them, which import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.components.losses.traits import LossTraits, PhaseLossTraits, SigmaTraits
from trainables.support.lazy_registry import LazyRegistry

if TYPE_CHECKING:
    from trainables.components.losses.base import Loss, PhaseLoss, Sigma

LOSSES: LazyRegistry[Loss, LossTraits] = LazyRegistry(
    "loss", "trainables.components.losses.reconstruction", "register_loss", LossTraits
)
PHASE_LOSSES: LazyRegistry[PhaseLoss, PhaseLossTraits] = LazyRegistry(
    "phase loss", "trainables.components.losses.phase_losses", "register_phase_loss", PhaseLossTraits
)
SIGMAS: LazyRegistry[type[Sigma], SigmaTraits] = LazyRegistry(
    "sigma", "trainables.components.losses.sigmas", "SIGMAS.register", SigmaTraits
)

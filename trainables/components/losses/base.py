"""What a loss of magnitudes, a loss of phases and a sigma are."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.losses.traits import LossTraits
from trainables.components.representation.channels import PhaseName
from trainables.components.shapes import Scalar

Batch = Float[Tensor, "clips *map"]
Phases = Float[Tensor, "clips channels frames bins"]
Reconstruction = Callable[..., Tensor]


class Loss:
    """A reconstruction loss, called as `loss(estimate, target)` or, if `has_sigma`, `loss(estimate, target, sigma)`.

    Attributes:
        reconstruction: the function.
        is_variational: whether the latent is a distribution, and `kl_divergence` is added to the loss.
        has_sigma: whether the loss is a likelihood, whose standard deviation the setting `sigma` chooses.
        is_quantized: whether the latent is quantized by codebooks, and their commitment loss is added to the loss.
        in_nats: whether the arguments are log-power in nats; else they are normalized.
        needs_linear_axis: whether the arguments' bins have to be equally spaced in Hz.
    """

    def __init__(self, reconstruction: Reconstruction, traits: LossTraits) -> None:
        functools.update_wrapper(self, reconstruction)
        self.reconstruction = reconstruction
        self.is_variational = traits.is_variational
        self.has_sigma = traits.has_sigma
        self.is_quantized = traits.is_quantized
        self.in_nats = traits.in_nats
        self.needs_linear_axis = traits.needs_linear_axis

    def __call__(self, estimate: Batch, target: Batch, *sigma: Float[Tensor, "*size"]) -> Scalar:
        """Return the loss, a mean over clips."""
        return self.reconstruction(estimate, target, *sigma)


@dataclass(frozen=True)
class PhaseLoss:
    """A loss of phases.

    Attributes:
        loss: the function, called as `loss(estimate, target)`.
        takes: the representations of phases that it can compare.
        in_own_units: whether its arguments are normalized phases; else they are in units of π, or cosine and sine.
    """

    loss: Callable[[Phases, Phases], Scalar]
    takes: tuple[PhaseName, ...]
    in_own_units: bool

    def __post_init__(self) -> None:
        # The registry refuses another module's part of the same name.
        object.__setattr__(self, "__module__", self.loss.__module__)


class Sigma(nn.Module, ABC):
    """A module that computes σ in units of the normalized data: one for all pixels, or one for each.

    Attributes:
        num_maps: the number of maps that the decoder returns for σ, beside the means.
        floor: is added to σ as its lower bound. Without it, the likelihood of values that can be predicted exactly is
            unbounded.
    """

    num_maps = 0

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.floor = floor

    @abstractmethod
    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Float[Tensor, "*size"]:
        """Return σ, given estimates, targets and, if `num_maps` is 1, the decoder's map for σ."""

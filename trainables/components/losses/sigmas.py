"""How far a VAE takes its targets to lie from its means: the standard deviation σ of the Gaussian likelihood.

σ decides how much a nat of error weighs against a nat of KL divergence. A new one is a class here, or in a file named
under `components:`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.support.registry import Registry

Batch = Float[Tensor, "clips *map"]


class Sigma(nn.Module, ABC):
    """Gives σ in units of the normalized data: one for all pixels, or one for each.

    Attributes:
        num_maps: what the decoder gives for each pixel beside its mean, for σ to be made of.
        floor: σ does not fall below it. Without it, the likelihood of what can be predicted perfectly has no bound.
    """

    num_maps = 0

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.floor = floor

    @abstractmethod
    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Float[Tensor, "*size"]:
        """σ, given what was estimated, what was meant, and the decoder's map for it where there is one."""


SIGMAS: Registry[type[Sigma]] = Registry("sigma")


@SIGMAS.register("optimal")
class Optimal(Sigma):
    """The one that makes the batch most likely: its root mean squared error (Rybkin, Daniilidis and Levine, 2021)."""

    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Float[Tensor, ""]:
        return self.floor + ((estimate - target).square().mean() + 1e-12).sqrt()


@SIGMAS.register("fixed")
class Fixed(Sigma):
    """1, the standard deviation of the normalized data: half the squared error, whose scale decides on the latent."""

    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Float[Tensor, ""]:
        return torch.ones((), device=target.device)


@SIGMAS.register("learned")
class Learned(Sigma):
    """One number that is trained with the weights (σ-VAE), from 1 on."""

    def __init__(self, floor: float) -> None:
        super().__init__(floor)
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Float[Tensor, ""]:
        return self.floor + self.log_sigma.exp()


@SIGMAS.register("per_pixel")
class PerPixel(Sigma):
    """One for every pixel of every clip, from the decoder, as the report had it; from about 1 on."""

    num_maps = 1

    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Batch:
        assert spread is not None
        # softplus(0.54) is 1; unlike an exponential it grows no faster than what it is given.
        return self.floor + F.softplus(spread + 0.54)

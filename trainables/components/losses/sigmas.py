"""The standard deviation σ of a VAE's Gaussian likelihood.

σ sets the weight of the reconstruction error relative to the KL divergence. To add a way to compute it, write a class
with `@SIGMAS.register` here, or in a file that `components:` names.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.losses.base import Batch, Sigma
from trainables.components.losses.registries import SIGMAS


@SIGMAS.register("optimal")
class Optimal(Sigma):
    """The maximum-likelihood σ of a batch: its root mean squared error (Rybkin, Daniilidis and Levine, 2021)."""

    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Float[Tensor, ""]:
        """Return the root mean squared error of the batch, plus the floor."""
        return self.floor + ((estimate - target).square().mean() + 1e-12).sqrt()


@SIGMAS.register("fixed")
class Fixed(Sigma):
    """A σ of 1, the standard deviation of the normalized data; the loss is then half the squared error."""

    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Float[Tensor, ""]:
        """Return 1."""
        return torch.ones((), device=target.device)


@SIGMAS.register("learned")
class Learned(Sigma):
    """A σ that is trained with the weights (σ-VAE), one for all pixels; it starts at 1."""

    def __init__(self, floor: float) -> None:
        super().__init__(floor)
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Float[Tensor, ""]:
        """Return the trained σ, plus the floor."""
        return self.floor + self.log_sigma.exp()


@SIGMAS.register("per_pixel")
class PerPixel(Sigma):
    """A σ for every pixel of every clip, from the decoder, as in the report; it starts at about 1."""

    num_maps = 1

    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Batch:
        """Return a map of σ, the softplus of the decoder's map, plus the floor."""
        assert spread is not None
        # softplus(0.54) is 1. For large values softplus grows linearly, unlike an exponential.
        return self.floor + F.softplus(spread + 0.54)

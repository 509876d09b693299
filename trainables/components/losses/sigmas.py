"""The standard deviation σ of a VAE's Gaussian likelihood.

σ sets the weight of the reconstruction error relative to the KL divergence. To add a way to compute it, write a class
with `@SIGMAS.register` here, or in a file that `components:` names.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.losses.base import Batch, Sigma
from trainables.components.losses.registries import SIGMAS

DECAY = 0.99
"""The decay in a step of the average error of training."""
WARM_UP_STEPS = 10
"""In about so many first steps the average decays faster, so that errors of untrained weights are soon forgotten."""


@SIGMAS.register("optimal")
class Optimal(Sigma):
    """The root mean squared error of a training batch plus the floor; in evaluation, that of recent training batches.

    The root mean squared error alone is the maximum-likelihood σ (Rybkin, Daniilidis and Levine, 2021). Adding the
    floor bounds it smoothly from below, for which they use a softclip. A σ that was fitted to the clips that are scored
    would give no bound on their likelihood, and would depend on how many are in a batch.
    """

    mean_square: Tensor
    num_steps: Tensor

    def __init__(self, floor: float) -> None:
        super().__init__(floor)
        # A moving average over training steps of the mean squared error. Before the first, it is the data's variance.
        self.register_buffer("mean_square", torch.ones(()))
        self.register_buffer("num_steps", torch.zeros(()))

    def forward(self, estimate: Batch, target: Batch, spread: Batch | None) -> Float[Tensor, ""]:
        """Return the root mean squared error of the batch or of training, plus the floor."""
        mean_square = self.mean_square
        if self.training:
            mean_square = (estimate - target).square().mean()
            self._follow(mean_square.detach())
        return self.floor + (mean_square + 1e-12).sqrt()

    @torch.no_grad()
    def _follow(self, mean_square: Float[Tensor, ""]) -> None:
        """Move the average towards the error of a batch."""
        self.num_steps += 1
        decay = (self.num_steps / (self.num_steps + WARM_UP_STEPS)).clamp(max=DECAY)
        self.mean_square.copy_(decay * self.mean_square + (1 - decay) * mean_square)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        """Load a state; those of earlier versions have no average, which training goes on to compute."""
        for name, buffer in self.named_buffers():
            state_dict.setdefault(prefix + name, buffer)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


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

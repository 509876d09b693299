"""A conditional flow-matching prior of latents: a network that moves noise to latents along straight lines.

Flow matching (Lipman et al., 2023) on straight paths (rectified flow; Liu et al., 2023): noise x₀ and a latent x₁ are
joined by x_t = (1 − t) x₀ + t x₁, and the network learns E[x₁ − x₀ | x_t, condition]. Sampling integrates that velocity
from noise. One step returns the mean of the latents under the condition; several steps return samples.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from trainables.components.flow.velocity import Conditions, Velocity
from trainables.components.shapes import Latents, Scalar
from trainables.components.training.averaging import update_average

DROPPED_SHARE = 0.1
"""Share of conditions that training leaves out, which guidance needs (Ho and Salimans, 2022)."""
WARM_UP_STEPS = 10
"""In about so many first steps the average decays faster, so that the untrained weights are soon forgotten."""


class LatentFlow(nn.Module):
    """Generates latents in units of their standard deviation from noise and conditions.

    Attributes:
        network: the velocity network with its current weights, for training.
        averaged: the same with weights averaged over steps, for everything else.

    Args:
        make_network: returns a velocity network with new weights.
    """

    def __init__(self, make_network: Callable[[], Velocity]) -> None:
        super().__init__()
        self.network, self.averaged = make_network(), make_network()
        self.latent_dim = self.network.latent_dim
        self.averaged.load_state_dict(self.network.state_dict())
        self.averaged.requires_grad_(False)

    def training_loss(self, latents: Latents, conditions: Conditions, generator: torch.Generator) -> Scalar:
        """Return the loss of the current weights, with some conditions left out; noise and times are drawn anew."""
        is_dropped = torch.rand(len(latents), generator=generator) < DROPPED_SHARE
        return _loss(self.network, latents, conditions, is_dropped, generator)

    @torch.no_grad()
    def validation_loss(self, latents: Latents, conditions: Conditions) -> float:
        """Return the loss of the averaged weights, always for the same noise and times."""
        generator = torch.Generator().manual_seed(0)
        is_dropped = torch.zeros(len(latents), dtype=torch.bool)
        return _loss(self.averaged, latents, conditions, is_dropped, generator).item()

    def update_averaged(self, num_steps: int, decay: float) -> None:
        """Update the averaged weights after the step of this number, counted from 1."""
        update_average(self.averaged, self.network, min(decay, num_steps / (num_steps + WARM_UP_STEPS)))

    @torch.no_grad()
    def sample(
        self,
        conditions: Conditions,
        generator: torch.Generator,
        *,
        num_steps: int,
        guidance: float,
        truncation: float = 1.0,
    ) -> Latents:
        """Generate a latent for each condition, by Euler's method.

        Args:
            conditions: one for each latent.
            generator: on the CPU; its state decides which latents are generated.
            num_steps: number of steps, each of which evaluates the network.
            guidance: w in v = v(∅) + w · (v(condition) − v(∅)) (Ho and Salimans, 2022): at 1 the condition alone, which
                costs half as much; at 0 none; above 1 the condition counts more, and samples are less diverse.
            truncation: standard deviation of the noise; at 0 all samples of a condition are the same.
        """
        device = conditions.device
        latents = truncation * torch.randn(len(conditions), self.latent_dim, generator=generator).to(device)
        none, every = (torch.full((len(conditions),), value, device=device) for value in (False, True))
        for step in range(num_steps):
            times = torch.full((len(conditions),), step / num_steps, device=device)
            velocity = self.averaged(latents, times, conditions, none)
            if guidance != 1:
                unconditional = self.averaged(latents, times, conditions, every)
                velocity = unconditional + guidance * (velocity - unconditional)
            latents = latents + velocity / num_steps
        return latents


def _loss(
    network: nn.Module,
    latents: Latents,
    conditions: Conditions,
    is_dropped: torch.Tensor,
    generator: torch.Generator,
) -> Scalar:
    """Return the mean squared error of a network's velocities, at times and noise from a generator on the CPU."""
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    times = torch.rand(len(latents), generator=generator).to(latents.device)
    noisy = noise.lerp(latents, times[:, None])
    velocity = network(noisy, times, conditions, is_dropped.to(latents.device))
    return F.mse_loss(velocity, latents - noise)

"""The networks of flows: a velocity for a noisy latent, a time and a condition."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trainables.components.flow.weights import EXPANSION, TIME_DIM
from trainables.components.shapes import Latents

FASTEST = 100.0
"""Angular frequency of the fastest sine of the time, which runs from 0 to 1; the slowest has 1."""

Conditions = Float[Tensor, "clips condition"]
Times = Float[Tensor, " clips"]
Hidden = Float[Tensor, "clips hidden"]
Style = Hidden
"""What scales and shifts hidden units: made of the time and the condition."""


class Velocity(nn.Module, ABC):
    """A network that predicts the velocity of latents of a size."""

    latent_dim: int
    frequencies: Tensor

    def _add_style(self, condition_dim: int, width: int) -> None:
        """Add the layers of `_make_style`, for conditions of a size and so many units."""
        exponents = torch.arange(TIME_DIM // 2) / (TIME_DIM // 2 - 1)
        self.register_buffer("frequencies", torch.exp(exponents * math.log(FASTEST)), persistent=False)
        self.no_condition = nn.Parameter(torch.zeros(condition_dim))
        self.time = nn.Linear(TIME_DIM, width)
        self.condition = nn.Linear(condition_dim, width)

    def _make_style(self, times: Times, conditions: Conditions, is_unconditional: Bool[Tensor, " clips"]) -> Style:
        conditions = torch.where(is_unconditional[:, None], self.no_condition, conditions)
        angles = times[:, None] * self.frequencies
        return F.silu(self.time(torch.cat([angles.sin(), angles.cos()], dim=1)) + self.condition(conditions))

    @abstractmethod
    def forward(
        self, latents: Latents, times: Times, conditions: Conditions, is_unconditional: Bool[Tensor, " clips"]
    ) -> Latents:
        """Return the velocity of each latent.

        Args:
            latents: noisy ones, in units of their standard deviation.
            times: from 0 (noise) to 1 (data).
            conditions: one for each latent.
            is_unconditional: where a learnt vector replaces the condition.
        """


class VelocityNetwork(Velocity):
    """Predicts the velocity of latents: residual layers, scaled and shifted by the time and the condition.

    The last layer of each block and of the network starts at 0, so that the first velocity is 0 everywhere.

    Args:
        latent_dim: size of a latent.
        condition_dim: size of a condition.
        width: hidden units.
        num_blocks: number of residual blocks.
    """

    def __init__(self, latent_dim: int, condition_dim: int, *, width: int, num_blocks: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.first = nn.Linear(latent_dim, width)
        self._add_style(condition_dim, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(num_blocks))
        self.last = nn.Linear(width, latent_dim)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(
        self, latents: Latents, times: Times, conditions: Conditions, is_unconditional: Bool[Tensor, " clips"]
    ) -> Latents:
        """Return the velocity of each latent."""
        style = self._make_style(times, conditions, is_unconditional)
        hidden = self.first(latents)
        for block in self.blocks:
            hidden = block(hidden, style)
        velocity: Latents = self.last(_normalize(hidden))
        return velocity


class _Block(nn.Module):
    """A residual block, whose input is normalized, and then scaled and shifted by the style (Perez et al., 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 2 * width)
        self.widen = nn.Linear(width, EXPANSION * width)
        self.narrow = nn.Linear(EXPANSION * width, width)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, hidden: Hidden, style: Hidden) -> Hidden:
        scale, shift = self.modulation(style).chunk(2, dim=1)
        modulated = _normalize(hidden) * (1 + scale) + shift
        changed: Hidden = hidden + self.narrow(F.silu(self.widen(modulated)))
        return changed


def _normalize(hidden: Hidden) -> Hidden:
    return F.layer_norm(hidden, hidden.shape[1:])

"""A network of a flow whose latents are small maps: convolutions at their resolution and at half of it.

Objects may be anywhere in a picture, so that a network with the same weights everywhere needs fewer examples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trainables.components.flow.velocity import Conditions, Style, Times, Velocity
from trainables.components.shapes import Latents

GROUPS = 8

Maps = Float[Tensor, "clips channels rows columns"]


class MapVelocityNetwork(Velocity):
    """Predicts the velocity of latents that are maps, from the time and the condition.

    Blocks at full resolution, blocks at half of it with a layer that connects all places, and blocks at full resolution
    again, which get both. The last layer of each block and of the network starts at 0, so that the first velocity is 0.

    Args:
        channels: maps of a latent.
        side: their rows, and their columns; even.
        condition_dim: size of a condition.
        width: channels between the blocks, a multiple of 8.
        num_blocks: number of residual blocks at each of the three stages.
    """

    def __init__(self, channels: int, side: int, condition_dim: int, *, width: int, num_blocks: int) -> None:
        super().__init__()
        self.shape = (channels, side, side)
        half = side // 2
        self.latent_dim = channels * side**2
        self._add_style(condition_dim, width)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        # What is where: convolutions alone could tell places apart at the edges only.
        self.places = nn.Parameter(torch.zeros(width, side, side))
        self.before = nn.ModuleList(_Block(width) for _ in range(num_blocks))
        self.shrink = nn.Conv2d(width, width, 2, stride=2)
        self.half_places = nn.Parameter(torch.zeros(width, half, half))
        self.between = nn.ModuleList(_Block(width) for _ in range(num_blocks))
        self.everywhere = nn.Linear(width * half**2, width * half**2)
        self.enlarge = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.after = nn.ModuleList(_Block(width) for _ in range(num_blocks))
        self.last = nn.Conv2d(width, channels, 3, padding=1)
        for parameter in (*self.everywhere.parameters(), *self.last.parameters()):
            nn.init.zeros_(parameter)

    def forward(
        self, latents: Latents, times: Times, conditions: Conditions, is_unconditional: Bool[Tensor, " clips"]
    ) -> Latents:
        """Return the velocity of each latent."""
        style = self._make_style(times, conditions, is_unconditional)
        maps = self.first(latents.unflatten(1, self.shape)) + self.places
        for block in self.before:
            maps = block(maps, style)
        halved = self.shrink(maps) + self.half_places
        for block in self.between:
            halved = block(halved, style)
        halved = halved + self.everywhere(F.silu(halved).flatten(1)).view_as(halved)
        maps = maps + self.enlarge(halved)
        for block in self.after:
            maps = block(maps, style)
        velocity: Latents = self.last(F.silu(maps)).flatten(1)
        return velocity


class _Block(nn.Module):
    """A residual block of two convolutions, whose input is normalized, and then scaled and shifted by the style."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 2 * width)
        self.normalize = nn.GroupNorm(GROUPS, width, affine=False)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.normalize_again = nn.GroupNorm(GROUPS, width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Maps, style: Style) -> Maps:
        scale, shift = self.modulation(style)[:, :, None, None].chunk(2, dim=1)
        modulated = F.silu(self.normalize(maps) * (1 + scale) + shift)
        changed: Maps = maps + self.second(F.silu(self.normalize_again(self.first(modulated))))
        return changed

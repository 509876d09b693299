"""Layers next to the latent that replace or follow plain convolutions: spectral normalization, and attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from trainables.components.networks.weights import MAX_HEADS
from trainables.components.shapes import Clips


class SpectralLayer(nn.Module):
    """A convolution whose matrix has a spectral norm of 1, times a gain that is trained: x ↦ γ W x / σ(W) + b.

    The spectral norm is computed by power iteration (Miyato et al., 2018); the gain is that of Zhai et al. (2023), so
    that the layer can start at 0 and still has a matrix to normalize. Weight decay bounds the gain.

    Args:
        layer: a convolution or a transposed convolution, with its initial weights.
        gain: the initial γ. The matrix starts with orthogonal rows or columns, all of the same length.
    """

    def __init__(self, layer: nn.Conv2d | nn.ConvTranspose2d, gain: float) -> None:
        super().__init__()
        assert layer.bias is not None
        self.bias = nn.Parameter(layer.bias.detach().clone())
        # As a matrix, so that weight decay, which leaves vectors out, counts it in.
        self.gain = nn.Parameter(torch.full((1, 1), gain))
        layer.bias = None
        dim = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        self.layer = spectral_norm(layer, dim=dim)

    def forward(self, maps: Clips) -> Tensor:
        """Return γ W x / σ(W) + b."""
        outputs: Tensor = self.gain * self.layer(maps) + self.bias[:, None, None]
        return outputs


class MapAttention(nn.Module):
    """Self-attention between the positions of the lowest map, added to it (Zhang et al., 2019); it starts at 0.

    Convolutions of 3x3 on that map see neighbours only, so that events that are far apart, or harmonics, can't share
    latents before the last layer.

    Args:
        channels: the channels of the map.
        shape: its frames and bins.
    """

    def __init__(self, channels: int, shape: tuple[int, int]) -> None:
        super().__init__()
        self.num_heads = math.gcd(channels, MAX_HEADS)
        self.norm = nn.LayerNorm(channels)
        self.positions = nn.Parameter(0.02 * torch.randn(math.prod(shape), channels))
        self.inputs = nn.Linear(channels, 3 * channels)
        self.output = nn.Linear(channels, channels)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, maps: Clips) -> Clips:
        """Return the map plus what its positions attend to."""
        tokens = maps.flatten(2).transpose(1, 2)
        projected = self.inputs(self.norm(tokens) + self.positions)
        heads = projected.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*heads.unbind(0)).transpose(1, 2).flatten(2)
        added: Clips = maps + self.output(attended).transpose(1, 2).unflatten(2, maps.shape[2:])
        return added

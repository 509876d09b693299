"""The residual block of backbones and judges."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Maps = Float[Tensor, "clips channels frames bands"]


class ResidualBlock(nn.Module):
    """A residual block that halves the map: two 3x3 convolutions, beside a 1x1 convolution."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv_norm(in_channels, channels, 3, stride=2), nn.SiLU(), conv_norm(channels, channels, 3)
        )
        self.skip = nn.Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, maps: Maps) -> Float[Tensor, "clips channels2 frames2 bands2"]:
        """Return maps of half the height and width."""
        # Slicing does the same as a stride of 2. Without AVX-512, oneDNN's gradient of a strided 1x1 convolution of
        # fewer than 8 channels writes past its buffer (docs/known_problems.md).
        return F.silu(self.skip(maps[:, :, ::2, ::2]) + self.branch(maps))


def conv_norm(in_channels: int, channels: int, size: int, *, stride: int = 1) -> nn.Sequential:
    """Return a convolution with "same" padding and without bias, followed by batch normalization."""
    conv = nn.Conv2d(in_channels, channels, size, stride=stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))

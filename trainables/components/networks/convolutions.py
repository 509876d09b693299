"""The convolutional encoder and decoder of the report, changed to train at any width.

The encoder halves the map, level by level, from the spectrogram to 3 frames x 8 bins (a longer clip has more frames);
the decoder doubles it. A level has two residual blocks. Differences from the report:

- Group instead of batch normalization, whose statistics at small batches let a VAE diverge. There is none next to the
  latent, where it would remove a clip's level.
- Residual branches start at zero. The untrained network is linear and orthogonal, so that every latent carries
  information.
- 2x2 convolutions halve the map; average pooling is a special case of them. With average pooling alone, an untrained
  encoder's output depends on 24 averages only, and a short training does not change that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.networks.latent_layers import MapAttention, SpectralLayer
from trainables.components.networks.weights import BOTTOM, BottleneckName, NormName, level_channels
from trainables.components.shapes import Latents

HEAD_GAIN = 0.1
"""The gain of the decoder's last layer: small, so that the output starts near the mean, but gradients pass."""

Clips = Float[Tensor, "clips maps frames bins"]
Maps = Float[Tensor, "clips channels frames bins"]
NextMaps = Float[Tensor, "clips channels2 frames2 bins2"]


def norm(kind: NormName, channels: int, *, gain: float = 1.0) -> nn.GroupNorm | nn.BatchNorm2d:
    """Return a normalization layer: batch, or group with up to eight groups of four channels or more.

    Args:
        kind: the normalization.
        channels: the number of channels; with fewer than eight there is one group.
        gain: the initial scale.
    """
    layer: nn.GroupNorm | nn.BatchNorm2d
    if kind == "batch":
        layer = nn.BatchNorm2d(channels)
    else:
        layer = nn.GroupNorm(math.gcd(channels, max(1, min(8, channels // 4))), channels)
    nn.init.constant_(layer.weight, gain)
    return layer


def conv(
    in_channels: int,
    channels: int,
    size: int | tuple[int, int],
    *,
    stride: int = 1,
    padding: int = 0,
    gain: float = 1.0,
) -> nn.Conv2d:
    """Return a convolution whose orthogonal initial weights multiply the variance of its input by gain squared."""
    layer = nn.Conv2d(in_channels, channels, size, stride=stride, padding=padding)
    num_inputs = layer.weight[0].numel()
    nn.init.orthogonal_(layer.weight, gain * max(1.0, math.sqrt(channels / num_inputs)))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def transposed_conv(
    in_channels: int, channels: int, size: int | tuple[int, int], *, stride: int = 1, padding: int = 0
) -> nn.ConvTranspose2d:
    """Return a transposed convolution whose orthogonal initial weights keep the variance of its input."""
    layer = nn.ConvTranspose2d(in_channels, channels, size, stride=stride, padding=padding)
    num_outputs = layer.weight[0].numel()
    # Where the kernel is larger than the stride, several inputs contribute to an output.
    num_inputs = in_channels * (num_outputs / channels / stride**2 if stride > 1 else 1)
    nn.init.orthogonal_(layer.weight, math.sqrt(max(in_channels, num_outputs) / num_inputs))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class EncoderBlock(nn.Module):
    """A 1x1 or, to halve the map, 2x2 convolution, and two residual branches: norm, 3x3 convolution, leaky ReLU.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        halve: whether the map is halved.
        slope: the negative slope of the leaky ReLUs.
        kind: the normalization.
    """

    def __init__(self, in_channels: int, channels: int, *, halve: bool, slope: float, kind: NormName) -> None:
        super().__init__()
        size = 2 if halve else 1
        self.project = conv(in_channels, channels, size, stride=size)
        self.branches = nn.ModuleList(
            nn.Sequential(norm(kind, channels), conv(channels, channels, 3, padding=1, gain=0.0), nn.LeakyReLU(slope))
            for _ in range(2)
        )

    def forward(self, x: Maps) -> NextMaps:
        """Return maps of the same or of half the size."""
        x = self.project(x)
        for branch in self.branches:
            x = x + branch(x)
        return x


class DecoderBlock(nn.Module):
    """A 1x1 convolution, two residual branches (3x3 convolution, leaky ReLU, norm), and a transposed convolution.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        up: whether the transposed convolution, which doubles the map, is there.
        slope: the negative slope of the leaky ReLUs.
        kind: the normalization.
    """

    def __init__(self, in_channels: int, channels: int, *, up: bool, slope: float, kind: NormName) -> None:
        super().__init__()
        self.project = conv(in_channels, channels, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(conv(channels, channels, 3, padding=1), nn.LeakyReLU(slope), norm(kind, channels, gain=0.0))
            for _ in range(2)
        )
        self.up = transposed_conv(channels, channels, 4, stride=2, padding=1) if up else nn.Identity()

    def forward(self, x: Maps) -> NextMaps:
        """Return maps of the same or of twice the size."""
        x = self.project(x)
        for branch in self.branches:
            x = x + branch(x)
        up: NextMaps = self.up(x)
        return up


class Encoder(nn.Module):
    """A network from clips of `num_maps` channels to `num_outputs` numbers each.

    Args:
        frames: frames of a clip.
        num_outputs: numbers a clip.
        width: channels of the lowest two levels.
        slope: the negative slope of the leaky ReLUs.
        kind: the normalization.
        gain: the gain of the last layer's initial weights.
        num_maps: channels of a clip.
        bottleneck: the layers next to the latent.
        bottom_frames: frames of the lowest map; those of a clip divided by a power of two.
    """

    def __init__(
        self,
        frames: int,
        num_outputs: int,
        *,
        width: int,
        slope: float,
        kind: NormName,
        gain: float = 1.0,
        num_maps: int = 1,
        bottleneck: BottleneckName = "plain",
        bottom_frames: int = BOTTOM[0],
    ) -> None:
        super().__init__()
        channels, bottom = level_channels(width, frames, bottom_frames), (bottom_frames, BOTTOM[1])
        self.stem = conv(num_maps, channels[0], 1)
        blocks = []
        for above, below in pairwise(channels):
            blocks.append(EncoderBlock(above, below, halve=True, slope=slope, kind=kind))
            blocks.append(EncoderBlock(below, below, halve=False, slope=slope, kind=kind))
        self.blocks = nn.Sequential(*blocks)
        self.mix = MapAttention(channels[-1], bottom) if bottleneck == "attention" else nn.Identity()
        self.end: nn.Conv2d | SpectralLayer
        if bottleneck == "spectral_norm":
            self.end = SpectralLayer(conv(channels[-1], num_outputs, bottom), gain)
        else:
            self.end = conv(channels[-1], num_outputs, bottom, gain=gain)

    def forward(self, clips: Clips) -> Latents:
        """Return the outputs of each clip."""
        latents: Latents = self.end(self.mix(self.blocks(self.stem(clips)))).flatten(1)
        return latents


class Decoder(nn.Module):
    """A network from latents to `num_maps` maps of a spectrogram's size.

    Args:
        frames: frames of a spectrogram.
        num_latents: latents a clip.
        width: channels of the lowest two levels.
        slope: the negative slope of the leaky ReLUs.
        kind: the normalization.
        means: the initial biases of the first maps; those of the others are 0.
        gain: the gain of the last layer's initial weights.
        num_maps: maps a clip.
        bottleneck: the layers next to the latent.
        bottom_frames: frames of the lowest map; those of a clip divided by a power of two.
    """

    def __init__(
        self,
        frames: int,
        num_latents: int,
        *,
        width: int,
        slope: float,
        kind: NormName,
        means: Sequence[float],
        gain: float = HEAD_GAIN,
        num_maps: int = 1,
        bottleneck: BottleneckName = "plain",
        bottom_frames: int = BOTTOM[0],
    ) -> None:
        super().__init__()
        channels, bottom = level_channels(width, frames, bottom_frames)[::-1], (bottom_frames, BOTTOM[1])
        start = transposed_conv(num_latents, channels[0], bottom)
        self.start = SpectralLayer(start, 1.0) if bottleneck == "spectral_norm" else start
        self.mix = MapAttention(channels[0], bottom) if bottleneck == "attention" else nn.Identity()
        blocks = []
        for below, above in pairwise(channels):
            blocks.append(DecoderBlock(below, below, up=False, slope=slope, kind=kind))
            blocks.append(DecoderBlock(below, above, up=True, slope=slope, kind=kind))
        self.blocks = nn.Sequential(*blocks)
        self.head = conv(channels[-1], num_maps, 1, gain=gain)
        assert self.head.bias is not None
        with torch.no_grad():
            self.head.bias[: len(means)] = torch.tensor(means)

    def forward(self, latents: Latents) -> Maps:
        """Return the maps of each clip."""
        maps: Maps = self.head(self.blocks(self.mix(self.start(latents[:, :, None, None]))))
        return maps

"""The two networks that play against each other over pictures, and the rules of their game.

The generator makes a picture of noise and a condition: 4x4 maps, made twice as large again and again, in which both say
how each channel is scaled and moved (conditional batch normalization, of the noise too; Brock et al., 2019). The
discriminator tells real from made, given the same condition: residual blocks under spectral normalization (Miyato et
al., 2018), and a projection of the condition on what they see (Miyato and Koyama, 2018).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from trainables.components.pictures.augmentation import Pictures

FIRST_PX = 4
WIDTHS = {4: 4.0, 8: 4.0, 16: 2.0, 32: 1.0, 64: 0.5}
"""Channels of the generator's maps by their side, in units of its width: each size costs about the same."""
TOLD_DIM = 64
SLOPE = 0.2
LEAST_CHANGE = 0.02
"""Of a value within ±1: pictures that are nearer each other are as good as the same."""

Noise = Float[Tensor, "pictures noise"]
Told = Float[Tensor, "pictures told"]
Scores = Float[Tensor, " pictures"]
Seen = Float[Tensor, "pictures features"]
Maps = Float[Tensor, "pictures channels rows columns"]
Style = Float[Tensor, "pictures style"]
Scalar = Float[Tensor, ""]


class Modulated(nn.Module):
    """Batch normalization whose scale and offset the style decides; then a leaky ReLU."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Linear(style_dim, channels)
        self.offset = nn.Linear(style_dim, channels)
        for layer in (self.scale, self.offset):
            nn.init.normal_(layer.weight, std=0.5 / style_dim**0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Maps, style: Style) -> Maps:
        scale, offset = (layer(style)[:, :, None, None] for layer in (self.scale, self.offset))
        return F.leaky_relu(torch.addcmul(offset, self.normalize(maps), 1 + scale), SLOPE)


class UpBlock(nn.Module):
    """Twice as large: a convolution of enlarged maps beside a 1x1 one."""

    def __init__(self, in_channels: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.modulated = Modulated(in_channels, style_dim)
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, maps: Maps, style: Style) -> Float[Tensor, "pictures channels2 rows2 columns2"]:
        enlarged: Maps = self.conv(_enlarged(self.modulated(maps, style))) + _smooth(self.skip(maps))
        return enlarged


class Generator(nn.Module):
    """Noise and a condition to pictures within ±1."""

    def __init__(self, told_dim: int, *, noise_dim: int, width: int, image_size: int) -> None:
        super().__init__()
        channels = [int(width * share) for side, share in WIDTHS.items() if side <= image_size]
        style_dim = noise_dim + TOLD_DIM
        self.noise_dim = noise_dim
        self.told = nn.Linear(told_dim, TOLD_DIM)
        self.first = nn.Linear(style_dim, channels[0] * FIRST_PX**2)
        self.blocks = nn.ModuleList(UpBlock(above, below, style_dim) for above, below in pairwise(channels))
        self.last = Modulated(channels[-1], style_dim)
        self.colours = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, noise: Noise, condition: Told) -> Pictures:
        style = torch.cat([noise, self.told(condition)], dim=1)
        maps = self.first(style).unflatten(1, (-1, FIRST_PX, FIRST_PX))
        for block in self.blocks:
            maps = block(maps, style)
        return torch.tanh(self.colours(self.last(maps, style)))


class DownBlock(nn.Module):
    """Half as large: two convolutions beside a 1x1 one."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(in_channels, channels, 3, stride=2, padding=1))
        self.second = spectral_norm(nn.Conv2d(channels, channels, 3, padding=1))
        self.skip = spectral_norm(nn.Conv2d(in_channels, channels, 1, bias=False))

    def forward(self, maps: Maps) -> Float[Tensor, "pictures channels2 rows2 columns2"]:
        branch = self.second(F.leaky_relu(self.first(F.leaky_relu(maps, SLOPE)), SLOPE))
        halved: Maps = self.skip(F.avg_pool2d(maps, 2)) + branch
        return halved


class Discriminator(nn.Module):
    """How real pictures look beside a condition, above 0 for real ones."""

    def __init__(self, told_dim: int, *, width: int, image_size: int) -> None:
        super().__init__()
        # The first convolution halves the picture, each block what is left, down to 4x4.
        shares = (1, 2, 4, 4)[: (image_size // FIRST_PX).bit_length() - 1]
        channels = [width * share for share in shares]
        self.stem = spectral_norm(nn.Conv2d(3, channels[0], 4, stride=2, padding=1))
        self.blocks = nn.Sequential(*(DownBlock(above, below) for above, below in pairwise(channels)))
        self.realness = spectral_norm(nn.Linear(channels[-1], 1))
        self.projection = spectral_norm(nn.Linear(told_dim, channels[-1], bias=False))

    def see(self, pictures: Pictures) -> Seen:
        """What is told of pictures before anything is known of their condition."""
        maps = F.leaky_relu(self.blocks(self.stem(pictures)), SLOPE)
        return maps.sum(dim=(2, 3))

    def score(self, features: Seen, condition: Told) -> Scores:
        """How real what was seen is beside a condition."""
        scores: Scores = self.realness(features)[:, 0] + (self.projection(condition) * features).sum(dim=1)
        return scores

    def forward(self, pictures: Pictures, condition: Told) -> Scores:
        return self.score(self.see(pictures), condition)


def discriminator_loss(
    real: Scores, generated: Scores, mismatched: Float[Tensor, " others"], mismatch_weight: float
) -> Scalar:
    """The hinge loss: 2 where nothing can be told, 0 where all is told surely (Lim and Ye, 2017).

    Real pictures beside the condition of another clip, if there are any, count as made ones (Reed et al., 2016).
    """
    wrong = F.relu(1 + generated).mean()
    if len(mismatched) and mismatch_weight > 0:
        wrong = (wrong + mismatch_weight * F.relu(1 + mismatched).mean()) / (1 + mismatch_weight)
    return F.relu(1 - real).mean() + wrong


def generator_loss(scores: Scores) -> Scalar:
    """Its part of the hinge loss: as real as can be."""
    return -scores.mean()


def sameness(noise: Noise, pictures: Pictures) -> Scalar:
    """How much further apart the noise is than what is made of it, where both halves of a batch have the same
    conditions: a generator that ignores its noise, as those with a condition like to, loses (Mao et al., 2019)."""
    count = len(pictures) // 2
    (one, other), (first, second) = ((batch[:count], batch[-count:]) for batch in (noise, pictures))
    between = (first - second).abs().mean(dim=(1, 2, 3))
    return ((one - other).abs().mean(dim=1) / (between + LEAST_CHANGE)).mean()


def gradient_penalty(discriminator: Discriminator, pictures: Pictures, condition: Told) -> Scalar:
    """R1: half the squared gradient of the scores of real pictures, mean over them (Mescheder et al., 2018)."""
    pictures = pictures.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(pictures, condition).sum(), pictures, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() / 2


@torch.no_grad()
def follow(averaged: nn.Module, trained: nn.Module, decay: float) -> None:
    """Move an average of weights and of running statistics towards those of now."""
    pairs = zip(averaged.state_dict().values(), trained.state_dict().values(), strict=True)
    for mean, now in pairs:
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)


def _enlarged(maps: Maps) -> Float[Tensor, "pictures channels rows2 columns2"]:
    return F.interpolate(maps, scale_factor=2.0, mode="nearest")


def _smooth(maps: Maps) -> Float[Tensor, "pictures channels rows2 columns2"]:
    """Enlarged without edges: those of 4x4 maps would be seen in the picture."""
    rows, columns = (_doubling(side, maps.device) for side in maps.shape[2:])
    return rows @ maps @ columns.T


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _doubling(side: int, device: torch.device) -> Float[Tensor, "side2 side"]:
    """Bilinear interpolation as a matrix: a card adds the gradient of the function itself in any order, so that no two
    trainings would be the same."""
    eye = torch.eye(side)[None]
    return F.interpolate(eye, scale_factor=2.0, mode="linear", align_corners=False)[0].T.to(device)

"""The generator and the discriminator of a conditional GAN for pictures, and their losses.

The generator turns noise and a condition into a picture: maps of 4x4, which blocks double up to the picture's size.
Noise and condition scale and shift each channel (conditional batch normalization; Brock et al., 2019). The
discriminator separates real from generated pictures, given the same condition: residual blocks under spectral
normalization (Miyato et al., 2018), and a projection of the condition on their features (Miyato and Koyama, 2018).
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
from trainables.components.shapes import Scalar
from trainables.sound_to_image.weights import EMBEDDED_DIM, FIRST_PX, discriminator_channels, generator_channels

SLOPE = 0.2
LEAST_CHANGE = 0.02
"""Added to the distance between pictures (within −1..1) in `sameness`, so that the ratio is bounded."""

Noise = Float[Tensor, "pictures noise"]
Conditions = Float[Tensor, "pictures condition"]
Scores = Float[Tensor, " pictures"]
Features = Float[Tensor, "pictures features"]
Maps = Float[Tensor, "pictures channels rows columns"]
Style = Float[Tensor, "pictures style"]


class ConditionalNorm(nn.Module):
    """Batch normalization with scale and offset predicted from the style (noise and condition); then a leaky ReLU."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Linear(style_dim, channels)
        self.offset = nn.Linear(style_dim, channels)
        for layer in (self.scale, self.offset):
            nn.init.normal_(layer.weight, std=0.5 / style_dim**0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Maps, style: Style) -> Maps:
        """Normalize, scale and shift maps."""
        scale, offset = (layer(style)[:, :, None, None] for layer in (self.scale, self.offset))
        return F.leaky_relu(torch.addcmul(offset, self.normalize(maps), 1 + scale), SLOPE)


class UpBlock(nn.Module):
    """Doubles the maps' sides: a residual block with a convolution, and a 1x1 convolution as its skip path."""

    def __init__(self, in_channels: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.modulated = ConditionalNorm(in_channels, style_dim)
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, maps: Maps, style: Style) -> Float[Tensor, "pictures channels2 rows2 columns2"]:
        """Return maps of twice the rows and columns."""
        doubled: Maps = self.conv(_repeat(self.modulated(maps, style))) + _interpolate(self.skip(maps))
        return doubled


class Generator(nn.Module):
    """Generates pictures within −1..1 from noise and a condition."""

    def __init__(self, condition_dim: int, *, noise_dim: int, width: int, image_size: int) -> None:
        """Build the generator.

        Args:
            condition_dim: size of the condition.
            noise_dim: size of the noise.
            width: channels of maps that are 32 pixels wide; `generator_channels` gives those of others.
            image_size: side of the pictures in pixels, a power of 2 from 4 to 64.
        """
        super().__init__()
        channels = generator_channels(width, image_size)
        style_dim = noise_dim + EMBEDDED_DIM
        self.noise_dim = noise_dim
        # Checkpoints and exported models hold its weights under this name.
        self.told = nn.Linear(condition_dim, EMBEDDED_DIM)
        self.first = nn.Linear(style_dim, channels[0] * FIRST_PX**2)
        self.blocks = nn.ModuleList(UpBlock(above, below, style_dim) for above, below in pairwise(channels))
        self.last = ConditionalNorm(channels[-1], style_dim)
        self.colours = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, noise: Noise, condition: Conditions) -> Pictures:
        """Generate a picture for each row of noise and condition."""
        style = torch.cat([noise, self.told(condition)], dim=1)
        maps = self.first(style).unflatten(1, (-1, FIRST_PX, FIRST_PX))
        for block in self.blocks:
            maps = block(maps, style)
        return torch.tanh(self.colours(self.last(maps, style)))


class DownBlock(nn.Module):
    """Halves the maps' sides: a residual block with two convolutions, and a 1x1 convolution as its skip path."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(in_channels, channels, 3, stride=2, padding=1))
        self.second = spectral_norm(nn.Conv2d(channels, channels, 3, padding=1))
        self.skip = spectral_norm(nn.Conv2d(in_channels, channels, 1, bias=False))

    def forward(self, maps: Maps) -> Float[Tensor, "pictures channels2 rows2 columns2"]:
        """Return maps of half the rows and columns."""
        branch = self.second(F.leaky_relu(self.first(F.leaky_relu(maps, SLOPE)), SLOPE))
        halved: Maps = self.skip(F.avg_pool2d(maps, 2)) + branch
        return halved


class Discriminator(nn.Module):
    """Scores how real pictures look, given their condition: above 0 for real ones."""

    def __init__(self, condition_dim: int, *, width: int, image_size: int) -> None:
        """Build the discriminator.

        Args:
            condition_dim: size of the condition.
            width: channels after the first convolution.
            image_size: side of the pictures in pixels, 32 or 64.
        """
        super().__init__()
        channels = discriminator_channels(width, image_size)
        self.stem = spectral_norm(nn.Conv2d(3, channels[0], 4, stride=2, padding=1))
        self.blocks = nn.Sequential(*(DownBlock(above, below) for above, below in pairwise(channels)))
        self.realness = spectral_norm(nn.Linear(channels[-1], 1))
        self.projection = spectral_norm(nn.Linear(condition_dim, channels[-1], bias=False))

    def embed(self, pictures: Pictures) -> Features:
        """Return the features of pictures, which do not depend on their condition."""
        maps = F.leaky_relu(self.blocks(self.stem(pictures)), SLOPE)
        return maps.sum(dim=(2, 3))

    def score(self, features: Features, condition: Conditions) -> Scores:
        """Score pictures, given as features, with their conditions."""
        scores: Scores = self.realness(features)[:, 0] + (self.projection(condition) * features).sum(dim=1)
        return scores

    def forward(self, pictures: Pictures, condition: Conditions) -> Scores:
        """Score pictures with their conditions."""
        return self.score(self.embed(pictures), condition)


def discriminator_loss(
    real: Scores, generated: Scores, mismatched: Float[Tensor, " others"], mismatch_weight: float
) -> Scalar:
    """Return the hinge loss: 2 if all scores are 0, 0 if all are right by 1 or more (Lim and Ye, 2017).

    Args:
        real: scores of real pictures.
        generated: scores of generated pictures.
        mismatched: scores of real pictures with another recording's condition, which count as generated ones (Reed et
            al., 2016); may be empty.
        mismatch_weight: weight of mismatched pictures relative to generated ones.
    """
    wrong = F.relu(1 + generated).mean()
    if len(mismatched) and mismatch_weight > 0:
        wrong = (wrong + mismatch_weight * F.relu(1 + mismatched).mean()) / (1 + mismatch_weight)
    return F.relu(1 - real).mean() + wrong


def generator_loss(scores: Scores) -> Scalar:
    """Return the generator's hinge loss: minus the mean score of its pictures."""
    return -scores.mean()


def sameness(noise: Noise, pictures: Pictures) -> Scalar:
    """Return the mean ratio of the distance between noise to that between its pictures (Mao et al., 2019).

    It is large for a generator that ignores its noise, as conditional ones tend to.

    Args:
        noise: of a batch whose two halves have the same conditions.
        pictures: which were generated from it; the picture in the middle of an odd batch has no partner.
    """
    count = len(pictures) // 2
    noise_distance = (noise[:count] - noise[-count:]).abs().mean(dim=1)
    picture_distance = (pictures[:count] - pictures[-count:]).abs().mean(dim=(1, 2, 3))
    return (noise_distance / (picture_distance + LEAST_CHANGE)).mean()


def gradient_penalty(discriminator: Discriminator, pictures: Pictures, condition: Conditions) -> Scalar:
    """Return R1: half the squared gradient of the scores at real pictures, mean over them (Mescheder et al., 2018)."""
    pictures = pictures.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(pictures, condition).sum(), pictures, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() / 2


def _repeat(maps: Maps) -> Float[Tensor, "pictures channels rows2 columns2"]:
    return F.interpolate(maps, scale_factor=2.0, mode="nearest")


def _interpolate(maps: Maps) -> Float[Tensor, "pictures channels rows2 columns2"]:
    """Double the sides by bilinear interpolation; repeated values of 4x4 maps would show as edges in the picture."""
    rows, columns = (_doubling_matrix(side, maps.device) for side in maps.shape[2:])
    return rows @ maps @ columns.T


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _doubling_matrix(side: int, device: torch.device) -> Float[Tensor, "side2 side"]:
    """Return linear interpolation to twice the length as a matrix.

    The backward pass of `F.interpolate` adds up in any order on a GPU, so that no two trainings would be the same.
    """
    eye = torch.eye(side)[None]
    return F.interpolate(eye, scale_factor=2.0, mode="linear", align_corners=False)[0].T.to(device)

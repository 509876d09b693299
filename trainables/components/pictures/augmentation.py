"""Augmentation of pictures.

It is differentiable, so that a GAN can augment both real and generated pictures (DiffAugment; Zhao et al., 2020).
Pictures are within −1..1. Random numbers come from a generator on the processor, and are the same on every device.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

SHIFT = 1 / 8
"""The largest shift, relative to the side."""
CUTOUT = 1 / 2
"""The side of the hidden square, relative to that of the picture."""
BRIGHTNESS = 0.5
"""The width of the range of brightness that is added."""

Pictures = Float[Tensor, "pictures 3 height width"]


def as_floats(pictures: UInt8[Tensor, "pictures 3 height width"]) -> Pictures:
    """Convert pixels of 0..255 to −1..1."""
    return pictures.float() / 127.5 - 1


def as_bytes(pictures: Pictures) -> UInt8[Tensor, "pictures 3 height width"]:
    """Convert pixels of −1..1 to 0..255, rounded and clipped."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def augment(
    pictures: Pictures, generator: torch.Generator, *, colours: bool = True, cutout: bool = True, flip: bool = True
) -> Pictures:
    """Shift pictures by up to an eighth; recolour and flip them and hide a square, unless that is switched off.

    Args:
        pictures: pictures within −1..1; recoloured ones may be outside of it.
        generator: the source of randomness, on the processor.
        colours: whether to recolour them.
        cutout: whether to hide a square.
        flip: whether to flip half of them left to right.
    """
    if colours:
        pictures = recolour(pictures, generator)
    pictures = shift(pictures, generator)
    if flip:
        pictures = torch.where(_draw_uniform(generator, pictures) < 0.5, pictures.flip(3), pictures)
    return cut_out(pictures, generator) if cutout else pictures


def recolour(pictures: Pictures, generator: torch.Generator) -> Pictures:
    """Change brightness, saturation and contrast at random."""
    pictures = pictures + BRIGHTNESS * (2 * _draw_uniform(generator, pictures) - 1) * 0.5
    grey = pictures.mean(dim=1, keepdim=True)
    pictures = (pictures - grey) * 2 * _draw_uniform(generator, pictures) + grey
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return (pictures - mean) * (0.5 + _draw_uniform(generator, pictures)) + mean


def shift(pictures: Pictures, generator: torch.Generator) -> Pictures:
    """Shift pictures by up to an eighth in each direction, and repeat the pixels at the edges."""
    height, width = pictures.shape[2:]
    down, across = (_draw_shifts(len(pictures), length, generator) for length in (height, width))
    rows = (torch.arange(height) + down[:, None]).clamp(0, height - 1).to(pictures.device)
    columns = (torch.arange(width) + across[:, None]).clamp(0, width - 1).to(pictures.device)
    picture = torch.arange(len(pictures), device=pictures.device)[:, None, None, None]
    channel = torch.arange(pictures.shape[1], device=pictures.device)[None, :, None, None]
    return pictures[picture, channel, rows[:, None, :, None], columns[:, None, None, :]]


def cut_out(pictures: Pictures, generator: torch.Generator) -> Pictures:
    """Set a rectangle of half the height and width to 0, at a random place that may be partly outside."""
    height, width = pictures.shape[2:]
    masks = []
    for length in (height, width):
        size = int(length * CUTOUT)
        start = torch.randint(-size // 2, length - size // 2 + 1, (len(pictures), 1), generator=generator)
        place = torch.arange(length)
        masks.append(((place >= start) & (place < start + size)).to(pictures.device))
    hidden = masks[0][:, None, :, None] & masks[1][:, None, None, :]
    return pictures.masked_fill(hidden, 0.0)


def degrade(pictures: Pictures, generator: torch.Generator) -> Pictures:
    """Blur pictures and add noise, both to a random degree, as pictures of a weak model are."""
    small = F.interpolate(F.avg_pool2d(pictures, 4), pictures.shape[2:], mode="bilinear", align_corners=False)
    blurred = torch.lerp(pictures, small, _draw_uniform(generator, pictures))
    noise = torch.randn(pictures.shape, generator=generator).to(pictures.device)
    return blurred + 0.2 * _draw_uniform(generator, pictures) * noise


def _draw_uniform(generator: torch.Generator, pictures: Pictures) -> Float[Tensor, "pictures 1 1 1"]:
    """Draw a number in 0..1 for each picture."""
    return torch.rand(len(pictures), 1, 1, 1, generator=generator).to(pictures.device)


def _draw_shifts(count: int, length: int, generator: torch.Generator) -> Tensor:
    most = int(length * SHIFT)
    return torch.randint(-most, most + 1, (count,), generator=generator)

"""What may be done to pictures without changing what they show; all of it is differentiable, so that a discriminator
can be shown both real and generated ones through it (DiffAugment; Zhao et al., 2020).

Pictures are within −1..1; randomness comes from a generator on the processor, so that it is the same on every device.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

SHIFT = 1 / 8
CUTOUT = 1 / 2
BRIGHTNESS = 0.5

Pictures = Float[Tensor, "pictures 3 height width"]


def as_floats(pictures: UInt8[Tensor, "pictures 3 height width"]) -> Pictures:
    """0..255 as −1..1."""
    return pictures.float() / 127.5 - 1


def as_bytes(pictures: Pictures) -> UInt8[Tensor, "pictures 3 height width"]:
    """−1..1 as 0..255."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def augment(
    pictures: Pictures, generator: torch.Generator, *, colours: bool = True, cutout: bool = True, flip: bool = True
) -> Pictures:
    """Moved by up to an eighth and, as asked for, in other colours, turned left to right, with a part missing."""
    if colours:
        pictures = recolour(pictures, generator)
    pictures = shift(pictures, generator)
    if flip:
        pictures = torch.where(_draw_uniform(generator, pictures) < 0.5, pictures.flip(3), pictures)
    return cut_out(pictures, generator) if cutout else pictures


def recolour(pictures: Pictures, generator: torch.Generator) -> Pictures:
    """Brighter or darker, with more or less colour, and with more or less contrast."""
    pictures = pictures + BRIGHTNESS * (2 * _draw_uniform(generator, pictures) - 1) * 0.5
    grey = pictures.mean(dim=1, keepdim=True)
    pictures = (pictures - grey) * 2 * _draw_uniform(generator, pictures) + grey
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return (pictures - mean) * (0.5 + _draw_uniform(generator, pictures)) + mean


def shift(pictures: Pictures, generator: torch.Generator) -> Pictures:
    """Moved by up to an eighth each way; what comes in is what was at the edge."""
    height, width = pictures.shape[2:]
    down, across = (_draw_shifts(len(pictures), length, generator) for length in (height, width))
    rows = (torch.arange(height) + down[:, None]).clamp(0, height - 1).to(pictures.device)
    columns = (torch.arange(width) + across[:, None]).clamp(0, width - 1).to(pictures.device)
    picture = torch.arange(len(pictures), device=pictures.device)[:, None, None, None]
    channel = torch.arange(pictures.shape[1], device=pictures.device)[None, :, None, None]
    return pictures[picture, channel, rows[:, None, :, None], columns[:, None, None, :]]


def cut_out(pictures: Pictures, generator: torch.Generator) -> Pictures:
    """Without a square of half their side, somewhere."""
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
    """Blurred and noisy to a random degree, as a weak model's are."""
    small = F.interpolate(F.avg_pool2d(pictures, 4), pictures.shape[2:], mode="bilinear", align_corners=False)
    blurred = torch.lerp(pictures, small, _draw_uniform(generator, pictures))
    noise = torch.randn(pictures.shape, generator=generator).to(pictures.device)
    return blurred + 0.2 * _draw_uniform(generator, pictures) * noise


def _draw_uniform(generator: torch.Generator, pictures: Pictures) -> Float[Tensor, "pictures 1 1 1"]:
    """A number in 0..1 for each picture."""
    return torch.rand(len(pictures), 1, 1, 1, generator=generator).to(pictures.device)


def _draw_shifts(count: int, length: int, generator: torch.Generator) -> Tensor:
    most = int(length * SHIFT)
    return torch.randint(-most, most + 1, (count,), generator=generator)

"""Drawings of spectrograms, with photos beside them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from trainables.components.audio.spectrogram import RANGE_NATS
from trainables.components.pictures.augmentation import as_bytes

HEIGHT_PX, WIDTH_PX = 256, 384
DIVIDER_PX = 4

Spectrogram = Float[Tensor, "frames bins"]
Photo = Float[Tensor, "3 side side"]
Drawn = UInt8[np.ndarray, "height width 3"]


def draw_pair(original: Spectrogram, reconstruction: Spectrogram) -> tuple[Drawn, Drawn]:
    """Draw a spectrogram and its reconstruction, on one colour scale: the 80 dB below the original's maximum.

    Time runs to the right, and low frequencies are at the bottom.

    Args:
        original: log-power in nats.
        reconstruction: log-power in nats.
    """
    import matplotlib  # takes half a second, and trials without pictures don't need it

    top = original.amax()
    both = torch.stack([original, reconstruction]).transpose(1, 2).flip(1)
    # Adaptive averaging repeats pixels where a spectrogram is smaller than the picture.
    resized = F.adaptive_avg_pool2d(both, (HEIGHT_PX, WIDTH_PX))
    shade = ((resized - top) / RANGE_NATS + 1).clamp(0, 1).cpu().numpy()
    upper, lower = (matplotlib.colormaps["magma"](shade)[..., :3] * 255).round().astype(np.uint8)
    return upper, lower


def stack(upper: Drawn, lower: Drawn) -> UInt8[np.ndarray, "taller width 3"]:
    """Put a drawing above another of the same width."""
    divider = np.full((DIVIDER_PX, upper.shape[1], 3), 255, np.uint8)
    return np.concatenate([upper, divider, lower])


def join_photo(photo: Photo, drawn: Drawn) -> UInt8[np.ndarray, "height wider 3"]:
    """Put a photo of pixels within −1..1 to the left of a drawing, at the drawing's height."""
    height = drawn.shape[0]
    divider = np.full((height, DIVIDER_PX, 3), 255, np.uint8)
    return np.concatenate([resize_photo(photo, height), divider, drawn], axis=1)


def resize_photo(photo: Photo, side: int) -> UInt8[np.ndarray, "side2 side2 3"]:
    """Resize a photo of pixels within −1..1, and convert it to 0..255."""
    resized = F.interpolate(photo[None].float().cpu(), (side, side), mode="bilinear", antialias=True)
    return as_bytes(resized)[0].permute(1, 2, 0).numpy()

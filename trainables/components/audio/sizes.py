"""The sizes and the frequency axes of spectrograms; apart from `spectrogram` and `grid`, which import torch."""

from __future__ import annotations

from typing import Literal

FRAMES, BINS = 192, 512
"""The shape of the full grid of a clip of the usual length; the 0 Hz bin is left out."""

Size = Literal["24x64", "48x128", "96x256", "192x512"]
SIZES: dict[Size, tuple[int, int]] = {
    "24x64": (24, 64),
    "48x128": (48, 128),
    "96x256": (96, 256),
    "192x512": (192, 512),
}
"""Frames and bins of each size, in a clip of the usual length; the frames of others are in proportion."""

RepresentationName = Literal["linear", "mel", "audiovision"]
Reduction = Literal["pool", "decimate"]


def scale_size(size: Size, full_frames: int) -> tuple[int, int]:
    """Return the frames and bins of a size, in clips with so many frames at full resolution."""
    frames, bins = SIZES[size]
    return full_frames * frames // FRAMES, bins

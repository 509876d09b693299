"""The registry of augmentations of waveforms; apart from the module that fills it, which imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.support.lazy_registry import LazyRegistry

if TYPE_CHECKING:
    import torch

    from trainables.components.shapes import Waveforms

    WaveformAugmentation = Callable[[Waveforms, torch.Generator], Waveforms]
    """Takes clips and the source of randomness, both on the processor, and returns the changed clips."""

NO_AUGMENTATION = "none"


@dataclass(frozen=True)
class WaveformAugmentationTraits:
    """Nothing is checked but the name."""


WAVEFORM_AUGMENTATIONS: LazyRegistry[WaveformAugmentation, WaveformAugmentationTraits] = LazyRegistry(
    "waveform augmentation",
    "trainables.components.audio.augmentations",
    "WAVEFORM_AUGMENTATIONS.register",
    WaveformAugmentationTraits,
)


def split_augmentations(names: str) -> list[str]:
    """Return the names of augmentations that are joined by +; an empty list for `none`."""
    return [] if names == NO_AUGMENTATION else names.split("+")


def check_augmentations(names: str) -> str:
    """Return the names of augmentations that are joined by + if there are such ones.

    Raises:
        InputError: there is no such augmentation.
    """
    for name in split_augmentations(names):
        WAVEFORM_AUGMENTATIONS.require_known(name)
    return names

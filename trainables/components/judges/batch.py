"""What the corpus judge of sounds learns from in a training step, and what an augmentation of it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.judges.networks import Mel


@dataclass(frozen=True)
class Batch:
    """Log-mel spectrograms, and the probability of each class that the judge is taught for them."""

    mels: Mel
    targets: Float[Tensor, "clips classes"]


Augmentation = Callable[[Batch, Callable[[], Batch], torch.Generator], Batch]
"""Takes clips that were drawn at random, a function that draws as many more, and the source of randomness (on the
processor), and returns the changed clips; registered with `@AUGMENTATIONS.register`."""

"""Which training clip looks most like a spectrogram: its phase, or all of it, can stand in for what is not known.

Clips are compared by log-power whose level and contrast are taken out, in the few principal components that tell clips
apart.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

NUM_COMPONENTS = 64
"""Of 140,000 clips, 36 MB."""
SEARCHED_VALUES = 1 << 24
"""Distances that are held at a time: 64 MB."""

Spectrograms = Float[Tensor, "clips frames bins"]
PerClip = Int64[Tensor, " clips"]


class NearestClips:
    """An index of training clips by their standardized log-power (in nats, usually 48x128), on the sample's device.

    Args:
        sample: clips to find the principal components from, at most some thousand.
        batches: the clips to choose from; their positions count from 0 as they come.
        labels: the class of each of them.
    """

    def __init__(
        self,
        sample: Float[Tensor, "sample frames bins"],
        batches: Iterable[Float[Tensor, "_ frames bins"]],
        labels: PerClip,
    ) -> None:
        pixels = _standardize(sample)
        self._mean = pixels.mean(dim=0)
        # Fewer clips than pixels: the components follow from the small matrix of inner products between clips.
        centred = pixels - self._mean
        variances, weights = torch.linalg.eigh((centred @ centred.T).double())
        kept = variances.flip(0)[:NUM_COMPONENTS] > variances[-1] * 1e-6
        self._components = F.normalize(weights.flip(1)[:, :NUM_COMPONENTS][:, kept].float().T @ centred, dim=1)
        self._codes = torch.cat([self._encode(batch) for batch in batches])
        self._labels = labels.to(sample.device)
        assert len(self._codes) == len(labels)

    def __len__(self) -> int:
        return len(self._codes)

    def find(self, queries: Spectrograms, *, labels: PerClip | None = None) -> PerClip:
        """Position of the clip nearest to each query, on the processor; with labels, of the nearest of its class.

        Labels make it an oracle wherever the class is what an estimate is judged by.
        """
        codes, squares = self._encode(queries), self._codes.square().sum(dim=1)
        positions = []
        for part in torch.arange(len(codes)).split(max(1, SEARCHED_VALUES // len(self))):
            # Squared distances, less the query's own square, which is the same for every clip.
            distances = torch.addmm(squares, codes[part], self._codes.T, alpha=-2)
            if labels is not None:
                is_other = labels[part].to(distances.device)[:, None] != self._labels
                # A class without a clip has none that is nearer than any other's.
                is_other &= ~is_other.all(dim=1, keepdim=True)
                distances.masked_fill_(is_other, torch.inf)
            positions.append(distances.argmin(dim=1).cpu())
        return torch.cat(positions)

    def _encode(self, spectrograms: Spectrograms) -> Float[Tensor, "clips components"]:
        return (_standardize(spectrograms.to(self._mean.device)) - self._mean) @ self._components.T


def _standardize(spectrograms: Spectrograms) -> Float[Tensor, "clips pixels"]:
    """Each clip at mean 0 and standard deviation 1: compared pixel by pixel, loud clips would only find loud ones."""
    pixels = spectrograms.flatten(1)
    return F.layer_norm(pixels, pixels.shape[1:])

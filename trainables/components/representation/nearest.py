"""Nearest-neighbour search among training clips: a neighbour's phase, or all of it, can replace an unknown one.

Clips are compared by the leading principal components of their log-power, standardized within each clip.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from trainables.components.shapes import Spectrograms

NUM_COMPONENTS = 64
"""The size of the index: of 140,000 clips, 36 MB."""
SEARCHED_VALUES = 1 << 24
"""The most distances that are computed at a time: 64 MB."""

PerClip = Int64[Tensor, " clips"]


class NearestClips:
    """An index of training clips by standardized log-power, on the device of the sample.

    Args:
        sample: clips to fit the principal components to, at most some thousand; log-power in nats.
        batches: the clips to search among, of the same shape; their positions count from 0 in this order.
        labels: the class of each of these clips.
    """

    def __init__(
        self,
        sample: Float[Tensor, "sample frames bins"],
        batches: Iterable[Float[Tensor, "_ frames bins"]],
        labels: PerClip,
    ) -> None:
        pixels = _standardize(sample)
        self._mean = pixels.mean(dim=0)
        # With fewer clips than pixels, the matrix of inner products between clips is the smaller one to decompose.
        centred = pixels - self._mean
        variances, weights = torch.linalg.eigh((centred @ centred.T).double())
        is_significant = variances.flip(0)[:NUM_COMPONENTS] > variances[-1] * 1e-6
        self._components = F.normalize(
            weights.flip(1)[:, :NUM_COMPONENTS][:, is_significant].float().T @ centred, dim=1
        )
        self._codes = torch.cat([self._encode(batch) for batch in batches])
        self._labels = labels.to(sample.device)
        assert len(self._codes) == len(labels)

    def __len__(self) -> int:
        return len(self._codes)

    def find(self, queries: Spectrograms, *, labels: PerClip | None = None) -> PerClip:
        """Find the position of the clip nearest to each query.

        Args:
            queries: log-power in nats, of the shape of the indexed clips.
            labels: the class of each query. With it, only clips of that class are searched, or all clips where the
                class has none. It makes the result an oracle when estimates are judged by their class.

        Returns:
            The positions, on the CPU.
        """
        codes, squares = self._encode(queries), self._codes.square().sum(dim=1)
        positions = []
        for part in torch.arange(len(codes)).split(max(1, SEARCHED_VALUES // len(self))):
            # Squared distances without the squared norm of the query, which does not affect the order of clips.
            distances = torch.addmm(squares, codes[part], self._codes.T, alpha=-2)
            if labels is not None:
                is_other = labels[part].to(distances.device)[:, None] != self._labels
                # For a class without clips, search all.
                is_other &= ~is_other.all(dim=1, keepdim=True)
                distances.masked_fill_(is_other, torch.inf)
            positions.append(distances.argmin(dim=1).cpu())
        return torch.cat(positions)

    def _encode(self, spectrograms: Spectrograms) -> Float[Tensor, "clips components"]:
        return (_standardize(spectrograms.to(self._mean.device)) - self._mean) @ self._components.T


def _standardize(spectrograms: Spectrograms) -> Float[Tensor, "clips pixels"]:
    """Scale each clip to mean 0 and standard deviation 1; otherwise level would dominate all distances."""
    pixels = spectrograms.flatten(1)
    return F.layer_norm(pixels, pixels.shape[1:])

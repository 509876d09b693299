"""The normalization of all parts of a clip, and the prediction of its statistics from latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from trainables.components.representation.channels import Part
from trainables.components.representation.normalization import Normalization, Statistics
from trainables.components.representation.registries import NORMALIZATIONS
from trainables.components.shapes import Clips, Latents

RIDGE = 1.0
"""The weight of the penalty: it counts as much as one clip with unit variance in every latent."""


class Normalizer:
    """Separate normalizations of magnitude and phase; its statistics are those of both, concatenated.

    Args:
        names: the registered normalization of each part.
        parts: the channels of each part of clips.
    """

    def __init__(self, names: Mapping[Part, str], parts: Mapping[Part, slice]) -> None:
        self._parts = parts
        self._normalizations: dict[Part, Normalization] = {part: NORMALIZATIONS[names[part]]() for part in parts}

    @property
    def num_statistics(self) -> int:
        """The number of values per clip that the inversion needs."""
        return sum(normalization.num_statistics for normalization in self._normalizations.values())

    @property
    def side_info_floats(self) -> int:
        """The number of different values per clip that the inversion needs: parts normalized together share theirs."""
        distinct: dict[Part | type[Normalization], Normalization] = {}
        for part, normalization in self._normalizations.items():
            distinct[type(normalization) if normalization.needs_both else part] = normalization
        return sum(normalization.num_statistics for normalization in distinct.values())

    def fit(self, batches: Callable[[], Iterator[Clips]]) -> None:
        """Fit all normalizations to the training split.

        Args:
            batches: returns an iterator over the training split; it is called once per part.
        """
        for part, channels in self._parts.items():
            self._normalizations[part].fit(batch[:, channels] for batch in batches())

    def statistics(self, clips: Clips) -> Statistics:
        """Compute the values per clip that `apply` and `invert` need."""
        columns = [
            self._normalizations[part].statistics(clips[:, channels], clips) for part, channels in self._parts.items()
        ]
        return torch.cat(columns, dim=1)

    def apply(self, clips: Clips, statistics: Statistics) -> Clips:
        """Normalize clips, given what `statistics` returned for them."""
        return self._map_parts(clips, statistics, lambda normalization, part, own: normalization.apply(part, own))

    def invert(self, normalized: Clips, statistics: Statistics) -> Clips:
        """Invert `apply`, given the statistics of the clips or predictions of them."""
        return self._map_parts(normalized, statistics, lambda normalization, part, own: normalization.invert(part, own))

    def _map_parts(
        self, clips: Clips, statistics: Statistics, transform: Callable[[Normalization, Clips, Statistics], Clips]
    ) -> Clips:
        """Apply a function to each part and its statistics, and concatenate the results."""
        counts = [normalization.num_statistics for normalization in self._normalizations.values()]
        parts = zip(self._normalizations.values(), self._parts.values(), statistics.split(counts, dim=1), strict=True)
        results = [transform(normalization, clips[:, channels], own) for normalization, channels, own in parts]
        return torch.cat(results, dim=1)

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Return what `fit` computed, by part."""
        return {part: normalization.state_dict() for part, normalization in self._normalizations.items()}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Restore what `state_dict` returned."""
        for part, normalization in self._normalizations.items():
            normalization.load_state_dict(state[part])


@dataclass(frozen=True)
class RidgeRegression:
    """A ridge regression from standardized latents to the statistics of clips.

    Attributes:
        mean: the mean of each latent.
        deviation: the standard deviation of each latent.
        weights: from standardized latents to statistics; shape (latents, statistics).
        offset: the mean of each statistic.
    """

    mean: Tensor
    deviation: Tensor
    weights: Tensor
    offset: Tensor

    @classmethod
    def fit(cls, latents: Latents, statistics: Statistics) -> RidgeRegression:
        """Fit the regression to the latents and the statistics of training clips."""
        mean, deviation = latents.mean(dim=0), latents.std(dim=0, correction=0).clamp(min=1e-6)
        offset = statistics.mean(dim=0)
        inputs = ((latents - mean) / deviation).double()
        penalty = RIDGE * torch.eye(inputs.shape[1], dtype=torch.float64, device=inputs.device)
        right = inputs.T @ (statistics - offset).double()
        return cls(mean, deviation, torch.linalg.solve(inputs.T @ inputs + penalty, right).float(), offset)

    def __call__(self, latents: Latents) -> Statistics:
        """Predict the statistics of clips from their latents."""
        statistics: Statistics = (latents - self.mean) / self.deviation @ self.weights + self.offset
        return statistics

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors by the names of the attributes."""
        return asdict(self)

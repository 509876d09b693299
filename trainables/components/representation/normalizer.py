"""All of a clip's normalizations: each part by its own, and what it takes to undo them where nobody knows a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.representation.normalizations import NORMALIZATIONS, Clips, Normalization, Statistics
from trainables.components.representation.representation import Part

RIDGE = 1.0
"""Weight of the penalty, in clips of unit variance."""

Latents = Float[Tensor, "clips latents"]


class Normalizer:
    """Normalizes magnitude and phase apart; its statistics are those of both, one after the other."""

    def __init__(self, names: Mapping[Part, str], parts: Mapping[Part, slice]) -> None:
        """Args:
        names: registered normalizations.
        parts: the channels of each part that clips have.
        """
        self._parts = parts
        self._normalizations: dict[Part, Normalization] = {part: NORMALIZATIONS[names[part]]() for part in parts}

    @property
    def num_statistics(self) -> int:
        """Numbers of each clip that it takes to undo it."""
        return sum(normalization.num_statistics for normalization in self._normalizations.values())

    @property
    def side_info_floats(self) -> int:
        """How many of them are different ones: parts that are normalized together have the same."""
        shared = {
            type(normalization) if normalization.needs_both else part: normalization
            for part, normalization in self._normalizations.items()
        }
        return sum(normalization.num_statistics for normalization in shared.values())

    def fit(self, batches: Callable[[], Iterator[Clips]]) -> None:
        """Take the statistics of the training split, which is gone through once a part."""
        for part, channels in self._parts.items():
            self._normalizations[part].fit(batch[:, channels] for batch in batches())

    def statistics(self, clips: Clips) -> Statistics:
        """Each clip's own."""
        columns = [self._normalizations[part].statistics(clips[:, own], clips) for part, own in self._parts.items()]
        return torch.cat(columns, dim=1)

    def apply(self, clips: Clips, statistics: Statistics) -> Clips:
        return self._map_parts(clips, statistics, lambda normalization, part, own: normalization.apply(part, own))

    def invert(self, normalized: Clips, statistics: Statistics) -> Clips:
        return self._map_parts(normalized, statistics, lambda normalization, part, own: normalization.invert(part, own))

    def _map_parts(
        self, clips: Clips, statistics: Statistics, do: Callable[[Normalization, Clips, Statistics], Clips]
    ) -> Clips:
        counts = [normalization.num_statistics for normalization in self._normalizations.values()]
        own = statistics.split(counts, dim=1)
        parts = zip(self._normalizations.values(), self._parts.values(), own, strict=True)
        return torch.cat(
            [do(normalization, clips[:, channels], mine) for normalization, channels, mine in parts], dim=1
        )

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        return {part: normalization.state_dict() for part, normalization in self._normalizations.items()}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        for part, normalization in self._normalizations.items():
            normalization.load_state_dict(state[part])


class RidgeRegression:
    """Clips' statistics from their latents, by ridge regression on training clips."""

    def __init__(self, latents: Latents, statistics: Statistics) -> None:
        self._mean, self._deviation = latents.mean(dim=0), latents.std(dim=0, correction=0).clamp(min=1e-6)
        self._offset = statistics.mean(dim=0)
        inputs = self._standardize(latents).double()
        penalty = RIDGE * torch.eye(inputs.shape[1], dtype=torch.float64, device=inputs.device)
        right = inputs.T @ (statistics - self._offset).double()
        self._weights = torch.linalg.solve(inputs.T @ inputs + penalty, right).float()

    def __call__(self, latents: Latents) -> Statistics:
        statistics: Statistics = self._standardize(latents) @ self._weights + self._offset
        return statistics

    def _standardize(self, latents: Latents) -> Latents:
        return (latents - self._mean) / self._deviation

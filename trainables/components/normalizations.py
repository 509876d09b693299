"""Normalizations: what is done to log-power before a network sees it, and undone behind it.

A new one is a class with `fit`, `apply` and `invert` here, or in a file named under `components:`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.registry import Registry

Batch = Float[Tensor, "clips frames bins"]

SCALE_FLOOR_NATS = 0.1
"""0.4 dB: what varies less is constant to the ear, and is not blown up to unit variance."""
RANGE_MARGIN = 0.8
"""The extremes land at ±0.8, as in GANSynth (Engel et al., 2019), away from where an output would saturate."""


class Normalization(ABC):
    """Statistics of the training clips, and an invertible map made of them."""

    @abstractmethod
    def fit(self, batches: Iterable[Float[Tensor, "_ frames bins"]]) -> None:
        """Take the statistics of the training split, given in batches of log-power in nats."""

    @abstractmethod
    def apply(self, log_power: Batch) -> Batch: ...

    @abstractmethod
    def invert(self, normalized: Batch) -> Batch: ...

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]: ...

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


NORMALIZATIONS: Registry[type[Normalization]] = Registry("normalization")


class Affine(Normalization):
    """(x − shift) / scale, with statistics that broadcast against (clips, frames, bins)."""

    def __init__(self) -> None:
        self.shift = torch.zeros(1, 1)
        self.scale = torch.ones(1, 1)

    def apply(self, log_power: Batch) -> Batch:
        return (log_power - self.shift) / self.scale

    def invert(self, normalized: Batch) -> Batch:
        return normalized * self.scale + self.shift

    def state_dict(self) -> dict[str, Tensor]:
        return {"shift": self.shift, "scale": self.scale}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.shift = state["shift"].to(self.shift.device)
        self.scale = state["scale"].to(self.scale.device)


@NORMALIZATIONS.register("none")
class Unchanged(Affine):
    """Log-power in nats as it is."""

    def fit(self, batches: Iterable[Float[Tensor, "_ frames bins"]]) -> None:
        for batch in batches:
            self.shift, self.scale = self.shift.to(batch.device), self.scale.to(batch.device)
            return


class Standardized(Affine):
    """Zero mean and unit variance over clips and, where `dims` says so, over frames."""

    dims: tuple[int, ...]

    def fit(self, batches: Iterable[Float[Tensor, "_ frames bins"]]) -> None:
        count, total, total_squared = 0, torch.zeros(()), torch.zeros(())
        for batch in batches:
            values = batch.double()
            count += values[..., :1].numel() if 1 in self.dims else len(values)
            total = total.to(batch.device) + values.sum(self.dims)
            total_squared = total_squared.to(batch.device) + values.square().sum(self.dims)
        mean = total / count
        variance = (total_squared / count - mean.square()).clamp(min=0)
        self.shift = torch.atleast_2d(mean.float())
        self.scale = torch.atleast_2d(variance.sqrt().clamp(min=SCALE_FLOOR_NATS).float())


@NORMALIZATIONS.register("per_frequency")
class PerFrequency(Standardized):
    """Zero mean and unit variance in each frequency bin."""

    dims = (0, 1)


@NORMALIZATIONS.register("per_bin")
class PerBin(Standardized):
    """Zero mean and unit variance in each frame and frequency bin of the 2 s."""

    dims = (0,)


@NORMALIZATIONS.register("range")
class Range(Affine):
    """The training split's minimum and maximum become −0.8 and 0.8."""

    def fit(self, batches: Iterable[Float[Tensor, "_ frames bins"]]) -> None:
        extremes = [torch.stack([*batch.aminmax()]) for batch in batches]
        low, high = torch.stack(extremes)[:, 0].min(), torch.stack(extremes)[:, 1].max()
        self.shift = ((high + low) / 2).reshape(1, 1)
        self.scale = ((high - low) / 2).clamp(min=SCALE_FLOOR_NATS).reshape(1, 1) / RANGE_MARGIN

"""Normalizations: what is done to log-power, or to a phase, before a network sees it, and undone behind it.

A new one is a class here, or in a file named under `components:`. Those of the training split are fitted; those of a
clip take its own statistics, which nobody knows of a sound that a network makes up: they are predicted then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.support.registry import Registry

Clips = Float[Tensor, "clips channels frames bins"]
Statistics = Float[Tensor, "clips statistics"]
Values = Float[Tensor, "clips measured frames bins"]

SCALE_FLOOR = 0.1
"""In nats 0.4 dB: what varies less is constant to the ear, and is not blown up to unit variance."""
RANGE_MARGIN = 0.8
"""The extremes land at ±0.8, as in GANSynth (Engel et al., 2019), away from where an output would saturate."""


class Normalization(ABC):
    """An invertible map of one part of clips: their log-power in nats, or their phase.

    Attributes:
        num_statistics: numbers of each clip that it takes to undo it.
        is_bounded: the training clips lie within ±1, which a tanh can reach.
        needs_both: it is one of its own only where clips have magnitude and phase.
    """

    num_statistics: ClassVar[int] = 0
    is_bounded: ClassVar[bool] = False
    needs_both: ClassVar[bool] = False

    def fit(self, batches: Iterable[Float[Tensor, "_ channels frames bins"]]) -> None:  # noqa: B027
        """Take the statistics of the part in the training split, given in batches."""

    def statistics(self, part: Clips, clips: Float[Tensor, "clips _ frames bins"]) -> Statistics:
        """What it takes to undo it, of a part of clips and of all their channels."""
        return part.new_zeros(len(part), 0)

    @abstractmethod
    def apply(self, part: Clips, statistics: Statistics) -> Clips: ...

    @abstractmethod
    def invert(self, normalized: Clips, statistics: Statistics) -> Clips: ...

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Go back to what `state_dict` gave."""


NORMALIZATIONS: Registry[type[Normalization]] = Registry("normalization")


class Affine(Normalization):
    """(x − shift) / scale, with statistics of the training split that broadcast against clips."""

    def __init__(self) -> None:
        self.shift = torch.zeros(1, 1, 1)
        self.scale = torch.ones(1, 1, 1)

    def apply(self, part: Clips, statistics: Statistics) -> Clips:
        return (part - self.shift) / self.scale

    def invert(self, normalized: Clips, statistics: Statistics) -> Clips:
        return normalized * self.scale + self.shift

    def state_dict(self) -> dict[str, Tensor]:
        return {"shift": self.shift, "scale": self.scale}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.shift = state["shift"].to(self.shift.device)
        self.scale = state["scale"].to(self.scale.device)


@NORMALIZATIONS.register("none")
class Unchanged(Affine):
    """Log-power in nats, phases in units of π, as they are."""

    def fit(self, batches: Iterable[Float[Tensor, "_ channels frames bins"]]) -> None:
        for batch in batches:
            self.shift, self.scale = self.shift.to(batch.device), self.scale.to(batch.device)
            return


class Standardized(Affine):
    """Zero mean and unit variance over clips and, where `dims` says so, over frames."""

    dims: tuple[int, ...]

    def fit(self, batches: Iterable[Float[Tensor, "_ channels frames bins"]]) -> None:
        count, total, total_squared = 0, torch.zeros(()), torch.zeros(())
        for batch in batches:
            values = batch.double()
            count += len(values) * (values.shape[2] if 2 in self.dims else 1)
            total = total.to(batch.device) + values.sum(self.dims, keepdim=True)
            total_squared = total_squared.to(batch.device) + values.square().sum(self.dims, keepdim=True)
        mean = total / count
        variance = (total_squared / count - mean.square()).clamp(min=0)
        self.shift, self.scale = mean.float(), variance.sqrt().clamp(min=SCALE_FLOOR).float()


@NORMALIZATIONS.register("per_frequency")
class PerFrequency(Standardized):
    """Zero mean and unit variance in each frequency bin."""

    dims = (0, 2)


@NORMALIZATIONS.register("per_bin")
class PerBin(Standardized):
    """Zero mean and unit variance in each frame and frequency bin of the 2 s."""

    dims = (0,)


@NORMALIZATIONS.register("range")
class Range(Affine):
    """The training split's minimum and maximum become −0.8 and 0.8."""

    is_bounded = True

    def fit(self, batches: Iterable[Float[Tensor, "_ channels frames bins"]]) -> None:
        extremes = [torch.stack([*batch.aminmax()]) for batch in batches]
        low, high = torch.stack(extremes)[:, 0].min(), torch.stack(extremes)[:, 1].max()
        self.shift = ((high + low) / 2).reshape(1, 1, 1)
        self.scale = ((high - low) / 2).clamp(min=SCALE_FLOOR).reshape(1, 1, 1) / RANGE_MARGIN


class OwnStatistics(Normalization):
    """(x − shift) / scale with each clip's own shift and scale; its statistics are the shift and ln scale."""

    num_statistics = 2

    def statistics(self, part: Clips, clips: Float[Tensor, "clips _ frames bins"]) -> Statistics:
        values = self.select_channels(part, clips).flatten(1)
        shift = values.mean(dim=1)
        scale = self.scale(values - shift[:, None]).clamp(min=SCALE_FLOOR)
        return torch.stack([shift, scale.log()], dim=1)

    def select_channels(self, part: Clips, clips: Float[Tensor, "clips _ frames bins"]) -> Values:
        """Whose statistics they are."""
        return part

    def scale(self, centred: Float[Tensor, "clips pixels"]) -> Float[Tensor, " clips"]:
        """What each clip is divided by."""
        return centred.square().mean(dim=1).sqrt()

    def apply(self, part: Clips, statistics: Statistics) -> Clips:
        shift, log_scale = statistics[:, :, None, None, None].unbind(1)
        return (part - shift) / log_scale.exp()

    def invert(self, normalized: Clips, statistics: Statistics) -> Clips:
        shift, log_scale = statistics[:, :, None, None, None].unbind(1)
        return normalized * log_scale.exp() + shift


@NORMALIZATIONS.register("clip")
class Clip(OwnStatistics):
    """Each clip at zero mean and unit variance."""


@NORMALIZATIONS.register("clip_joint")
class ClipJoint(OwnStatistics):
    """With the mean and the standard deviation of magnitude and phase together, as in most of the report."""

    needs_both = True

    def select_channels(self, part: Clips, clips: Float[Tensor, "clips _ frames bins"]) -> Values:
        return clips


@NORMALIZATIONS.register("clip_magnitude")
class ClipMagnitude(OwnStatistics):
    """With the mean and the standard deviation of the magnitude, for the phase too."""

    needs_both = True

    def select_channels(self, part: Clips, clips: Float[Tensor, "clips _ frames bins"]) -> Values:
        return clips[:, :1]


@NORMALIZATIONS.register("max_abs")
class MaxAbs(OwnStatistics):
    """Each clip at zero mean, and 1 away from it at most; for an output through tanh."""

    is_bounded = True

    def scale(self, centred: Float[Tensor, "clips pixels"]) -> Float[Tensor, " clips"]:
        return centred.abs().amax(dim=1)

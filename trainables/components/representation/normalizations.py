"""Normalizations of log-power or of a phase before a network, inverted on its output.

To add one, register a class here or in a file named under `components:`. Some use statistics of the training split,
from `fit`. Others use statistics of each clip, which must be predicted to invert a clip that a network generates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.representation.normalization import Normalization, Statistics
from trainables.components.representation.registries import NORMALIZATIONS
from trainables.components.shapes import Clips

Values = Float[Tensor, "clips selected frames bins"]

SCALE_FLOOR = 0.1
"""0.4 dB in nats: smaller variations are inaudible, and are not amplified to unit variance."""
RANGE_MARGIN = 0.8
"""Extremes are mapped to ±0.8, as in GANSynth (Engel et al., 2019), where an output through tanh does not saturate."""


class Affine(Normalization):
    """The map (x − shift) / scale, with a shift and a scale of the training split that broadcast against clips.

    Both follow the clips to their device: they are no buffers of a network, which `.to` would move.
    """

    def __init__(self) -> None:
        self.shift = torch.zeros(1, 1, 1)
        self.scale = torch.ones(1, 1, 1)

    def apply(self, part: Clips, statistics: Statistics) -> Clips:
        """Return (x − shift) / scale."""
        self._move_to(part.device)
        return (part - self.shift) / self.scale

    def invert(self, normalized: Clips, statistics: Statistics) -> Clips:
        """Return x · scale + shift."""
        self._move_to(normalized.device)
        return normalized * self.scale + self.shift

    def _move_to(self, device: torch.device) -> None:
        if self.shift.device != device or self.scale.device != device:
            # Tensors that are created in inference mode could not be used in training later.
            with torch.inference_mode(False):
                self.shift, self.scale = self.shift.to(device), self.scale.to(device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the shift and the scale."""
        return {"shift": self.shift, "scale": self.scale}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the shift and the scale, on the device of the current ones."""
        self.shift = state["shift"].to(self.shift.device)
        self.scale = state["scale"].to(self.scale.device)


@NORMALIZATIONS.register("none")
class Unchanged(Affine):
    """The identity: log-power stays in nats, phases in units of π."""


class Standardized(Affine):
    """Zero mean and unit variance on the training split.

    Attributes:
        dims: the dimensions that the mean and the variance are taken over: 0 for clips, 2 for frames.
    """

    dims: tuple[int, ...]

    def fit(self, batches: Iterable[Float[Tensor, "_ channels frames bins"]]) -> None:
        """Compute mean and standard deviation from sums over all batches, in double precision."""
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
    """Zero mean and unit variance in each cell of the grid, a frame and a frequency bin."""

    dims = (0,)


@NORMALIZATIONS.register("range")
class Range(Affine):
    """The minimum and the maximum of the training split are mapped to −0.8 and 0.8."""

    is_bounded = True

    def fit(self, batches: Iterable[Float[Tensor, "_ channels frames bins"]]) -> None:
        """Compute shift and scale from the extremes of all batches."""
        extremes = [torch.stack([*batch.aminmax()]) for batch in batches]
        low, high = torch.stack(extremes)[:, 0].min(), torch.stack(extremes)[:, 1].max()
        self.shift = ((high + low) / 2).reshape(1, 1, 1)
        self.scale = ((high - low) / 2).clamp(min=SCALE_FLOOR).reshape(1, 1, 1) / RANGE_MARGIN


class OwnStatistics(Normalization):
    """The map (x − shift) / scale with a shift and a scale of each clip; its statistics are the shift and ln scale."""

    num_statistics = 2

    def statistics(self, part: Clips, clips: Float[Tensor, "clips _ frames bins"]) -> Statistics:
        """Compute the shift and ln scale of each clip."""
        values = self.select_channels(part, clips).flatten(1)
        shift = values.mean(dim=1)
        scale = self.scale(values - shift[:, None]).clamp(min=SCALE_FLOOR)
        return torch.stack([shift, scale.log()], dim=1)

    def select_channels(self, part: Clips, clips: Float[Tensor, "clips _ frames bins"]) -> Values:
        """Return the channels that the statistics are computed from."""
        return part

    def scale(self, centred: Float[Tensor, "clips pixels"]) -> Float[Tensor, " clips"]:
        """Compute the scale of each clip from its values minus their mean."""
        return centred.square().mean(dim=1).sqrt()

    def apply(self, part: Clips, statistics: Statistics) -> Clips:
        """Return (x − shift) / scale with the statistics of each clip."""
        shift, log_scale = statistics[:, :, None, None, None].unbind(1)
        return (part - shift) / log_scale.exp()

    def invert(self, normalized: Clips, statistics: Statistics) -> Clips:
        """Return x · scale + shift with the statistics of each clip."""
        shift, log_scale = statistics[:, :, None, None, None].unbind(1)
        return normalized * log_scale.exp() + shift


@NORMALIZATIONS.register("clip")
class Clip(OwnStatistics):
    """Zero mean and unit variance in each clip."""


@NORMALIZATIONS.register("clip_joint")
class ClipJoint(OwnStatistics):
    """Mean and standard deviation over magnitude and phase together, as in most of the Audiovision report."""

    needs_both = True

    def select_channels(self, part: Clips, clips: Float[Tensor, "clips _ frames bins"]) -> Values:
        """Return all channels."""
        return clips


@NORMALIZATIONS.register("clip_magnitude")
class ClipMagnitude(OwnStatistics):
    """Mean and standard deviation of the magnitude, used for the phase too."""

    needs_both = True

    def select_channels(self, part: Clips, clips: Float[Tensor, "clips _ frames bins"]) -> Values:
        """Return the magnitude."""
        return clips[:, :1]


@NORMALIZATIONS.register("max_abs")
class MaxAbs(OwnStatistics):
    """Zero mean in each clip, divided by the largest deviation from it; for an output through tanh."""

    is_bounded = True

    def scale(self, centred: Float[Tensor, "clips pixels"]) -> Float[Tensor, " clips"]:
        """Return the largest deviation from the mean."""
        return centred.abs().amax(dim=1)

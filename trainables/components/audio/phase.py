"""Phases of the short-time Fourier transform in forms that networks can learn, and losses invariant to turns of 2π.

Angles are in radians, as of `spectrogram.phase`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trainables.components.shapes import Scalar

Angles = Float[Tensor, "clips frames bins"]
Frequencies = Float[Tensor, "clips frames bins"]
Pairs = Float[Tensor, "clips 2 frames bins"]
Weights = Float[Tensor, "clips frames bins"]

SHORTEST_PAIR = 1e-3
"""Shorter pairs of cosine and sine are not normalized to unit length: their gradient would be unbounded."""


def wrap(angle: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return x − 2π round(x / 2π), which is within ±π; its gradient is 1 everywhere."""
    return angle - 2 * math.pi * (angle / (2 * math.pi)).round()


def unwrap(angle: Angles) -> Angles:
    """Remove jumps of more than π between frames, as numpy.unwrap does."""
    turns = (angle.diff(dim=1) / (2 * math.pi)).round()
    return angle - 2 * math.pi * F.pad(turns.cumsum(dim=1), (0, 0, 1, 0))


def instantaneous_frequency(angle: Angles) -> Frequencies:
    """Return the wrapped difference from frame to frame in units of π, within ±1 (Engel et al., 2019).

    The first frame holds the wrapped angle itself, so that `angle_from_frequency` can invert it.
    """
    return wrap(angle.diff(dim=1, prepend=torch.zeros_like(angle[:, :1]))) / math.pi


def angle_from_frequency(frequency: Frequencies) -> Angles:
    """Invert `instantaneous_frequency`: return the angles, within ±π."""
    # In double precision: a sum over all frames would lose the digits that wrapping leaves.
    return wrap(math.pi * frequency.cumsum(dim=1, dtype=torch.float64)).to(frequency.dtype)


def cos_sin(angle: Angles) -> Pairs:
    """Return cosine and sine, which are continuous where angles jump."""
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def angle_from_cos_sin(pairs: Pairs) -> Angles:
    """Return the angles, within ±π, of pairs of cosine and sine of any length."""
    return torch.atan2(pairs[:, 1], pairs[:, 0])


def anti_wrapping_loss(estimate: Angles, target: Angles, weight: Weights | None = None) -> Scalar:
    """Compute the anti-wrapping loss, in radians (Ai and Ling, 2023; Lu, Ai and Ling, 2023).

    It is mean f(Δ) + mean f(difference of Δ between bins) + mean f(difference of Δ between frames), where Δ is the
    error and f(x) = |x − 2π round(x / 2π)|. Random angles cost π/2 in each term.

    Args:
        estimate: angles in radians.
        target: angles in radians.
        weight: weights of the means within each clip, such as magnitudes; a difference has the lower weight of its two
            ends. Without it, the means are plain ones over the batch.
    """
    error = estimate - target
    phase = _weighted_mean(wrap(error).abs(), weight)
    group_delay = _weighted_mean(wrap(error.diff(dim=2)).abs(), _minimum_of_neighbours(weight, 2))
    frequency = _weighted_mean(wrap(error.diff(dim=1)).abs(), _minimum_of_neighbours(weight, 1))
    return phase + group_delay + frequency


def cosine_distance(estimate: Pairs, target: Pairs, weight: Weights | None = None) -> Scalar:
    """Compute the mean of 1 − cos of the angle between pairs of cosine and sine, whatever their length.

    Args:
        estimate: pairs of cosine and sine.
        target: pairs of cosine and sine.
        weight: weights of the mean within each clip.
    """
    difference = F.normalize(estimate, dim=1, eps=SHORTEST_PAIR) - F.normalize(target, dim=1, eps=SHORTEST_PAIR)
    # Half the squared chord is exactly 0 for equal pairs; 1 minus the inner product is not.
    return _weighted_mean(0.5 * difference.square().sum(dim=1), weight)


def _minimum_of_neighbours(weight: Weights | None, dim: int) -> Float[Tensor, "clips frames2 bins2"] | None:
    if weight is None:
        return None
    length = weight.shape[dim] - 1
    return torch.minimum(weight.narrow(dim, 0, length), weight.narrow(dim, 1, length))


def _weighted_mean(values: Float[Tensor, "clips frames bins"], weight: Weights | None) -> Scalar:
    if weight is None:
        return values.mean()
    # The least positive number avoids 0 / 0: a clip without weight costs nothing.
    total = weight.sum(dim=(1, 2)).clamp(min=torch.finfo(weight.dtype).tiny)
    return ((values * weight).sum(dim=(1, 2)) / total).mean()

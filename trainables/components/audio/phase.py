"""Angles of the short-time Fourier transform as something to learn: their differences in time, and losses that know
that 2π is nothing.

Angles are in radians, those of `spectrogram.phase`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Angles = Float[Tensor, "clips frames bins"]
Frequencies = Float[Tensor, "clips frames bins"]
Pairs = Float[Tensor, "clips 2 frames bins"]
Weights = Float[Tensor, "clips frames bins"]
Scalar = Float[Tensor, ""]

SHORTEST_PAIR = 1e-3
"""Shorter ones are not brought to unit length: their gradient would have no bound."""


def wrapped(angle: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """x − 2π round(x / 2π), within ±π; its slope is 1 everywhere."""
    return angle - 2 * math.pi * (angle / (2 * math.pi)).round()


def unwrapped(angle: Angles) -> Angles:
    """The same without jumps of more than π between frames, as of numpy.unwrap."""
    turns = (angle.diff(dim=1) / (2 * math.pi)).round()
    return angle - 2 * math.pi * F.pad(turns.cumsum(dim=1), (0, 0, 1, 0))


def instantaneous_frequency(angle: Angles) -> Frequencies:
    """Wrapped difference from frame to frame in units of π, within ±1 (Engel et al., 2019); of the first frame, the
    angle itself."""
    return wrapped(angle.diff(dim=1, prepend=torch.zeros_like(angle[:, :1]))) / math.pi


def angle_from_frequency(frequency: Frequencies) -> Angles:
    """The angles within ±π that have these differences."""
    # In double precision: a sum over all frames would lose the digits that wrapping leaves.
    return wrapped(math.pi * frequency.cumsum(dim=1, dtype=torch.float64)).to(frequency.dtype)


def cos_sin(angle: Angles) -> Pairs:
    """Cosine and sine, which have no jumps."""
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def angle_from_cos_sin(pairs: Pairs) -> Angles:
    """Angles within ±π of pairs of any length."""
    return torch.atan2(pairs[:, 1], pairs[:, 0])


def anti_wrapping(estimate: Angles, target: Angles, weight: Weights | None = None) -> Scalar:
    """Mean f(Δ) + mean f(Δ's difference between bins) + mean f(Δ's difference between frames), in radians, where Δ is
    the error and f(x) = |x − 2π round(x / 2π)| (Ai and Ling, 2023; Lu, Ai and Ling, 2023).

    Means are weighted within each clip, by magnitudes for example; a difference counts as its quieter end does. Random
    angles cost π/2 a term.
    """
    error = estimate - target
    phase = _mean(wrapped(error).abs(), weight)
    group_delay = _mean(wrapped(error.diff(dim=2)).abs(), _quieter(weight, 2))
    frequency = _mean(wrapped(error.diff(dim=1)).abs(), _quieter(weight, 1))
    return phase + group_delay + frequency


def cosine_distance(estimate: Pairs, target: Pairs, weight: Weights | None = None) -> Scalar:
    """Mean 1 − cos of the angle between pairs of cosine and sine, whatever their length; weighted within each clip."""
    difference = F.normalize(estimate, dim=1, eps=SHORTEST_PAIR) - F.normalize(target, dim=1, eps=SHORTEST_PAIR)
    # Half the squared chord: unlike 1 minus the inner product, exactly 0 for equal pairs.
    return _mean(0.5 * difference.square().sum(dim=1), weight)


def _quieter(weight: Weights | None, dim: int) -> Float[Tensor, "clips frames2 bins2"] | None:
    if weight is None:
        return None
    length = weight.shape[dim] - 1
    return torch.minimum(weight.narrow(dim, 0, length), weight.narrow(dim, 1, length))


def _mean(values: Float[Tensor, "clips frames bins"], weight: Weights | None) -> Scalar:
    if weight is None:
        return values.mean()
    # A silent clip costs nothing.
    total = weight.sum(dim=(1, 2)).clamp(min=torch.finfo(weight.dtype).tiny)
    return ((values * weight).sum(dim=(1, 2)) / total).mean()

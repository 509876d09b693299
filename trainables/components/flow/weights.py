"""The number of weights of a flow, from its settings alone: for the size of checkpoints, without torch."""

from __future__ import annotations

from trainables.components.networks.weights import Weights, add_up, linear, norm, transposed_conv

TIME_DIM = 64
"""Sines and cosines of the time, together."""
EXPANSION = 2
"""Units inside a residual block, relative to those between blocks."""


def latent_flow(network: Weights) -> Weights:
    """Count a `LatentFlow`: the trained velocity network, and the one with averaged weights."""
    return network + network.freeze()


def velocity_network(latent_dim: int, condition_dim: int, *, width: int, num_blocks: int) -> Weights:
    """Count a `VelocityNetwork`."""
    block = linear(width, 2 * width) + linear(width, EXPANSION * width) + linear(EXPANSION * width, width)
    ends = linear(latent_dim, width) + linear(width, latent_dim)
    return add_up([ends, _style(condition_dim, width), *[block] * num_blocks])


def map_velocity_network(channels: int, side: int, condition_dim: int, *, width: int, num_blocks: int) -> Weights:
    """Count a `MapVelocityNetwork`; what is learnt of places is one tensor for each resolution."""
    half_area = (side // 2) ** 2
    block = linear(width, 2 * width) + linear(9 * width, width) + norm(width, "group") + linear(9 * width, width)
    ends = linear(9 * channels, width) + linear(9 * width, channels)
    places = Weights(2, width * (side**2 + half_area))
    between = linear(4 * width, width) + transposed_conv(width, width, 4) + linear(width * half_area, width * half_area)
    return add_up([ends, places, between, _style(condition_dim, width), *[block] * 3 * num_blocks])


def _style(condition_dim: int, width: int) -> Weights:
    """Count the layers of the style; the condition that stands for none is one tensor more."""
    return linear(TIME_DIM, width) + linear(condition_dim, width) + Weights(1, condition_dim)

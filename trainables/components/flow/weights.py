"""The number of weights of a flow, from its settings alone: for the size of checkpoints, without torch."""

from __future__ import annotations

from trainables.components.networks.weights import Weights, add_up, linear

TIME_DIM = 64
"""Sines and cosines of the time, together."""
EXPANSION = 2
"""Units inside a residual block, relative to those between blocks."""


def latent_flow(latent_dim: int, condition_dim: int, *, width: int, num_blocks: int) -> Weights:
    """Count a `LatentFlow`: the trained velocity network, and the one with averaged weights."""
    network = velocity_network(latent_dim, condition_dim, width=width, num_blocks=num_blocks)
    return network + network.freeze()


def velocity_network(latent_dim: int, condition_dim: int, *, width: int, num_blocks: int) -> Weights:
    """Count a `VelocityNetwork`; the condition that stands for none is one tensor more."""
    block = linear(width, 2 * width) + linear(width, EXPANSION * width) + linear(EXPANSION * width, width)
    layers = [linear(latent_dim, width), linear(TIME_DIM, width), linear(condition_dim, width)]
    return add_up([*layers, *[block] * num_blocks, linear(width, latent_dim), Weights(1, condition_dim)])

"""The number of weights of a judge's residual network, which `sound_to_image` has in its checkpoints; without torch."""

from __future__ import annotations

from itertools import pairwise

from trainables.components.networks.weights import Weights, add_up, conv_norm, linear, residual_block

MEL_BANDS = 64
PAIRED_FRAMES = 2
"""Full-resolution frames that are averaged to one of a log-mel spectrogram."""
RESIDUAL_CHANNELS = (24, 32, 48, 64)


def residual_network(num_classes: int) -> Weights:
    """Count a `ResidualNetwork`, with the mean and the deviation of mel bands that it standardizes by."""
    stem = conv_norm(1, RESIDUAL_CHANNELS[0], 7)
    blocks = add_up(residual_block(*pair) for pair in pairwise(RESIDUAL_CHANNELS))
    scale = Weights(kept=2, kept_values=2 * MEL_BANDS)
    return stem + blocks + linear(RESIDUAL_CHANNELS[-1], num_classes) + scale

"""The number of weights of sound_to_image's networks, from their settings alone; without torch."""

from __future__ import annotations

from itertools import pairwise

from trainables.components.flow.weights import latent_flow, map_velocity_network
from trainables.components.judges.weights import residual_network
from trainables.components.networks.weights import Weights, add_up, linear, norm, spectral
from trainables.sound_to_image.config import SoundToImageConfig

NUM_FEATURES = 64
"""Features of a sound in the condition network."""
FIRST_PX = 4
WIDTHS = {4: 4.0, 8: 4.0, 16: 2.0, 32: 1.0, 64: 0.5}
"""Channels of the generator's maps by their side, in units of its width: each size costs about the same."""
EMBEDDED_DIM = 64
"""Size of the condition after the generator's first layer."""
LATENT_PX = 8
LATENT_CHANNELS = 8
"""Side and number of the maps that a picture is encoded into."""
AUTOENCODER_WIDTHS = (64, 32, 16)
"""Channels of the maps of the picture autoencoder's decoder, from those of the latents' side up."""


def count_condition(config: SoundToImageConfig, num_classes: int) -> int:
    """Return the size of the condition that a generator gets."""
    return NUM_FEATURES if config.condition == "features" else num_classes


def generator_channels(width: int, image_size: int) -> list[int]:
    """Return the channels of the generator's maps, from the smallest to those of the picture's size."""
    return [int(width * share) for side, share in WIDTHS.items() if side <= image_size]


def discriminator_channels(width: int, image_size: int) -> list[int]:
    """Return the channels of the discriminator's maps: a convolution and each block halve them, down to 4x4."""
    shares = (1, 2, 4, 4)[: (image_size // FIRST_PX).bit_length() - 1]
    return [width * share for share in shares]


def autoencoder_channels(image_size: int) -> list[int]:
    """Return the channels of the decoder's maps: each step doubles their side, up to half of the picture's."""
    return list(AUTOENCODER_WIDTHS[: (image_size // LATENT_PX).bit_length() - 1])


def count_weights(config: SoundToImageConfig, num_classes: int) -> Weights:
    """Count the networks of a `SoundToImage`: the condition network, the generator, its average, and what trains it."""
    condition_dim = count_condition(config, num_classes)
    condition = residual_network(num_classes)
    if config.classifier_lr_share == 0:
        condition = condition.freeze()
    scale = Weights(kept=2, kept_values=2 * NUM_FEATURES)
    if config.generator == "flow":
        network = map_velocity_network(
            LATENT_CHANNELS, LATENT_PX, condition_dim, width=config.flow_width, num_blocks=config.flow_blocks
        )
        return condition + scale + latent_flow(network) + _autoencoder(config.image_size).freeze()
    generator = _generator(config, condition_dim)
    return condition + generator + generator.freeze() + scale + _discriminator(config, condition_dim)


def _generator(config: SoundToImageConfig, condition_dim: int) -> Weights:
    channels = generator_channels(config.width, config.image_size)
    style_dim = config.noise_dim + EMBEDDED_DIM
    parts = [linear(condition_dim, EMBEDDED_DIM), linear(style_dim, channels[0] * FIRST_PX**2)]
    parts += [_conditional_norm(count, style_dim) for count in channels]
    for above, below in pairwise(channels):
        parts += [linear(9 * above, below), linear(above, below, bias=False)]
    return add_up([*parts, linear(9 * channels[-1], 3)])


def _conditional_norm(channels: int, style_dim: int) -> Weights:
    """Count a `ConditionalNorm`: two layers, and the statistics of batches with a counter of eight bytes."""
    layer = linear(style_dim, channels)
    return layer + layer + Weights(kept=3, kept_values=2 * channels + 2)


def _discriminator(config: SoundToImageConfig, condition_dim: int) -> Weights:
    channels = discriminator_channels(config.width, config.image_size)
    parts = [spectral(16 * 3, channels[0]), spectral(channels[-1], 1)]
    parts.append(spectral(condition_dim, channels[-1], bias=False))
    for above, below in pairwise(channels):
        parts += [spectral(9 * above, below), spectral(9 * below, below), spectral(above, below, bias=False)]
    return add_up(parts)


def _autoencoder(image_size: int) -> Weights:
    """Count a `PictureAutoencoder`: the convolutions of its decoder, and the mean, components and scale of patches."""
    channels = autoencoder_channels(image_size)
    parts = [linear(9 * LATENT_CHANNELS, channels[0]), linear(9 * channels[-1], 12)]
    for count in channels:
        parts += [norm(count, "group") + linear(9 * count, count)] * 2
    parts += [linear(9 * below, 4 * above) for below, above in pairwise(channels)]
    patch_values = 3 * (image_size // LATENT_PX) ** 2
    components = Weights(kept=3, kept_values=(1 + LATENT_CHANNELS) * patch_values + LATENT_CHANNELS)
    return add_up([*parts, components])

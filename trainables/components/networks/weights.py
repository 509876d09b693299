"""The number of weights of networks, from their settings alone: for the size of checkpoints, without torch.

Each function counts what the network of the same name in `convolutions`, `time_slots`, `bottleneck` or `backbones` has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

BOTTOM = (3, 8)
"""Frames and bins of the map at the lowest level of encoder and decoder; a longer clip has more frames there."""
MIN_CHANNELS = 4
SMALL_CHANNELS = (24, 48, 96, 128)
"""Channels of the small backbone of pictures."""
RESNET_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}
"""Blocks of each stage (He et al., 2016)."""
VALUE_BYTES = 4
TENSOR_BYTES = 300
"""The bytes of a tensor in a file, beside its numbers."""

MAX_SLOTS = 16
"""The most slots of a network that shares its weights over time; the smallest size has half as many."""
SLOT_BRANCHES = 2
"""Its residual branches, at each of its two resolutions."""
MAX_HEADS = 4
"""The most heads of the attention next to the latent."""
DISCRIMINATOR_BANDS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
"""The edges of the discriminators' bands, as shares of a spectrogram's bins (Kumar et al., 2023)."""
DISCRIMINATOR_WIDTH = 16
DISCRIMINATOR_STEPS = 3
"""The channels of a discriminator's maps, and the number of times that its frames are halved."""

NormName = Literal["group", "batch"]
BottleneckName = Literal["plain", "spectral_norm", "attention"]
ArchitectureName = Literal["maps", "time_slots"]
BackboneName = Literal["small", "resnet18", "resnet50"]


@dataclass(frozen=True)
class Weights:
    """Numbers of tensors, and of the float32 values in them.

    Attributes:
        trained: tensors that an optimizer trains.
        trained_values: the values in them.
        kept: the other tensors of a state, such as the statistics of a batch normalization.
        kept_values: the values in them.
    """

    trained: int = 0
    trained_values: int = 0
    kept: int = 0
    kept_values: int = 0

    def __add__(self, other: Weights) -> Weights:
        """Return the weights of both."""
        return Weights(
            self.trained + other.trained,
            self.trained_values + other.trained_values,
            self.kept + other.kept,
            self.kept_values + other.kept_values,
        )

    def freeze(self) -> Weights:
        """Return the same weights, none of them trained."""
        return Weights(kept=self.trained + self.kept, kept_values=self.trained_values + self.kept_values)

    @property
    def checkpoint_bytes(self) -> int:
        """The size of a checkpoint with these weights and the Adam that trains them."""
        # For each trained tensor, Adam saves two of the same size and a counter.
        num_values = 3 * self.trained_values + self.kept_values
        return VALUE_BYTES * num_values + TENSOR_BYTES * (4 * self.trained + self.kept)


def add_up(parts: Iterable[Weights]) -> Weights:
    """Return the weights of all parts of a network."""
    return sum(parts, Weights())


def pad_frames(frames: int, bins: int) -> int:
    """Return the frames that the networks process of clips with so many: whole ones on the lowest map, and whole slots.

    They are more where the clip's frames can't be halved as often as its bins.
    """
    step = bins // BOTTOM[1]
    return -(-frames // step) * step


def count_bottom_frames(frames: int, bins: int) -> int:
    """Return the frames of the lowest map, of padded clips with so many frames and bins."""
    return frames * BOTTOM[1] // bins


def level_channels(width: int, frames: int, bottom_frames: int = BOTTOM[0]) -> list[int]:
    """Return the channels of each level, from the spectrogram down: `width` at the lowest two, half at each above."""
    depth = int(math.log2(frames // bottom_frames))
    return [max(MIN_CHANNELS, width >> max(0, depth - level - 1)) for level in range(depth + 1)]


def count_slots(bins: int) -> int:
    """Return the number of slots that a network of the architecture `time_slots` divides clips of so many bins into."""
    return min(MAX_SLOTS, bins // BOTTOM[1])


def linear(num_inputs: int, num_outputs: int, *, bias: bool = True) -> Weights:
    """Count a linear layer, or a convolution whose kernel has `num_inputs` values."""
    return Weights(1 + bias, num_outputs * (num_inputs + bias))


def transposed_conv(in_channels: int, channels: int, kernel: int) -> Weights:
    """Count a transposed convolution whose kernel has so many pixels."""
    return Weights(2, in_channels * channels * kernel + channels)


def norm(channels: int, kind: NormName) -> Weights:
    """Count a normalization: scale and offset; for batches also their statistics and a counter of eight bytes."""
    affine = Weights(2, 2 * channels)
    return affine + Weights(kept=3, kept_values=2 * channels + 2) if kind == "batch" else affine


def _branches(channels: int, kind: NormName) -> Weights:
    """Count the two residual branches of a block of the encoder or the decoder."""
    branch = norm(channels, kind) + linear(9 * channels, channels)
    return branch + branch


def spectral(num_inputs: int, num_outputs: int, *, bias: bool = True) -> Weights:
    """Count a layer under spectral normalization, which keeps a vector for each side of its matrix."""
    return linear(num_inputs, num_outputs, bias=bias) + Weights(kept=2, kept_values=num_inputs + num_outputs)


def latent_layers(bottleneck: BottleneckName, channels: int, positions: int, matrix: tuple[int, int]) -> Weights:
    """Count what a bottleneck adds to the plain layer next to the latent, in an encoder or a decoder.

    Args:
        bottleneck: the setting.
        channels: channels of the lowest map.
        positions: its frames times its bins.
        matrix: rows and columns of the layer's matrix under spectral normalization.
    """
    if bottleneck == "spectral_norm":
        return Weights(1, 1, 2, sum(matrix))
    if bottleneck == "attention":
        places = Weights(1, positions * channels)
        return norm(channels, "group") + places + linear(channels, 3 * channels) + linear(channels, channels)
    return Weights()


def encoder(
    shape: tuple[int, int, int], num_outputs: int, *, width: int, kind: NormName, bottleneck: BottleneckName = "plain"
) -> Weights:
    """Count an `Encoder` of clips of so many maps, frames and bins."""
    num_maps, frames, bins = shape
    bottom_frames = count_bottom_frames(frames, bins)
    channels, positions = level_channels(width, frames, bottom_frames), bottom_frames * BOTTOM[1]
    parts = [linear(num_maps, channels[0]), linear(channels[-1] * positions, num_outputs)]
    for above, below in pairwise(channels):
        parts += [linear(4 * above, below), linear(below, below), _branches(below, kind), _branches(below, kind)]
    matrix = num_outputs, channels[-1] * positions
    return add_up([*parts, latent_layers(bottleneck, channels[-1], positions, matrix)])


def decoder(
    shape: tuple[int, int, int], num_latents: int, *, width: int, kind: NormName, bottleneck: BottleneckName = "plain"
) -> Weights:
    """Count a `Decoder` of so many maps, frames and bins."""
    num_maps, frames, bins = shape
    bottom_frames = count_bottom_frames(frames, bins)
    channels, positions = level_channels(width, frames, bottom_frames)[::-1], bottom_frames * BOTTOM[1]
    parts = [transposed_conv(num_latents, channels[0], positions), linear(channels[-1], num_maps)]
    for below, above in pairwise(channels):
        parts += [linear(below, below), linear(below, above), _branches(below, kind), _branches(above, kind)]
        parts.append(transposed_conv(above, above, 16))
    matrix = channels[0], num_latents * positions
    return add_up([*parts, latent_layers(bottleneck, channels[0], positions, matrix)])


def quantizer(vector_size: int, num_codebooks: int, codebook_size: int) -> Weights:
    """Count a `ResidualQuantizer`: codes, their moving averages and a flag, none of them trained by an optimizer."""
    return Weights(kept=4, kept_values=num_codebooks * codebook_size * (2 * vector_size + 1) + 1)


def discriminators() -> Weights:
    """Count `BandDiscriminators`."""
    width = DISCRIMINATOR_WIDTH
    one = spectral(9, width) + add_up([spectral(9 * width, width)] * (DISCRIMINATOR_STEPS + 1)) + spectral(9 * width, 1)
    return add_up([one] * (len(DISCRIMINATOR_BANDS) - 1))


def slot_encoder(shape: tuple[int, int, int], num_outputs: int, *, width: int, kind: NormName) -> Weights:
    """Count a `SlotEncoder` with so many outputs a clip."""
    num_maps, frames, bins = shape
    num_slots = count_slots(bins)
    ends = linear(num_maps * bins, width // 2) + linear(width, num_outputs // num_slots)
    return ends + _slots(frames // num_slots * (width // 2), width, width, kind)


def slot_decoder(shape: tuple[int, int, int], num_latents: int, *, width: int, kind: NormName) -> Weights:
    """Count a `SlotDecoder`."""
    num_maps, frames, bins = shape
    num_slots = count_slots(bins)
    ends = linear(num_latents // num_slots, width) + linear(width // 2, num_maps * bins)
    return ends + _slots(width, frames // num_slots * (width // 2), width, kind)


def _slots(num_inputs: int, num_outputs: int, width: int, kind: NormName) -> Weights:
    """Count the layer between frames and slots, and the branches on both of its sides."""
    branches = [
        norm(channels, kind) + linear(3 * channels, channels) + linear(channels, channels)
        for channels in (width // 2, width)
    ]
    return linear(num_inputs, num_outputs) + add_up(branches * SLOT_BRANCHES)


def bottleneck(
    shape: tuple[int, int, int],
    num_latents: int,
    *,
    width: int,
    norm: NormName,
    is_variational: bool,
    has_linear_path: bool,
    num_sigma_maps: int = 0,
    bottleneck: BottleneckName = "plain",
    architecture: ArchitectureName = "maps",
) -> Weights:
    """Count a `Bottleneck` with these arguments.

    `num_sigma_maps` is the number of maps that the decoder returns for σ. What σ itself keeps is left out: of this
    repository's, only `learned` and `optimal` keep anything, a number or two.
    """
    num_channels, frames, bins = shape[0], pad_frames(*shape[1:]), shape[2]
    shape = (num_channels, frames, bins)
    num_outputs = num_latents * (2 if is_variational else 1)
    num_maps = num_channels + num_sigma_maps
    if architecture == "time_slots":
        networks = slot_encoder(shape, num_outputs, width=width, kind=norm)
        networks += slot_decoder((num_maps, frames, bins), num_latents, width=width, kind=norm)
    else:
        networks = encoder(shape, num_outputs, width=width, kind=norm, bottleneck=bottleneck)
        networks += decoder((num_maps, frames, bins), num_latents, width=width, kind=norm, bottleneck=bottleneck)
    if has_linear_path:
        num_slots = count_slots(bins) if architecture == "time_slots" else 1
        num_values = math.prod(shape) // num_slots
        networks += Weights(2, 2 * num_values * (num_latents // num_slots), 1, num_values)
    return networks


def backbone(name: BackboneName) -> tuple[Weights, int]:
    """Count a `Backbone`, and return the number of its features, too."""
    body, num_features = _small() if name == "small" else _resnet(name)
    # Mean and standard deviation of the three colours.
    return body + Weights(kept=2, kept_values=6), num_features


def conv_norm(in_channels: int, channels: int, size: int) -> Weights:
    """Count a convolution without bias, followed by batch normalization."""
    return linear(in_channels * size**2, channels, bias=False) + norm(channels, "batch")


def residual_block(in_channels: int, channels: int) -> Weights:
    """Count a `ResidualBlock`."""
    skip = linear(in_channels, channels, bias=False)
    return conv_norm(in_channels, channels, 3) + conv_norm(channels, channels, 3) + skip


def _small() -> tuple[Weights, int]:
    return add_up(residual_block(*pair) for pair in pairwise((3, *SMALL_CHANNELS))), SMALL_CHANNELS[-1]


def _resnet(name: str) -> tuple[Weights, int]:
    """Count a ResNet without its last layer; the blocks of the 50-layer one are bottlenecks."""
    is_deep = name == "resnet50"
    parts, channels = [conv_norm(3, 64, 7)], 64
    for stage, num_blocks in enumerate(RESNET_BLOCKS[name]):
        width = 64 * 2**stage
        num_outputs = 4 * width if is_deep else width
        for _ in range(num_blocks):
            sizes = (1, 3, 1) if is_deep else (3, 3)
            widths = [channels, *[width] * (len(sizes) - 1), num_outputs]
            parts += [conv_norm(*pair, size) for pair, size in zip(pairwise(widths), sizes, strict=True)]
            if channels != num_outputs:
                parts.append(conv_norm(channels, num_outputs, 1))
            channels = num_outputs
    return add_up(parts), channels

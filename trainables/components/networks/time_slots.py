"""A network of an autoencoder that shares its weights over time: a clip is 16 slots, and each has as many latents.

Every bin of frequency is a channel, and convolutions run along time alone: first frame by frame, then slot by slot. A
sound that comes later has the same latents, in later slots. The maps of `convolutions` flatten to one vector instead,
in which every moment of a clip has weights of its own. On the demo corpus slots have the smaller error, but the judge
recognizes fewer of the sounds (search_spaces/README.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.networks.convolutions import HEAD_GAIN, conv, norm
from trainables.components.networks.pca_path import LinearPath
from trainables.components.networks.weights import SLOT_BRANCHES, NormName, count_slots
from trainables.components.shapes import Clips, Latents

Columns = Float[Tensor, "clips channels time 1"]
Slots = Float[Tensor, "slots channels slot_frames bins"]


class TimeBranch(nn.Module):
    """A residual branch: norm, convolution over three neighbours in time, leaky ReLU, 1x1 convolution from zero."""

    def __init__(self, channels: int, *, slope: float, kind: NormName) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            norm(kind, channels),
            # Ends of a clip continue with zeros.
            nn.ZeroPad2d((0, 0, 1, 1)),
            conv(channels, channels, (3, 1)),
            nn.LeakyReLU(slope),
            conv(channels, channels, 1, gain=0.0),
        )

    def forward(self, columns: Columns) -> Columns:
        """Return the columns plus what the branch adds."""
        added: Columns = columns + self.layers(columns)
        return added


class SlotEncoder(nn.Module):
    """A network from clips to latents, slot after slot.

    Args:
        shape: channels, frames and bins of a clip.
        num_latents: latents of a clip, a multiple of the number of slots.
        width: channels of the slots; the frames have half as many.
        slope: the negative slope of the leaky ReLUs.
        kind: the normalization.
        num_outputs: numbers for each latent: its mean and, in a variational network, its log-variance.
        gain: the gain of the last layer's initial weights.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_latents: int,
        *,
        width: int,
        slope: float,
        kind: NormName,
        num_outputs: int = 1,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        num_maps, frames, bins = shape
        self._num_slots = count_slots(bins)
        self._num_outputs = num_outputs
        self.frame_layers = nn.Sequential(conv(num_maps * bins, width // 2, 1), *_branches(width // 2, slope, kind))
        # Slots don't overlap, so that a 1x1 convolution of all frames of a slot is a strided one.
        self.narrow = conv(frames // self._num_slots * (width // 2), width, 1)
        self.layers = nn.Sequential(*_branches(width, slope, kind))
        self.end = conv(width, num_outputs * num_latents // self._num_slots, 1, gain=gain)

    def forward(self, clips: Clips) -> Latents:
        """Return the outputs of each clip: all means, slot after slot, then all log-variances."""
        framed = self.frame_layers(clips.transpose(2, 3).flatten(1, 2)[..., None])[..., 0]
        columns = framed.unflatten(2, (self._num_slots, -1)).transpose(2, 3).flatten(1, 2)[..., None]
        outputs = self.end(self.layers(self.narrow(columns)))[..., 0].unflatten(1, (self._num_outputs, -1))
        latents: Latents = outputs.transpose(2, 3).flatten(1)
        return latents


class SlotDecoder(nn.Module):
    """A network from latents, slot after slot, to `num_maps` maps of a spectrogram's size.

    Args:
        shape: maps, frames and bins of the output.
        num_latents: latents of a clip.
        width: channels of the slots; the frames have half as many.
        slope: the negative slope of the leaky ReLUs.
        kind: the normalization.
        means: the initial biases of the first maps; those of the others are 0.
        gain: the gain of the last layer's initial weights.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_latents: int,
        *,
        width: int,
        slope: float,
        kind: NormName,
        means: Sequence[float],
        gain: float = HEAD_GAIN,
    ) -> None:
        super().__init__()
        self._shape = shape
        num_maps, frames, bins = shape
        self._num_slots = count_slots(bins)
        slot_frames = frames // self._num_slots
        self.layers = nn.Sequential(
            conv(num_latents // self._num_slots, width, 1),
            *_branches(width, slope, kind),
        )
        # A 1x1 convolution to all frames of a slot: a transposed convolution whose steps don't overlap.
        self.widen = conv(width, slot_frames * (width // 2), 1)
        self.frame_layers = nn.Sequential(*_branches(width // 2, slope, kind))
        self.head = conv(width // 2, num_maps * bins, 1, gain=gain)
        assert self.head.bias is not None
        with torch.no_grad():
            for number, mean in enumerate(means):
                self.head.bias[number * bins : (number + 1) * bins] = mean

    def forward(self, latents: Latents) -> Clips:
        """Return the maps of each clip."""
        num_maps, frames, bins = self._shape
        columns = latents.unflatten(1, (self._num_slots, -1)).transpose(1, 2)[..., None]
        slots = self.widen(self.layers(columns))[..., 0].unflatten(1, (frames // self._num_slots, -1))
        framed = slots.permute(0, 2, 3, 1).flatten(2)[..., None]
        maps: Clips = self.head(self.frame_layers(framed))[..., 0].unflatten(1, (num_maps, bins)).transpose(2, 3)
        return maps


class SlotPath(nn.Module):
    """A linear path whose weights are shared by all slots; `fit` sets them to the principal components of slots.

    Args:
        shape: channels, frames and bins of a clip.
        num_latents: latents of a clip, a multiple of the number of slots.
    """

    def __init__(self, shape: tuple[int, int, int], num_latents: int) -> None:
        super().__init__()
        num_channels, frames, bins = shape
        self._num_slots = count_slots(bins)
        self.slot = LinearPath((num_channels, frames // self._num_slots, bins), num_latents // self._num_slots)

    def fit(self, sample: Clips) -> None:
        """Set the weights to the principal components of the slots of a sample of clips."""
        self.slot.fit(self._cut(sample))

    def encode(self, clips: Clips) -> Latents:
        """Return the latents of clips, slot after slot."""
        latents: Latents = self.slot.encode(self._cut(clips)).unflatten(0, (len(clips), -1)).flatten(1)
        return latents

    def decode(self, latents: Latents) -> Clips:
        """Return the linear reconstructions of clips."""
        slots = self.slot.decode(latents.unflatten(1, (self._num_slots, -1)).flatten(0, 1))
        clips: Clips = slots.unflatten(0, (len(latents), -1)).transpose(1, 2).flatten(2, 3)
        return clips

    def _cut(self, clips: Clips) -> Slots:
        """Return the slots of clips, as clips of their own."""
        slots: Slots = clips.unflatten(2, (self._num_slots, -1)).transpose(1, 2).flatten(0, 1)
        return slots


def _branches(channels: int, slope: float, kind: NormName) -> list[TimeBranch]:
    return [TimeBranch(channels, slope=slope, kind=kind) for _ in range(SLOT_BRANCHES)]

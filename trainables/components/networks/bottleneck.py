"""The network of an autoencoder: convolutions to a latent and back, optionally with a linear path beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.losses.base import Sigma
from trainables.components.losses.reconstruction import LOG_VARIANCE_RANGE
from trainables.components.networks.convolutions import HEAD_GAIN, Decoder, Encoder
from trainables.components.networks.pca_path import LinearPath
from trainables.components.networks.quantizer import ResidualQuantizer
from trainables.components.networks.time_slots import SlotDecoder, SlotEncoder, SlotPath
from trainables.components.networks.weights import (
    ArchitectureName,
    BottleneckName,
    NormName,
    count_bottom_frames,
    pad_frames,
)
from trainables.components.shapes import Clips, Latents

Padded = Float[Tensor, "clips channels padded_frames bins"]

WEIGHT_DECAY = 1e-4
LINEAR_LR_SHARE = 0.01
"""The learning rate of the linear path, relative to the others. At 1 the first steps would undo the PCA."""
OPEN_LOG_VARIANCE = -4.0
"""The first log-variance beside a linear path: small against the unit variance of its latents, so that they pass."""


class Bottleneck(nn.Module):
    """An encoder and a decoder and, if the loss has one, the standard deviation σ of its likelihood.

    Untrained, the decoder returns about `means` for every clip or, after fitting the linear path, the reconstruction by
    principal components.

    Args:
        shape: channels, frames and bins of a clip. Frames that can't be halved often enough are padded within.
        num_latents: the length of the latent vector.
        width: channels of the lowest two levels of the convolutions.
        slope: the negative slope of the leaky ReLUs.
        norm: the normalization inside the residual branches.
        is_variational: whether the encoder returns log-variances as well.
        has_linear_path: whether a `LinearPath` is added to the convolutions.
        has_tanh: whether the output is bounded by a tanh.
        sigma: the module that computes σ; None for losses without one.
        means: the mean of each channel over the train clips.
        bottleneck: the layers next to the latent.
        quantizer: quantizes the latents; None for losses without codebooks.
        architecture: `maps` halves a map of the whole clip; `time_slots` shares its weights over time.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_latents: int,
        *,
        width: int,
        slope: float,
        norm: NormName,
        is_variational: bool,
        has_linear_path: bool,
        has_tanh: bool,
        sigma: Sigma | None,
        means: Sequence[float] = (),
        bottleneck: BottleneckName = "plain",
        quantizer: ResidualQuantizer | None = None,
        architecture: ArchitectureName = "maps",
    ) -> None:
        super().__init__()
        self.num_latents = num_latents
        self.is_variational = is_variational
        self.has_tanh = has_tanh
        self.num_channels, self._num_frames, bins = shape
        num_padded = pad_frames(self._num_frames, bins)
        self._num_added = num_padded - self._num_frames
        shape = self.num_channels, num_padded, bins
        sizes = _Sizes(
            shape=shape,
            num_latents=num_latents,
            num_outputs=2 if is_variational else 1,
            num_maps=self.num_channels + (0 if sigma is None else sigma.num_maps),
            width=width,
            slope=slope,
            norm=norm,
        )
        # Beside a linear path, the outputs of the untrained convolutions are 0.
        gains = (0.0, 0.0) if has_linear_path else (1.0, HEAD_GAIN)
        means = () if has_linear_path else means
        self.encoder: Encoder | SlotEncoder
        self.decoder: Decoder | SlotDecoder
        if architecture == "time_slots":
            self.encoder, self.decoder = _make_slots(sizes, means, gains)
        else:
            self.encoder, self.decoder = _make_maps(sizes, means, gains, bottleneck)
        self.sigma = sigma
        self.quantizer = quantizer
        # On CPUs convolutions with few channels are twice as fast with the channels last.
        self.to(memory_format=torch.channels_last)
        self.linear_path = _make_linear_path(architecture, shape, num_latents) if has_linear_path else None
        if has_linear_path and is_variational:
            biases = self.encoder.end.bias
            assert biases is not None
            nn.init.constant_(biases[len(biases) // 2 :], OPEN_LOG_VARIANCE)

    def _pad(self, normalized: Clips) -> Padded:
        """Return clips with as many frames of zeros at their end as the networks need."""
        return F.pad(normalized, (0, 0, 0, self._num_added)) if self._num_added else normalized

    def fit_linear_path(self, sample: Clips) -> None:
        """Set the linear path's weights to the principal components of a sample of normalized clips."""
        assert self.linear_path is not None
        self.linear_path.fit(self._pad(sample))

    def encode(self, normalized: Clips, autocast: torch.autocast) -> tuple[Latents, Latents | None]:
        """Return the means of the latents and, of a variational network, their log-variances."""
        padded = self._pad(normalized)
        with autocast:
            outputs = self.encoder(padded)
        mean, log_variance = outputs.float(), None
        if self.is_variational:
            mean, log_variance = mean.chunk(2, dim=1)
            log_variance = log_variance.clamp(*LOG_VARIANCE_RANGE)
        if self.linear_path is not None:
            mean = mean + self.linear_path.encode(padded)
        return mean, log_variance

    def decode(
        self, latents: Latents, autocast: torch.autocast
    ) -> tuple[Clips, Float[Tensor, "clips 1 frames bins"] | None]:
        """Return normalized clips and, if σ is computed from one, the decoder's map for it."""
        with autocast:
            maps = self.decoder(latents).float()
        estimate, spread = maps[:, : self.num_channels], maps[:, self.num_channels :]
        if self.linear_path is not None:
            estimate = estimate + self.linear_path.decode(latents)
        if self._num_added:
            estimate, spread = (part[:, :, : self._num_frames] for part in (estimate, spread))
        if self.has_tanh:
            estimate = estimate.tanh()
        return estimate, spread if spread.shape[1] else None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups of an optimizer; `lr_share` of each is a factor on the learning rate."""
        convolutions = [parameter for part in (self.encoder, self.decoder) for parameter in part.parameters()]
        convolutions += [] if self.sigma is None else self.sigma.parameters()
        linear = [] if self.linear_path is None else list(self.linear_path.parameters())
        # Weight decay is for matrices; the scales of norms and the biases, which are vectors, have none.
        matrices = [parameter for parameter in convolutions if parameter.ndim > 1]
        vectors = [parameter for parameter in convolutions if parameter.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": matrices, "weight_decay": WEIGHT_DECAY, "lr_share": 1.0},
            {"params": vectors, "weight_decay": 0.0, "lr_share": 1.0},
            {"params": linear, "weight_decay": 0.0, "lr_share": LINEAR_LR_SHARE},
        ]
        return [group for group in groups if group["params"]]


@dataclass(frozen=True)
class _Sizes:
    """The sizes of an encoder and a decoder, with the names that `Bottleneck` gives them.

    `num_outputs` is the number of the encoder's outputs for each latent, `num_maps` that of the decoder's maps.
    """

    shape: tuple[int, int, int]
    num_latents: int
    num_outputs: int
    num_maps: int
    width: int
    slope: float
    norm: NormName


def _make_maps(
    sizes: _Sizes, means: Sequence[float], gains: tuple[float, float], bottleneck: BottleneckName
) -> tuple[Encoder, Decoder]:
    num_channels, frames, bins = sizes.shape
    bottom_frames = count_bottom_frames(frames, bins)
    encoder = Encoder(
        frames,
        sizes.num_latents * sizes.num_outputs,
        width=sizes.width,
        slope=sizes.slope,
        kind=sizes.norm,
        gain=gains[0],
        num_maps=num_channels,
        bottleneck=bottleneck,
        bottom_frames=bottom_frames,
    )
    decoder = Decoder(
        frames,
        sizes.num_latents,
        width=sizes.width,
        slope=sizes.slope,
        kind=sizes.norm,
        means=means,
        gain=gains[1],
        num_maps=sizes.num_maps,
        bottleneck=bottleneck,
        bottom_frames=bottom_frames,
    )
    return encoder, decoder


def _make_slots(sizes: _Sizes, means: Sequence[float], gains: tuple[float, float]) -> tuple[SlotEncoder, SlotDecoder]:
    encoder = SlotEncoder(
        sizes.shape,
        sizes.num_latents,
        width=sizes.width,
        slope=sizes.slope,
        kind=sizes.norm,
        num_outputs=sizes.num_outputs,
        gain=gains[0],
    )
    decoder = SlotDecoder(
        (sizes.num_maps, *sizes.shape[1:]),
        sizes.num_latents,
        width=sizes.width,
        slope=sizes.slope,
        kind=sizes.norm,
        means=means,
        gain=gains[1],
    )
    return encoder, decoder


def _make_linear_path(
    architecture: ArchitectureName, shape: tuple[int, int, int], num_latents: int
) -> LinearPath | SlotPath:
    return SlotPath(shape, num_latents) if architecture == "time_slots" else LinearPath(shape, num_latents)

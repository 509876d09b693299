"""What an autoencoder trains: convolutions down to a latent and back and, where wanted, a linear path beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.losses.reconstruction import LOG_VARIANCE_RANGE
from trainables.components.losses.sigmas import Sigma
from trainables.components.networks.convolutions import HEAD_GAIN, Decoder, Encoder, NormName
from trainables.components.networks.pca_path import LinearPath

WEIGHT_DECAY = 1e-4
LINEAR_LR_SHARE = 0.01
"""Of the learning rate. At all of it the first steps would undo what the principal components had done."""
OPEN_LOG_VARIANCE = -4.0
"""Beside a linear path, whose latents have unit variance, a distribution begins this narrow, and lets them through."""

Clips = Float[Tensor, "clips channels frames bins"]
Latents = Float[Tensor, "clips latents"]


class Bottleneck(nn.Module):
    """Encoder and decoder, and σ where the loss has one; untrained, they give about `means` for every clip or, once the
    linear path was fitted, what principal components do."""

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
    ) -> None:
        super().__init__()
        self.num_latents = num_latents
        self.is_variational = is_variational
        self.has_tanh = has_tanh
        self.num_channels, frames = shape[:2]
        # Beside a linear path, the convolutions begin with nothing to say.
        gains = (0.0, 0.0) if has_linear_path else (1.0, HEAD_GAIN)
        self.encoder = Encoder(
            frames,
            num_latents * (2 if is_variational else 1),
            width=width,
            slope=slope,
            kind=norm,
            gain=gains[0],
            num_maps=self.num_channels,
        )
        self.decoder = Decoder(
            frames,
            num_latents,
            width=width,
            slope=slope,
            kind=norm,
            means=() if has_linear_path else means,
            gain=gains[1],
            num_maps=self.num_channels + (0 if sigma is None else sigma.num_maps),
        )
        self.sigma = sigma
        # On CPUs convolutions with few channels are twice as fast with the channels last.
        self.to(memory_format=torch.channels_last)
        self.linear_path = LinearPath(shape, num_latents) if has_linear_path else None
        if has_linear_path and is_variational:
            assert self.encoder.end.bias is not None
            nn.init.constant_(self.encoder.end.bias[num_latents:], OPEN_LOG_VARIANCE)

    def encode(self, normalized: Clips, autocast: torch.autocast) -> tuple[Latents, Latents | None]:
        """Means and, where it is variational, log-variances of the latents."""
        with autocast:
            outputs = self.encoder(normalized)
        mean, log_variance = outputs.float(), None
        if self.is_variational:
            mean, log_variance = mean.chunk(2, dim=1)
            log_variance = log_variance.clamp(*LOG_VARIANCE_RANGE)
        if self.linear_path is not None:
            mean = mean + self.linear_path.encode(normalized)
        return mean, log_variance

    def decode(
        self, latents: Latents, autocast: torch.autocast
    ) -> tuple[Clips, Float[Tensor, "clips 1 frames bins"] | None]:
        """Normalized clips and, where it is made there, what σ is made of."""
        with autocast:
            maps = self.decoder(latents).float()
        estimate, spread = maps[:, : self.num_channels], maps[:, self.num_channels :]
        if self.linear_path is not None:
            estimate = estimate + self.linear_path.decode(latents)
        return estimate.tanh() if self.has_tanh else estimate, spread if spread.shape[1] else None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """For an optimizer; each trains at `lr_share` of the learning rate."""
        convolutions = [parameter for part in (self.encoder, self.decoder) for parameter in part.parameters()]
        convolutions += [] if self.sigma is None else self.sigma.parameters()
        linear = [] if self.linear_path is None else list(self.linear_path.parameters())
        # Norms and biases are vectors; decay would only pull them off what the data need.
        groups: list[dict[str, Any]] = [
            {
                "params": [parameter for parameter in convolutions if parameter.ndim > 1],
                "weight_decay": WEIGHT_DECAY,
                "lr_share": 1.0,
            },
            {
                "params": [parameter for parameter in convolutions if parameter.ndim <= 1],
                "weight_decay": 0.0,
                "lr_share": 1.0,
            },
            {"params": linear, "weight_decay": 0.0, "lr_share": LINEAR_LR_SHARE},
        ]
        return [group for group in groups if group["params"]]

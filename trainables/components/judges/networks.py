"""The networks of the judges of sounds, and the log-mel spectrograms that they classify."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.audio.spectrogram import POWER_FLOOR, mel_filters
from trainables.components.judges.weights import MEL_BANDS, PAIRED_FRAMES, RESIDUAL_CHANNELS
from trainables.components.networks.residual import ResidualBlock, conv_norm

JudgeName = Literal["A", "B"]
DROPOUT = 0.3
PLAIN_CHANNELS = (16, 32, 64, 96)

Mel = Float[Tensor, "clips frames 64"]
Maps = Float[Tensor, "clips channels frames bands"]
Logits = Float[Tensor, "clips classes"]


def log_mel(log_power: Float[Tensor, "clips full 512"]) -> Mel:
    """Return the natural logarithm of the power in 64 mel bands, averaged over pairs of frames.

    Args:
        log_power: magnitudes on the full grid, as log-power in nats.
    """
    paired = F.avg_pool2d(log_power.exp()[:, None], (PAIRED_FRAMES, 1))[:, 0]
    return (paired @ mel_filters(MEL_BANDS, log_power.device) + POWER_FLOOR).log()


class Network(nn.Module, ABC):
    """A classifier of standardized log-mel spectrograms: feature maps, pooled to a vector, and a linear layer.

    Args:
        features: a spectrogram as a map of one channel to feature maps.
        num_pooled: the length of the vector that `pool` returns.
        num_classes: the number of logits.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: nn.Module, num_pooled: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(MEL_BANDS))
        self.register_buffer("std", torch.ones(MEL_BANDS))
        self.num_classes = num_classes
        self.features = features
        self.classify = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(num_pooled, num_classes))

    def standardize(self, mel: Mel) -> Mel:
        """Normalize each mel band by the mean and the standard deviation of the train clips."""
        return (mel - self.mean) / self.std

    @abstractmethod
    def pool(self, maps: Maps) -> Float[Tensor, "clips pooled"]:
        """Reduce feature maps to one vector a clip."""

    def embed(self, standardized: Mel) -> Float[Tensor, "clips pooled"]:
        """Return the activations below the last layer."""
        return self.pool(self.features(standardized[:, None]))

    def forward(self, standardized: Mel) -> Logits:
        """Return the logits of the classes."""
        logits: Logits = self.classify(self.embed(standardized))
        return logits


class PlainNetwork(Network):
    """Four convolutions with ReLU and max pooling, pooled by mean and maximum: the network of judge A."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(plain_features(1), 2 * PLAIN_CHANNELS[-1], num_classes)

    def pool(self, maps: Maps) -> Float[Tensor, "clips pooled"]:
        """Return the mean and the maximum of each map."""
        return mean_and_maximum(maps)


class ResidualNetwork(Network):
    """Three strided residual blocks with SiLU, pooled by the mean: the network of judge B."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(residual_features(1), RESIDUAL_CHANNELS[-1], num_classes)

    def pool(self, maps: Maps) -> Float[Tensor, "clips pooled"]:
        """Return the mean of each map."""
        return maps.mean(dim=(2, 3))


def plain_features(in_channels: int) -> nn.Sequential:
    """Build four convolutions with ReLU; their maps have a sixteenth of the input's height and width."""
    stem = conv_norm(in_channels, PLAIN_CHANNELS[0], 5, stride=2)
    layers: list[nn.Module] = [stem, nn.ReLU()]
    for above, below in pairwise(PLAIN_CHANNELS):
        layers += [conv_norm(above, below, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def residual_features(in_channels: int) -> nn.Sequential:
    """Build three residual blocks with SiLU; their maps have a sixteenth of the input's height and width."""
    stem = conv_norm(in_channels, RESIDUAL_CHANNELS[0], 7, stride=2)
    blocks = [ResidualBlock(above, below) for above, below in pairwise(RESIDUAL_CHANNELS)]
    return nn.Sequential(stem, nn.SiLU(), *blocks)


def mean_and_maximum(maps: Maps) -> Float[Tensor, "clips pooled"]:
    """Return the means of all maps, followed by their maxima."""
    return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


NETWORKS: dict[JudgeName, type[PlainNetwork] | type[ResidualNetwork]] = {"A": PlainNetwork, "B": ResidualNetwork}

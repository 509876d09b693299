"""The networks of judges: what they are given, and two of them that differ as much as they can."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.audio.spectrogram import POWER_FLOOR, mel_filters
from trainables.components.networks.residual import ResidualBlock, conv_norm

JudgeName = Literal["A", "B"]
MEL_FRAMES, MEL_BANDS = 96, 64
DROPOUT = 0.3
PLAIN_CHANNELS = (16, 32, 64, 96)
RESIDUAL_CHANNELS = (24, 32, 48, 64)

Mel = Float[Tensor, "clips 96 64"]
Maps = Float[Tensor, "clips channels frames bands"]
Logits = Float[Tensor, "clips classes"]


def log_mel(log_power: Float[Tensor, "clips 192 512"]) -> Mel:
    """Natural logarithm of the power in 64 mel bands, averaged over pairs of frames."""
    paired = F.avg_pool2d(log_power.exp()[:, None], (2, 1))[:, 0]
    return (paired @ mel_filters(MEL_BANDS, log_power.device) + POWER_FLOOR).log()


class Network(nn.Module, ABC):
    """Standardizes each mel band, and finds the classes' logits from what `features` and `pooled` make of the map."""

    mean: Tensor
    std: Tensor

    def __init__(self, features: nn.Module, num_pooled: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(MEL_BANDS))
        self.register_buffer("std", torch.ones(MEL_BANDS))
        self.features = features
        self.classify = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(num_pooled, num_classes))

    def standardize(self, mel: Mel) -> Mel:
        return (mel - self.mean) / self.std

    @abstractmethod
    def pool(self, maps: Maps) -> Float[Tensor, "clips pooled"]:
        """What is left of the maps for the classifier."""

    def embed(self, standardized: Mel) -> Float[Tensor, "clips pooled"]:
        """The activations from which the classes are told."""
        return self.pool(self.features(standardized[:, None]))

    def forward(self, standardized: Mel) -> Logits:
        logits: Logits = self.classify(self.embed(standardized))
        return logits


class PlainNetwork(Network):
    """Four convolutions with ReLU and max pooling; hears both a clip's average and its strongest moment."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(plain_features(1), 2 * PLAIN_CHANNELS[-1], num_classes)

    def pool(self, maps: Maps) -> Float[Tensor, "clips pooled"]:
        return mean_and_maximum(maps)


class ResidualNetwork(Network):
    """Three strided residual blocks with SiLU; hears a clip's average."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(residual_features(1), RESIDUAL_CHANNELS[-1], num_classes)

    def pool(self, maps: Maps) -> Float[Tensor, "clips pooled"]:
        return maps.mean(dim=(2, 3))


def plain_features(in_channels: int) -> nn.Sequential:
    """Four convolutions with ReLU; maps a sixteenth as long on each side."""
    stem = conv_norm(in_channels, PLAIN_CHANNELS[0], 5, stride=2)
    blocks = [
        layer
        for above, below in pairwise(PLAIN_CHANNELS)
        for layer in (conv_norm(above, below, 3), nn.ReLU(), nn.MaxPool2d(2))
    ]
    return nn.Sequential(stem, nn.ReLU(), *blocks)


def residual_features(in_channels: int) -> nn.Sequential:
    """Three residual blocks with SiLU; maps a sixteenth as long on each side."""
    stem = conv_norm(in_channels, RESIDUAL_CHANNELS[0], 7, stride=2)
    blocks = [ResidualBlock(above, below) for above, below in pairwise(RESIDUAL_CHANNELS)]
    return nn.Sequential(stem, nn.SiLU(), *blocks)


def mean_and_maximum(maps: Maps) -> Float[Tensor, "clips pooled"]:
    """Both the average of a map and its strongest place."""
    return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


NETWORKS: dict[JudgeName, type[PlainNetwork] | type[ResidualNetwork]] = {"A": PlainNetwork, "B": ResidualNetwork}

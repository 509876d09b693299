"""The networks of judges: what they are given, and two of them that differ as much as they can."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.spectrogram import POWER_FLOOR, mel_filters

JudgeName = Literal["A", "B"]
MEL_FRAMES, MEL_BANDS = 96, 64
DROPOUT = 0.3

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

    def standardized(self, mel: Mel) -> Mel:
        return (mel - self.mean) / self.std

    @abstractmethod
    def pooled(self, maps: Maps) -> Float[Tensor, "clips pooled"]:
        """What is left of the maps for the classifier."""

    def embedded(self, standardized: Mel) -> Float[Tensor, "clips pooled"]:
        """The activations from which the classes are told."""
        return self.pooled(self.features(standardized[:, None]))

    def forward(self, standardized: Mel) -> Logits:
        logits: Logits = self.classify(self.embedded(standardized))
        return logits


class PlainNetwork(Network):
    """Four convolutions with ReLU and max pooling; hears both a clip's average and its strongest moment."""

    def __init__(self, num_classes: int) -> None:
        channels = (16, 32, 64, 96)
        stem = _conv_norm(1, channels[0], 5, stride=2)
        blocks = [
            layer
            for above, below in pairwise(channels)
            for layer in (_conv_norm(above, below, 3), nn.ReLU(), nn.MaxPool2d(2))
        ]
        super().__init__(nn.Sequential(stem, nn.ReLU(), *blocks), 2 * channels[-1], num_classes)

    def pooled(self, maps: Maps) -> Float[Tensor, "clips pooled"]:
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


class ResidualNetwork(Network):
    """Three strided residual blocks with SiLU; hears a clip's average."""

    def __init__(self, num_classes: int) -> None:
        channels = (24, 32, 48, 64)
        stem = _conv_norm(1, channels[0], 7, stride=2)
        blocks = [ResidualBlock(above, below) for above, below in pairwise(channels)]
        super().__init__(nn.Sequential(stem, nn.SiLU(), *blocks), channels[-1], num_classes)

    def pooled(self, maps: Maps) -> Float[Tensor, "clips pooled"]:
        return maps.mean(dim=(2, 3))


class ResidualBlock(nn.Module):
    """Two convolutions beside a 1x1 one, all of which halve the map."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _conv_norm(in_channels, channels, 3, stride=2), nn.SiLU(), _conv_norm(channels, channels, 3)
        )
        self.skip = nn.Conv2d(in_channels, channels, 1, stride=2, bias=False)

    def forward(self, maps: Maps) -> Float[Tensor, "clips channels2 frames2 bands2"]:
        return F.silu(self.skip(maps) + self.branch(maps))


def _conv_norm(in_channels: int, channels: int, size: int, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, size, stride=stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


NETWORKS: dict[JudgeName, type[PlainNetwork] | type[ResidualNetwork]] = {"A": PlainNetwork, "B": ResidualNetwork}

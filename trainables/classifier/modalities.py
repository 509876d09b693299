"""What classifiers are given of clips, and the networks that tell their classes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.components.audio.spectrogram import log_power
from trainables.components.judges import training
from trainables.components.judges.networks import DROPOUT, NETWORKS, JudgeName, log_mel
from trainables.components.judges.picture_judge import PictureNetwork
from trainables.components.networks.backbones import Backbone
from trainables.components.pictures.augmentation import Pictures, as_floats, augment, degrade
from trainables.corpora.features import clip_power
from trainables.corpora.pictures import select_visible

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

Modality = Literal["sound", "image"]
NetworkName = Literal["plain", "residual", "resnet18", "resnet50"]
JUDGE_NAMES: dict[str, JudgeName] = {"plain": "A", "residual": "B"}
BATCH_CLIPS = 64

Mels = Float[Tensor, "clips 96 64"]
Given = Float[Tensor, "clips *shape"]


class Sounds:
    """The log-mels of clips, held in memory; with `spoil`, through all that trials do to them too, as judges learn."""

    def __init__(self, corpus: Corpus, clips: NDArray[np.int64], *, spoil: bool, seed: int) -> None:
        self.clips = clips
        parts = np.array_split(clips, range(BATCH_CLIPS, len(clips), BATCH_CLIPS))
        plain = torch.cat([log_mel(log_power(clip_power(corpus.waveforms(), part))) for part in parts])
        generator = torch.Generator().manual_seed(seed)
        self._variants = plain[None]
        if spoil:
            spoilt_too = [training.make_variants(clip_power(corpus.waveforms(), part), generator) for part in parts]
            self._variants = torch.cat(spoilt_too, dim=1).float()

    @cached_property
    def scale(self) -> tuple[Float[Tensor, " bands"], Float[Tensor, " bands"]]:
        """Mean and standard deviation of each band."""
        return self._variants[0].mean(dim=(0, 1)), self._variants[0].std(dim=(0, 1)).clamp(min=0.1)

    def plain(self, positions: Tensor) -> Mels:
        """As they are."""
        return self._variants[0, positions]

    def varied(self, positions: Tensor, generator: torch.Generator) -> Mels:
        """Rolled, louder or softer, noisy, and with a band of time and one of frequency at the mean."""
        variant = torch.randint(len(self._variants), (len(positions),), generator=generator)
        mels = training.augment(self._variants[variant, positions], generator)
        return torch.where(training.draw_masks(len(mels), generator), self.scale[0], mels)


class Images:
    """The pictures of those clips that have one; with `spoil`, half of them blurred and noisy."""

    def __init__(
        self, corpus: Corpus, clips: NDArray[np.int64], size: int, *, spoil: bool, required: bool = True
    ) -> None:
        pictures = corpus.frames(size)
        self.clips = select_visible(corpus, pictures, clips, required=required)
        self._pictures = pictures
        self._spoil = spoil

    def plain(self, positions: Tensor) -> Pictures:
        """As they are."""
        return as_floats(torch.from_numpy(self._pictures[self.clips[positions.numpy()]]))

    def varied(self, positions: Tensor, generator: torch.Generator) -> Pictures:
        """In other colours, moved, turned left to right, and with a part missing."""
        shown = augment(self.plain(positions), generator)
        if not self._spoil:
            return shown
        is_spoilt = torch.rand(len(shown), 1, 1, 1, generator=generator) < 0.5
        return torch.where(is_spoilt, degrade(shown, generator), shown)


class SoundNetwork(nn.Module):
    """A judge's kind of network behind its own scale."""

    def __init__(self, name: NetworkName, num_classes: int) -> None:
        super().__init__()
        self.body = NETWORKS[JUDGE_NAMES[name]](num_classes)

    def forward(self, mels: Mels) -> Float[Tensor, "clips classes"]:
        logits: Tensor = self.body(self.body.standardize(mels))
        return logits


class ResNet(nn.Module):
    """A ResNet of torchvision and a new last layer."""

    def __init__(self, name: Literal["resnet18", "resnet50"], weights: str, num_classes: int) -> None:
        super().__init__()
        self.body = Backbone(name, weights)
        self.classify = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(self.body.num_features, num_classes))

    def forward(self, pictures: Pictures) -> Float[Tensor, "clips classes"]:
        logits: Tensor = self.classify(self.body(pictures))
        return logits


def make_network(modality: Modality, name: NetworkName, weights: str, num_classes: int) -> nn.Module:
    """An untrained network, but for the weights of a ResNet.

    Raises:
        InputError: such weights can't be had.
    """
    if modality == "sound":
        return SoundNetwork(name, num_classes)
    if name in ("resnet18", "resnet50"):
        return ResNet(name, weights, num_classes)
    return PictureNetwork(JUDGE_NAMES[name], num_classes)

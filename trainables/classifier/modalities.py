"""The inputs of classifiers (log-mels or pictures of clips), and their networks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float, Float16
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.classifier.config import Modality, NetworkName
from trainables.components.judges import training
from trainables.components.judges.log_mels import open_mels
from trainables.components.judges.networks import DROPOUT, NETWORKS, JudgeName
from trainables.components.judges.picture_judge import PictureNetwork
from trainables.components.judges.weights import MEL_BANDS
from trainables.components.networks.backbones import Backbone
from trainables.components.pictures.augmentation import Pictures, as_floats, augment, degrade
from trainables.components.training.batches import Batch
from trainables.corpora.features import clip_power
from trainables.corpora.pictures import select_visible
from trainables.corpora.shards.rows import SplitRows

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

JUDGE_NAMES: dict[str, JudgeName] = {"plain": "A", "residual": "B"}
"""The judge that has the same network, with other weights."""
BATCH_CLIPS = 64

Mels = Float[Tensor, "clips frames 64"]
Variants = Float16[Tensor, "clips frames 64"]


class Sounds:
    """The log-mels of clips, read from the corpus's cache, and variants of them, held in memory.

    Attributes:
        clips: the clips, as rows of the corpus's table.
        column: their log-mels, as they are read.
    """

    def __init__(self, corpus: Corpus, clips: NDArray[np.int64], *, spoil: bool, seed: int) -> None:
        """Open the log-mels.

        Args:
            corpus: where the clips are from.
            clips: rows of the corpus's table.
            spoil: whether to compute, as for judges, variants of smaller resolution, and of these blurred, noisy ones.
            seed: of those variants' noise.
        """
        self.clips = clips
        # Augmentations run on the processor.
        processor, most_bytes = torch.device("cpu"), corpus.in_memory_bytes
        self.column = SplitRows(open_mels(corpus), clips, processor, most_bytes=most_bytes)
        self._spoilt: list[Variants] = []
        if spoil:
            parts = np.array_split(clips, range(BATCH_CLIPS, len(clips), BATCH_CLIPS))
            generator = torch.Generator().manual_seed(seed)
            # Their first variant is the clip as it is.
            variants = [training.make_variants(clip_power(corpus.waveforms(), part), generator)[1:] for part in parts]
            self._spoilt = [*torch.cat(variants, dim=1)]

    @cached_property
    def scale(self) -> tuple[Float[Tensor, " bands"], Float[Tensor, " bands"]]:
        """Mean and standard deviation of each mel band, over clips and frames."""
        positions = torch.arange(len(self.clips))
        if self.column.fits:
            mels = self.batch(positions)
            return mels.mean(dim=(0, 1)), mels.std(dim=(0, 1)).clamp(min=0.1)
        moments = torch.zeros(2, MEL_BANDS, dtype=torch.float64)
        for part in positions.split(BATCH_CLIPS):
            mels = self.batch(part).double()
            moments += torch.stack([mels, mels.square()]).mean(dim=2).sum(dim=1) / len(positions)
        mean, square = moments
        return mean.float(), (square - mean.square()).clamp(min=0).sqrt().float().clamp(min=0.1)

    def batch(self, positions: Tensor) -> Mels:
        """Return the log-mels at some positions, without augmentation."""
        return self.column.take(positions).float()

    def augment(self, batch: Batch, generator: torch.Generator) -> Mels:
        """Return log-mels of a batch with a random variant, roll in time, gain and noise, and with masked bands.

        A band of frames and one of frequencies is replaced by the mean (SpecAugment; Park et al., 2019).

        Args:
            batch: the batch of `column`.
            generator: on the CPU; all that is random is drawn from it.
        """
        mels, positions = batch.rows[0].float(), batch.positions
        variant = torch.randint(1 + len(self._spoilt), (len(positions),), generator=generator)
        for number, spoilt in enumerate(self._spoilt, start=1):
            is_spoilt = variant == number
            mels[is_spoilt] = spoilt[positions[is_spoilt]].float()
        mels = training.augment(mels, generator)
        return torch.where(training.draw_masks(mels, generator), self.scale[0], mels)


class Images:
    """The pictures of those clips that have one.

    Attributes:
        clips: the clips that have a picture, as rows of the corpus's table.
        column: their pictures, as they are read.
    """

    def __init__(
        self, corpus: Corpus, clips: NDArray[np.int64], size: int, *, spoil: bool, required: bool = True
    ) -> None:
        """Open the pictures.

        Args:
            corpus: where the clips are from.
            clips: rows of the corpus's table.
            size: of a picture's side in pixels.
            spoil: whether `augment` blurs half of the pictures and adds noise to them.
            required: whether it is an error if no clip has a picture.

        Raises:
            InputError: no clip has a picture, and some are required.
        """
        pictures = corpus.frames(size)
        self.clips = select_visible(corpus, pictures, clips, required=required)
        # Augmentations run on the processor.
        processor, most_bytes = torch.device("cpu"), corpus.in_memory_bytes
        self.column = SplitRows(pictures, self.clips, processor, most_bytes=most_bytes)
        self._spoil = spoil

    def batch(self, positions: Tensor) -> Pictures:
        """Return the pictures at some positions, without augmentation."""
        return as_floats(self.column.take(positions))

    def augment(self, batch: Batch, generator: torch.Generator) -> Pictures:
        """Return the pictures of a batch: recoloured, moved, flipped, and with a part cut out.

        Args:
            batch: the batch of `column`.
            generator: on the CPU; all that is random is drawn from it.
        """
        pictures = augment(as_floats(batch.rows[0]), generator)
        if not self._spoil:
            return pictures
        is_spoilt = torch.rand(len(pictures), 1, 1, 1, generator=generator) < 0.5
        return torch.where(is_spoilt, degrade(pictures, generator), pictures)


class SoundNetwork(nn.Module):
    """A network of the same kind as a judge's; it standardizes log-mels itself."""

    def __init__(self, name: NetworkName, num_classes: int) -> None:
        super().__init__()
        self.body = NETWORKS[JUDGE_NAMES[name]](num_classes)

    def forward(self, mels: Mels) -> Float[Tensor, "clips classes"]:
        """Return the logits of log-mels."""
        logits: Tensor = self.body(self.body.standardize(mels))
        return logits


class ResNet(nn.Module):
    """A ResNet of torchvision with dropout and a new last layer."""

    def __init__(self, name: Literal["resnet18", "resnet50"], weights: str, num_classes: int) -> None:
        super().__init__()
        self.body = Backbone(name, weights)
        self.classify = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(self.body.num_features, num_classes))

    def forward(self, pictures: Pictures) -> Float[Tensor, "clips classes"]:
        """Return the logits of pictures within −1..1."""
        logits: Tensor = self.classify(self.body(pictures))
        return logits


def make_network(modality: Modality, name: NetworkName, weights: str, num_classes: int) -> nn.Module:
    """Return a new network; its weights are random, but for those of a pretrained ResNet.

    Args:
        modality: the kind of the input.
        name: the kind of the network.
        weights: of a ResNet: `none`, `imagenet` (torchvision's), or the path of a file.
        num_classes: how many classes the last layer has.

    Raises:
        InputError: the weights can't be downloaded or read, or are of another network.
    """
    if modality == "sound":
        return SoundNetwork(name, num_classes)
    if name in ("resnet18", "resnet50"):
        return ResNet(name, weights, num_classes)
    return PictureNetwork(JUDGE_NAMES[name], num_classes)

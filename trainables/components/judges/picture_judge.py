"""The judge of pictures: a classifier that evaluates every trial of a corpus in the same way.

It learns from the frames of the train recordings, half of them blurred and noisy as pictures of a weak model are.
Judges A and B are different networks from different seeds, as those of sounds (see `sound_judge`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.judges.networks import (
    DROPOUT,
    PLAIN_CHANNELS,
    JudgeName,
    Maps,
    mean_and_maximum,
    plain_features,
    residual_features,
)
from trainables.components.judges.weights import RESIDUAL_CHANNELS
from trainables.components.pictures.augmentation import Pictures, as_floats, augment, degrade
from trainables.components.training.train_once import isolate_training, load_or_train, preparation_device
from trainables.corpora.pictures import digest_sources, select_visible
from trainables.corpora.splits import digest
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

VERSION = 1
"""Raise it with any change that changes a judge's output: it is part of every judge's id."""
SIZE_PX = 64
SEEDS: dict[JudgeName, int] = {"A": 3, "B": 4}
MAX_PICTURES = 16_384
BATCH_PICTURES = 32
EPOCHS = 60
STEPS = (300, 4000)
"""The smallest and the largest number of training steps."""
PEAK_LR = 3e-3

Probabilities = Float[Tensor, "pictures classes"]
Embeddings = Float[Tensor, "pictures features"]


class PictureNetwork(nn.Module):
    """A classifier of pictures within −1..1: the convolutions of a judge of sounds, pooled, and a linear layer."""

    def __init__(self, name: JudgeName, num_classes: int) -> None:
        super().__init__()
        self._has_maximum = name == "A"
        self.features = plain_features(3) if self._has_maximum else residual_features(3)
        num_pooled = 2 * PLAIN_CHANNELS[-1] if self._has_maximum else RESIDUAL_CHANNELS[-1]
        self.classify = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(num_pooled, num_classes))

    def embed(self, pictures: Pictures) -> Embeddings:
        """Return the activations below the last layer."""
        maps: Maps = self.features(pictures)
        return mean_and_maximum(maps) if self._has_maximum else maps.mean(dim=(2, 3))

    def forward(self, pictures: Pictures) -> Float[Tensor, "pictures classes"]:
        """Return the logits of the classes."""
        logits: Tensor = self.classify(self.embed(pictures))
        return logits


class PictureJudge:
    """A classifier of pictures.

    Args:
        judge_id: the judge's id. Metrics of judges with different ids are not comparable.
        network: a trained network.
        device: the device to compute on.
    """

    def __init__(self, judge_id: str, network: PictureNetwork, device: torch.device) -> None:
        self.id = judge_id
        self._network = network.to(memory_format=torch.channels_last).to(device).eval()
        self._device = device

    def state_dict(self) -> dict[str, Tensor]:
        """Return the network's weights."""
        return self._network.state_dict()

    @torch.inference_mode()
    def classify_and_embed(self, pictures: Pictures) -> tuple[Probabilities, Embeddings]:
        """Return class probabilities and the activations below the last layer, from one forward pass.

        Args:
            pictures: values within −1..1, of any size; they are resized to `SIZE_PX`.
        """
        probabilities, embeddings = [], []
        for part in pictures.split(BATCH_PICTURES):
            resized = part.to(self._device)
            if resized.shape[-1] != SIZE_PX:
                resized = F.interpolate(resized, (SIZE_PX, SIZE_PX), mode="bilinear", antialias=True)
            embeddings.append(self._network.embed(resized))
            probabilities.append(F.softmax(self._network.classify(embeddings[-1]), dim=1))
        return torch.cat(probabilities), torch.cat(embeddings)

    def classify(self, pictures: Pictures) -> Probabilities:
        """Return the probability of each class, given pictures within −1..1 of any size."""
        return self.classify_and_embed(pictures)[0]


def open_picture_judge(
    corpus: Corpus, name: JudgeName = "A", *, device: torch.device | str = "cpu", progress: Progress = silent
) -> PictureJudge:
    """Open a corpus's judge of pictures; the first time, it is trained and cached.

    Args:
        corpus: the corpus whose train pictures the judge learns from.
        name: judge A, for the search, or B, for the test split.
        device: the device to evaluate on. Training uses `preparation_device()`.
        progress: is called during training.

    Raises:
        InputError: the corpus has no pictures.
    """
    judge_id = f"picture-{name}-{digest(f'{corpus.fingerprint} {digest_sources(corpus)} {SEEDS[name]} {VERSION}')[:12]}"
    # The initial weights are replaced; drawing them must not advance the caller's generator.
    with torch.random.fork_rng(devices=[]):
        network = PictureNetwork(name, len(corpus.classes))
    load_or_train(network, corpus.folder / f"judge-{judge_id}.pt", lambda: _train(corpus, name, progress))
    return PictureJudge(judge_id, network, torch.device(device))


def _train(corpus: Corpus, name: JudgeName, progress: Progress) -> PictureNetwork:
    device, seed = preparation_device(), SEEDS[name]
    pictures = corpus.frames(SIZE_PX, progress)
    clips = select_visible(
        corpus, pictures, np.random.default_rng(seed).permutation(corpus.indices("train"))[:MAX_PICTURES]
    )
    frames, labels = torch.from_numpy(pictures[clips]), torch.from_numpy(corpus.labels(clips))
    with isolate_training(seed, device):
        network = PictureNetwork(name, len(corpus.classes)).to(memory_format=torch.channels_last).to(device)
        generator = torch.Generator().manual_seed(seed)
        num_steps = int(np.clip(EPOCHS * len(clips) // BATCH_PICTURES, *STEPS))
        optimizer = torch.optim.AdamW(network.parameters(), PEAK_LR, weight_decay=1e-2, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=num_steps)
        for step in range(1, num_steps + 1):
            drawn = torch.randint(len(clips), (BATCH_PICTURES,), generator=generator)
            shown = augment(as_floats(frames[drawn]), generator)
            is_spoilt = torch.rand(BATCH_PICTURES, 1, 1, 1, generator=generator) < 0.5
            shown = torch.where(is_spoilt, degrade(shown, generator), shown)
            loss = F.cross_entropy(network(shown.to(device)), labels[drawn].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress("training the judge of pictures", step, num_steps)
    return network.eval()

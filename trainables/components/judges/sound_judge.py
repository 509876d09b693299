"""The judge of sounds: a classifier that evaluates every trial of a corpus in the same way.

It is trained once per corpus (see `training`), kept in the corpus's cache and shared by all trials. Judge A evaluates
during the search. Judge B, another network from another seed, evaluates the test split as well: where their results
differ, a trial may have fooled one of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio.spectrogram import log_power, power
from trainables.components.judges.augmentations import VERSIONS
from trainables.components.judges.networks import NETWORKS, JudgeName, Network, log_mel
from trainables.components.judges.registries import AUGMENTATIONS
from trainables.components.judges.training import prepare_lessons, train
from trainables.components.shapes import Embeddings
from trainables.components.training.train_once import isolate_training, load_or_train, preparation_device
from trainables.corpora.splits import digest
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

VERSION = 2
"""Raise it with any change that changes a judge's output: it is part of every judge's id."""
SEEDS: dict[JudgeName, int] = {"A": 1, "B": 2}
BATCH_CLIPS = 64

Probabilities = Float[Tensor, "clips classes"]


class Judge:
    """A classifier of sounds.

    Args:
        judge_id: the judge's id. Metrics of judges with different ids are not comparable.
        network: a trained network.
        device: the device to compute on.
    """

    def __init__(self, judge_id: str, network: Network, device: torch.device) -> None:
        self.id = judge_id
        self._network = network.to(memory_format=torch.channels_last).to(device).eval()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the network's weights."""
        return self._network.state_dict()

    def classify_log_power(self, log_power: Float[Tensor, "clips full 512"]) -> Probabilities:
        """Return the probability of each class, given magnitudes on the full grid (log-power in nats)."""
        return self.classify_and_embed(log_power)[0]

    def embed_log_power(self, log_power: Float[Tensor, "clips full 512"]) -> Embeddings:
        """Return the activations below the network's last layer, which distances between distributions compare."""
        return self.classify_and_embed(log_power)[1]

    def classify_and_embed(self, log_power: Float[Tensor, "clips full 512"]) -> tuple[Probabilities, Embeddings]:
        """Return the results of `classify_log_power` and of `embed_log_power`, computed in one pass."""
        return self._classify_and_embed(log_power, lambda part: part)

    def classify_waveforms(self, waveforms: Float[Tensor, "clips samples"]) -> Probabilities:
        """Return the probability of each class, given rendered sounds: samples within ±1 at the corpus's rate.

        They are judged as they are; recordings need `dither_recordings` first, as those that the judge has learnt from.
        """
        return self._classify_and_embed(waveforms, lambda part: log_power(power(part)))[0]

    @torch.inference_mode()
    def _classify_and_embed(
        self, clips: Tensor, to_log_power: Callable[[Tensor], Tensor]
    ) -> tuple[Probabilities, Embeddings]:
        network, probabilities, embeddings = self._network, [], []
        for part in clips.split(BATCH_CLIPS):
            mel = log_mel(to_log_power(part.to(network.mean.device)))
            embeddings.append(network.embed(network.standardize(mel)))
            probabilities.append(F.softmax(network.classify(embeddings[-1]), dim=1))
        return torch.cat(probabilities), torch.cat(embeddings)


def open_judge(
    corpus: Corpus, name: JudgeName = "A", *, device: torch.device | str = "cpu", progress: Progress = silent
) -> Judge:
    """Open a corpus's judge; the first time, it is trained and cached.

    Args:
        corpus: the corpus whose train clips the judge learns from.
        name: judge A, for the search, or B, for the test split.
        device: the device to evaluate on. Training uses `preparation_device()`.
        progress: is called during training.
    """
    kind, seed, augment = NETWORKS[name], SEEDS[name], corpus.additions.augment
    text = f"{corpus.fingerprint} {kind.__name__} {seed} {VERSION}"
    if augment:
        text += f" {identify_augmentations(augment)}"
    judge_id = f"{name}-{digest(text)[:12]}"

    def train_judge() -> Network:
        clips = corpus.indices("train")
        return train_network(corpus, name, clips, seed=seed, progress=progress, augment=augment)

    # The initial weights are replaced; drawing them must not advance the caller's generator.
    with torch.random.fork_rng(devices=[]):
        network = kind(len(corpus.classes))
    load_or_train(network, corpus.folder / f"judge-{judge_id}.pt", train_judge)
    return Judge(judge_id, network, torch.device(device))


def train_network(
    corpus: Corpus,
    name: JudgeName,
    clips: NDArray[np.int64],
    *,
    seed: int,
    progress: Progress = silent,
    augment: Sequence[str] = (),
) -> Network:
    """Train a judge's network on some clips of a corpus.

    Args:
        corpus: the corpus.
        name: the judge whose network it is.
        clips: the rows of `corpus.clips` to train on.
        seed: the seed of the weights and of the augmentation.
        progress: is called during training.
        augment: names of augmentations beside those that every judge has.
    """
    device = preparation_device()
    augmentations = [AUGMENTATIONS[augmentation] for augmentation in augment]
    with isolate_training(seed, device):
        network = NETWORKS[name](len(corpus.classes))
        lessons = prepare_lessons(corpus, clips, seed, progress)
        train(network, lessons, seed=seed, device=device, progress=progress, augmentations=augmentations)
    return network


def identify_augmentations(names: Sequence[str]) -> str:
    """Return the names, with the version of each that has changed, and a hash of the file of a user's own."""
    parts = []
    for name in names:
        file = sys.modules[AUGMENTATIONS[name].__module__].__file__
        is_own = AUGMENTATIONS.owner(name) == AUGMENTATIONS.module
        if is_own or file is None:
            parts.append(f"{name}-{VERSIONS[name]}" if name in VERSIONS else name)
        else:
            parts.append(f"{name}-{digest(Path(file).read_text('utf-8'))}")
    return " ".join(parts)

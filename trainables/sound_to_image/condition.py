"""The condition network: a classifier of sounds whose output conditions the generator.

It shares neither seed nor weights with a judge.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.components.audio.clip import check_trained_format
from trainables.components.judges.networks import Network, ResidualNetwork, log_mel
from trainables.components.judges.sound_judge import train_network
from trainables.components.shapes import FullSpectrograms
from trainables.components.training.train_once import load_or_train
from trainables.corpora.splits import digest
from trainables.errors import InputError
from trainables.support.progress import Progress, silent
from trainables.support.state_files import read_state

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

VERSION = 1
"""Of the network's training; raise it when that changes, so that no cached network is used."""
SEED = 11


class Condition(nn.Module):
    """A residual network of sounds that returns its features beside the logits of the classes."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.network: Network = ResidualNetwork(num_classes)

    def forward(self, log_power: FullSpectrograms) -> tuple[Float[Tensor, "clips 64"], Float[Tensor, "clips classes"]]:
        """Return features and logits for magnitudes at full resolution (log-power in nats)."""
        features = self.network.embed(self.network.standardize(log_mel(log_power)))
        return features, self.network.classify(features)


def open_condition(corpus: Corpus, trained: str = "own", progress: Progress = silent) -> Condition:
    """Return the condition network of a corpus, which is trained once and cached, or load one from a file.

    Args:
        corpus: whose training clips the network learns.
        trained: `own`, or the path of a checkpoint of a trial of classifier.
        progress: called while the network is trained.

    Raises:
        InputError: the file is of no classifier of these sounds.
    """
    # The initial weights are replaced; drawing them must not advance the caller's generator.
    with torch.random.fork_rng(devices=[]):
        condition = Condition(len(corpus.classes))
    if trained != "own":
        _load(condition.network, Path(trained), corpus)
        return condition

    def train() -> Network:
        return train_network(corpus, "B", corpus.indices("train"), seed=SEED, progress=progress)

    name = digest(f"{corpus.fingerprint} {SEED} {VERSION}")[:12]
    load_or_train(condition.network, corpus.folder / f"condition-{name}.pt", train)
    return condition


def _load(network: Network, path: Path, corpus: Corpus) -> None:
    """Load the weights of a trial of classifier, after checking settings, classes and clips."""
    state, classes = read_state(path), corpus.classes
    settings = state.get("config", {})
    weights, own = state.get("network", {}), network.state_dict()
    if weights.keys() != own.keys() or any(weights[key].shape != own[key].shape for key in own):
        description = ", ".join(f"{name}: {settings[name]}" for name in ("modality", "network") if name in settings)
        raise InputError(
            f"classifier: {path}: is of {description or 'no classifier'}; it takes a trial of trainable classifier with"
            " modality: sound and network: residual, of a corpus with the same classes"
        )
    saved_classes = state.get("classes", classes)
    if list(saved_classes) != list(classes):
        raise InputError(
            f"classifier: {path}: predicts {', '.join(saved_classes)}; the classes here are {', '.join(classes)}: name"
            " a trial of trainable classifier on a corpus with the same"
        )
    check_trained_format(f"classifier: {path}", state, corpus.clip_format)
    network.load_state_dict(weights)

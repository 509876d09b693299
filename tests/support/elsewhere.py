"""Train every trainable and every judge for a moment, and print what came of it: for other instruction sets.

ONEDNN_MAX_CPU_ISA=AVX2 python -m tests.support.elsewhere CORPUS_FOLDER HOME
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import nn

from orchestrator.plugins.loader import find_trainables, load_trainable, open_corpus
from trainables.components.judges.networks import NETWORKS
from trainables.components.judges.picture_judge import PictureNetwork
from trainables.components.networks.backbones import Backbone
from trainables.support.randomness import seed_everything


def gradient(network: nn.Module, *shape: int) -> float:
    """The size of a network's gradient after one pass forward and backward over noise of a shape."""
    seed_everything(0)
    network.to(memory_format=torch.channels_last)
    network(torch.randn(shape)).square().mean().backward()
    return float(sum(weight.grad.abs().sum() for weight in network.parameters() if weight.grad is not None))


def main() -> None:
    """Print one JSON object: losses and gradients by name."""
    torch.set_num_threads(1)
    corpus = open_corpus({"name": "folder", "root": sys.argv[1]}, Path(sys.argv[2]))
    results: dict[str, float] = {}
    seed_everything(0)
    for name, network in NETWORKS.items():
        results[f"sound judge {name}"] = gradient(network(3), 8, 96, 64)
        results[f"picture judge {name}"] = gradient(PictureNetwork(name, 3), 16, 3, 64, 64)
    for name in ("small", "resnet18"):
        results[f"backbone {name}"] = gradient(Backbone(name), 16, 3, 64, 64)
    for name in find_trainables():
        kind = load_trainable(name, Path())
        config = kind.Config(**kind.DEBUG)
        kind.prepare([config], corpus)
        seed_everything(0)
        trainable = kind(config, corpus, device="cpu", seed=0)
        trainable.batches_per_epoch = 2
        results[f"{name} train/loss"] = trainable.step()["train/loss"]
    print(json.dumps(results))


if __name__ == "__main__":
    main()

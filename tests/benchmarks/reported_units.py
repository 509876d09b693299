"""The held-out error in the units of the report, whose authors reached 0.05 on their training set and wished for 0.02.

    python tests/benchmarks/reported_units.py [--epochs 6] [--home DIR] [--decimate]

Theirs is the mean squared error of log-mel magnitudes (48x128, padding included) after each clip was divided by one
standard deviation, that of its magnitude and its instantaneous frequency together. Here it is taken of validation
recordings, on the report's own mel axis and framing, power-pooled (or decimated, as theirs was).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

from trainables.autoencoder.trainable import Autoencoder
from trainables.components.representation.representation import ClipSplit, Representation
from trainables.corpora.corpus import Corpus
from trainables.corpora.opening import open_corpus

BEST: dict[str, Any] = {
    "representation": "audiovision",
    "magnitude_normalization": "per_frequency",
    "linear_path": "pca",
    "time_roll": True,
    "lr": 3e-4,
}
CASES: dict[str, dict[str, Any]] = {
    "48x128, latent 128": {"latent_dim": 128},
    "48x128, latent 512": {"latent_dim": 512},
    "24x64, latent 128": {"spectrogram": "24x64", "latent_dim": 128},
    "24x64, latent 512": {"spectrogram": "24x64", "latent_dim": 512},
}


def error(autoencoder: Autoencoder) -> float:
    """Of the validation clips, in the report's units."""
    clips = autoencoder.validation.batch(torch.arange(len(autoencoder.validation)))
    seen = Representation(autoencoder.codec.representation.grid, "both")
    both = ClipSplit(autoencoder.corpus, seen, autoencoder.validation.clips, autoencoder.device)
    variance = both.batch(torch.arange(len(both))).flatten(1).var(dim=1, correction=0)
    squared = (autoencoder.codec.reconstruct(clips) - clips).square().flatten(1).mean(dim=1)
    return float((squared / variance).mean())


def trained(corpus: Corpus, epochs: int, settings: dict[str, Any]) -> tuple[float, float]:
    """The error before and after training."""
    config = Autoencoder.Config(**BEST, **settings)
    autoencoder = Autoencoder(config, corpus, device="cpu", seed=0)
    before = error(autoencoder)
    for _ in range(epochs):
        autoencoder.codec.networks.train()
        autoencoder._train_epoch()
    return before, error(autoencoder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--decimate", action="store_true")
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    reduction = {"reduction": "decimate"} if arguments.decimate else {}
    with tempfile.TemporaryDirectory() as scratch:
        corpus = open_corpus({"name": "demo"}, arguments.home or Path(scratch))
        for name, settings in CASES.items():
            before, after = trained(corpus, arguments.epochs, settings | reduction)
            print(f"{name}: {after:.4f} (principal components of rolled clips alone {before:.4f})", flush=True)


if __name__ == "__main__":
    main()

"""Reference lines: what no model at all, and the simplest ones, reach on a corpus at a size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment import Assessor
from trainables.components.judge import open_judge, preparation_device
from trainables.components.progress import Progress, silent
from trainables.components.spectrogram import SIZES, Size, log_power, power, to_waveform
from trainables.corpora.cache import made_once
from trainables.corpora.features import FeatureSplit, clip_power

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

PCA_VALUES = 1 << 27
"""Principal components are found from as many train clips as fit into 512 MB."""
PCA_CLIPS = 2048

Batch = Float[Tensor, "clips frames bins"]


class References:
    """Computes reference lines on the validation split, each once per corpus and judge."""

    def __init__(self, corpus: Corpus, progress: Progress = silent) -> None:
        self._corpus = corpus
        self._device = preparation_device()
        self._judge = open_judge(corpus, device=self._device, progress=progress)
        self._progress = progress
        self._clips = corpus.indices("validation")
        self._assessor = Assessor(corpus, "validation", self._judge, self._device)

    def real_clips(self) -> dict[str, Any]:
        """The clips themselves: the best that a judge can be asked for."""
        return self._line("real clips", None, self._real)

    def of_size(self, size: Size) -> list[dict[str, Any]]:
        """What a size alone costs, as magnitudes and through resynthesis, and what knowing nothing of a clip gives."""
        return [
            self._line("pooled magnitudes", size, lambda: self._pooled(size)),
            self._line("resynthesis", size, lambda: self._resynthesized(size)),
            self._line("mean spectrogram", size, lambda: self._mean(size)),
        ]

    def pca(self, size: Size, num_components: int) -> dict[str, Any]:
        """Principal components of the train clips, as many as the autoencoder has latents."""
        return self._line(f"PCA-{num_components}", size, lambda: self._projected(size, num_components))

    def _line(self, name: str, size: Size | None, estimates: Callable[[], Iterator[Batch]]) -> dict[str, Any]:
        def make(path: Path) -> None:
            metrics = self._assessor.assess(estimates())
            path.write_text(json.dumps({f"val/{metric}": value for metric, value in metrics.items()}), encoding="utf-8")

        file = f"reference-{name.replace(' ', '-')}-{size}-{self._judge.id}.json"
        metrics = json.loads(made_once(self._corpus.folder / file, make).read_text(encoding="utf-8"))
        return {"reference": name, "size": size, **metrics}

    def _real(self) -> Iterator[Batch]:
        waveforms = self._corpus.waveforms()
        for positions in self._assessor.positions():
            yield log_power(clip_power(waveforms, self._clips[positions.numpy()]).to(self._device))

    def _pooled(self, size: Size) -> Iterator[Batch]:
        features = self._split(size, self._clips)
        return (features.batch(positions) for positions in self._assessor.positions())

    def _resynthesized(self, size: Size) -> Iterator[Batch]:
        done = 0
        for pooled in self._pooled(size):
            self._progress(f"resynthesizing {size} spectrograms", done, len(self._clips))
            yield log_power(power(to_waveform(pooled)))
            done += len(pooled)
        self._progress(f"resynthesizing {size} spectrograms", done, done)

    def _mean(self, size: Size) -> Iterator[Batch]:
        mean = self._training_sample(size).mean(dim=0).unflatten(0, SIZES[size])
        return (mean.expand(len(positions), -1, -1) for positions in self._assessor.positions())

    def _projected(self, size: Size, num_components: int) -> Iterator[Batch]:
        train = self._training_sample(size)
        mean = train.mean(dim=0)
        # Fewer clips than pixels: the components follow from the small matrix of inner products between clips.
        centred = train - mean
        variances, weights = torch.linalg.eigh(centred @ centred.T)
        kept = variances.flip(0)[:num_components] > variances[-1] * 1e-6
        components = weights.flip(1)[:, :num_components][:, kept].T @ centred
        components = F.normalize(components, dim=1)
        for pooled in self._pooled(size):
            estimate = (pooled.flatten(1) - mean) @ components.T @ components + mean
            yield estimate.unflatten(1, SIZES[size])

    def _training_sample(self, size: Size) -> Float[Tensor, "clips pixels"]:
        frames, bins = SIZES[size]
        clips = np.random.default_rng(0).permutation(self._corpus.indices("train"))
        clips = np.sort(clips[: min(PCA_CLIPS, PCA_VALUES // (frames * bins))])
        return self._split(size, clips).batch(torch.arange(len(clips))).flatten(1)

    def _split(self, size: Size, clips: NDArray[np.int64]) -> FeatureSplit:
        return FeatureSplit(self._corpus.features(size), clips, self._device)

"""Reference lines: what no model at all, and the simplest ones, reach on a corpus and a grid."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.assessor import Assessor
from trainables.components.assessment.media import Rendered, evaluate
from trainables.components.assessment.reference_lines import reference_line
from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.spectrogram import log_power, power, to_waveform
from trainables.components.judges.sound_judge import open_judge, preparation_device
from trainables.components.representation.phase_rendering import PHASES, Memory, Scene
from trainables.corpora.features import FeatureSplit, clip_power
from trainables.support.cache import write_once
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

PCA_VALUES = 1 << 27
"""Principal components are found from as many train clips as fit into 512 MB."""
PCA_CLIPS = 2048
FULL = Grid("192x512")

Batch = Float[Tensor, "clips frames bins"]
Full = Float[Tensor, "clips 192 512"]


class References:
    """Computes reference lines on the validation split, each once per corpus and judge."""

    def __init__(self, corpus: Corpus, progress: Progress = silent) -> None:
        self._corpus = corpus
        self._device = preparation_device()
        self._judge = open_judge(corpus, device=self._device, progress=progress)
        self._progress = progress
        self._clips = corpus.indices("validation")
        self._assessor = Assessor(corpus, "validation", self._judge, self._device)
        self._memory = Memory(corpus)

    def real_clips(self) -> dict[str, Any]:
        """The clips themselves: the best that a judge can be asked for."""
        return self._line("real clips", FULL, self._real, shown="")

    def of_grid(self, grid: Grid) -> list[dict[str, Any]]:
        """What a grid alone costs, as magnitudes and through resynthesis; and what is reached by knowing nothing of a
        clip, its class, or the training clip of its class that is nearest to it."""
        reduced = "pooled" if grid.reduction == "pool" else "decimated"
        return [
            self._line(f"{reduced} magnitudes", grid, lambda: self._reduced(grid)),
            self._line("resynthesis", grid, lambda: self._resynthesized(grid), measured=FULL),
            self._line("mean spectrogram", grid, lambda: self._mean(grid)),
            self._line("class mean", grid, lambda: self._class_mean(grid)),
            self._line("nearest clip of the class", grid, lambda: self._nearest(grid)),
        ]

    def pca(self, grid: Grid, num_components: int) -> dict[str, Any]:
        """Principal components of the train clips, as many as the autoencoder has latents."""
        return self._line(f"PCA-{num_components}", grid, lambda: self._projected(grid, num_components))

    def phase(self, name: str, grids: Iterable[Grid]) -> list[dict[str, Any]]:
        """What a phase makes of magnitudes that need no model: the clips' own, and on grids the mean of their class."""
        of_class = (
            self._sounding(f"class mean, phase={name}", name, grid, functools.partial(self._mean_of_class, grid))
            for grid in grids
        )
        return [self._sounding(f"original magnitudes, phase={name}", name, None, self._original), *of_class]

    def _line(
        self,
        name: str,
        grid: Grid,
        estimates: Callable[[], Iterator[Batch]],
        *,
        measured: Grid | None = None,
        shown: str | None = None,
    ) -> dict[str, Any]:
        return self._kept(
            name,
            grid.label if shown is None else shown,
            lambda: self._assessor.assess(estimates(), measured or grid),
        )

    def _sounding(
        self, name: str, phase: str, grid: Grid | None, magnitudes: Callable[[NDArray[np.int64]], Full]
    ) -> dict[str, Any]:
        done = 0

        def make(clips: NDArray[np.int64]) -> Rendered:
            nonlocal done
            self._progress(f"sounding {name}", done, len(self._clips))
            done += len(clips)
            log_power = magnitudes(clips)
            return Rendered(log_power, PHASES[phase].sound(Scene(log_power, clips, self._memory)))

        def measure() -> dict[str, float]:
            means = evaluate(self._corpus, "validation", make, self._device).select_dtypes("number").mean()
            self._progress(f"sounding {name}", len(self._clips), len(self._clips))
            return {f"sound_{metric}": float(value) for metric, value in means.items()}

        return self._kept(name, grid.label if grid else "", measure)

    def _kept(self, name: str, size: str, measure: Callable[[], dict[str, float]]) -> dict[str, Any]:
        return reference_line(self._corpus, name, size, self._judge.id, measure)

    def _original(self, clips: NDArray[np.int64]) -> Full:
        return log_power(clip_power(self._corpus.waveforms(), clips).to(self._device))

    def _real(self) -> Iterator[Batch]:
        return (self._original(self._clips[positions.numpy()]) for positions in self._assessor.positions())

    def _reduced(self, grid: Grid) -> Iterator[Batch]:
        features = self._split(grid, self._clips)
        return (features.batch(positions) for positions in self._assessor.positions())

    def _resynthesized(self, grid: Grid) -> Iterator[Batch]:
        done = 0
        for reduced in self._reduced(grid):
            self._progress(f"resynthesizing {grid.label} spectrograms", done, len(self._clips))
            yield log_power(power(to_waveform(grid.full(reduced))))
            done += len(reduced)
        self._progress(f"resynthesizing {grid.label} spectrograms", done, done)

    def _mean(self, grid: Grid) -> Iterator[Batch]:
        mean = self._training_sample(grid).mean(dim=0).unflatten(0, grid.shape)
        return (mean.expand(len(positions), -1, -1) for positions in self._assessor.positions())

    def _class_mean(self, grid: Grid) -> Iterator[Batch]:
        means = class_means(self._corpus, grid).to(self._device)
        labels = torch.from_numpy(self._corpus.labels(self._clips))
        return (means[labels[positions]] for positions in self._assessor.positions())

    def _mean_of_class(self, grid: Grid, clips: NDArray[np.int64]) -> Full:
        labels = torch.from_numpy(self._corpus.labels(clips))
        return grid.full(class_means(self._corpus, grid)[labels].to(self._device))

    def _nearest(self, grid: Grid) -> Iterator[Batch]:
        train = self._corpus.indices("train")
        features = self._split(grid, train)
        for positions in self._assessor.positions():
            clips = self._clips[positions.numpy()]
            neighbours = self._memory.nearest(self._original(clips), clips, same_class=True)
            yield features.batch(neighbours)

    def _projected(self, grid: Grid, num_components: int) -> Iterator[Batch]:
        train = self._training_sample(grid)
        mean = train.mean(dim=0)
        # Fewer clips than pixels: the components follow from the small matrix of inner products between clips.
        centred = train - mean
        variances, weights = torch.linalg.eigh(centred @ centred.T)
        kept = variances.flip(0)[:num_components] > variances[-1] * 1e-6
        components = weights.flip(1)[:, :num_components][:, kept].T @ centred
        components = F.normalize(components, dim=1)
        for reduced in self._reduced(grid):
            estimate = (reduced.flatten(1) - mean) @ components.T @ components + mean
            yield estimate.unflatten(1, grid.shape)

    def _training_sample(self, grid: Grid) -> Float[Tensor, "clips pixels"]:
        frames, bins = grid.shape
        clips = np.random.default_rng(0).permutation(self._corpus.indices("train"))
        clips = np.sort(clips[: min(PCA_CLIPS, PCA_VALUES // (frames * bins))])
        return self._split(grid, clips).batch(torch.arange(len(clips))).flatten(1)

    def _split(self, grid: Grid, clips: NDArray[np.int64]) -> FeatureSplit:
        return FeatureSplit(self._corpus.features(Feature(grid)), clips, self._device)


def class_means(corpus: Corpus, grid: Grid) -> Float[Tensor, "classes frames bins"]:
    """The mean log-power of each class's training clips."""

    def make(path: Path) -> None:
        train = corpus.indices("train")
        labels, features = corpus.labels(train), corpus.features(Feature(grid))
        # A class whose recordings are all held out has the mean of all.
        of_class = (train[labels == label] for label in range(len(corpus.classes)))
        means = [_mean(features, clips if len(clips) else train, grid) for clips in of_class]
        with path.open("wb") as file:
            np.save(file, np.stack(means))

    return torch.from_numpy(np.load(write_once(corpus.folder / f"class-means-{grid.name}.npy", make)))


def _mean(features: NDArray[np.float16], clips: NDArray[np.int64], grid: Grid) -> NDArray[np.float32]:
    total = np.zeros(grid.shape)
    for part in np.array_split(clips, len(clips) // PCA_CLIPS + 1):
        total += features[part].astype(np.float64).sum(axis=0)
    return (total / len(clips)).astype(np.float32)

"""The baselines of sounds: what methods without a trained model reach on a corpus and a grid."""

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
from trainables.components.assessment.reference_lines import measure_reference_line
from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.spectrogram import log_power, power, to_waveform
from trainables.components.judges.sound_judge import open_judge
from trainables.components.representation.registries import PHASES
from trainables.components.representation.scene import Scene, TrainingClips
from trainables.components.shapes import FullSpectrograms, Spectrograms
from trainables.components.training.train_once import preparation_device
from trainables.corpora.features import FeatureSplit, clip_power
from trainables.support.cache import write_once
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

PCA_VALUES = 1 << 27
"""The most values of training clips that principal components are fitted to: 512 MB."""
PCA_CLIPS = 2048
"""The most training clips that they are fitted to."""
FULL = Grid("192x512")


class References:
    """The baselines of the validation split, each computed once per corpus and judge.

    Args:
        corpus: of the validation split.
        progress: reports the progress.
    """

    def __init__(self, corpus: Corpus, progress: Progress = silent) -> None:
        self._corpus = corpus
        self._device = preparation_device()
        self._judge = open_judge(corpus, device=self._device, progress=progress)
        self._progress = progress
        self._clips = corpus.indices("validation")
        self._assessor = Assessor(corpus, "validation", self._judge, self._device)
        self._training_clips = TrainingClips(corpus)

    def real_clips_line(self) -> dict[str, Any]:
        """Return the line of the original clips: the upper bound of the judge's scores."""
        return self._magnitude_line("real clips", FULL, self._original_batches, size="")

    def grid_lines(self, grid: Grid) -> list[dict[str, Any]]:
        """Return the lines of a grid.

        Two lines show the cost of the grid alone, as magnitudes and after Griffin-Lim. The others estimate each clip by
        the mean of all training clips, the mean of its class, or the nearest training clip of its class.
        """
        reduced = "pooled" if grid.reduction == "pool" else "decimated"
        return [
            self._magnitude_line(f"{reduced} magnitudes", grid, lambda: self._reduced_batches(grid)),
            self._magnitude_line("resynthesis", grid, lambda: self._resynthesized_batches(grid), estimated=FULL),
            self._magnitude_line("mean spectrogram", grid, lambda: self._mean_batches(grid)),
            self._magnitude_line("class mean", grid, lambda: self._class_mean_batches(grid)),
            self._magnitude_line("nearest clip of the class", grid, lambda: self._nearest_batches(grid)),
        ]

    def pca_line(self, grid: Grid, num_components: int) -> dict[str, Any]:
        """Return the line of a projection onto principal components, as many as the autoencoder has latents."""
        return self._magnitude_line(f"PCA-{num_components}", grid, lambda: self._pca_batches(grid, num_components))

    def phase_lines(self, name: str, grids: Iterable[Grid]) -> list[dict[str, Any]]:
        """Return the lines of sounds with a phase: of original magnitudes, and on each grid of the class mean."""
        lines = [self._sound_line(f"original magnitudes, phase={name}", name, None, self._original_log_power)]
        for grid in grids:
            magnitudes = functools.partial(self._class_mean_log_power, grid)
            lines.append(self._sound_line(f"class mean, phase={name}", name, grid, magnitudes))
        return lines

    def _magnitude_line(
        self,
        name: str,
        grid: Grid,
        estimates: Callable[[], Iterator[Spectrograms]],
        *,
        estimated: Grid | None = None,
        size: str | None = None,
    ) -> dict[str, Any]:
        """Return a line that is measured on magnitudes.

        Args:
            name: of the line.
            grid: of the line.
            estimates: returns the estimates of all clips, in the batches of the assessor.
            estimated: the grid of the estimates, where it is another one.
            size: replaces the label of the grid in tables.
        """
        label = grid.label if size is None else size
        return self._cached_line(name, label, lambda: self._assessor.assess(estimates(), estimated or grid))

    def _sound_line(
        self, name: str, phase: str, grid: Grid | None, magnitudes: Callable[[NDArray[np.int64]], FullSpectrograms]
    ) -> dict[str, Any]:
        """Return a line that is measured on sounds, rendered with a phase from the magnitudes of clips."""
        done = 0

        def make(clips: NDArray[np.int64]) -> Rendered:
            nonlocal done
            self._progress(f"rendering {name}", done, len(self._clips))
            done += len(clips)
            log_power = magnitudes(clips)
            return Rendered(log_power, PHASES[phase].sound(Scene(log_power, clips, self._training_clips)))

        def measure() -> dict[str, float]:
            means = evaluate(self._corpus, "validation", make, self._device).select_dtypes("number").mean()
            self._progress(f"rendering {name}", len(self._clips), len(self._clips))
            return {f"sound_{metric}": float(value) for metric, value in means.items()}

        return self._cached_line(name, grid.label if grid else "", measure)

    def _cached_line(self, name: str, size: str, measure: Callable[[], dict[str, float]]) -> dict[str, Any]:
        return measure_reference_line(self._corpus, name, size, self._judge.id, measure)

    def _original_log_power(self, clips: NDArray[np.int64]) -> FullSpectrograms:
        return log_power(clip_power(self._corpus.waveforms(), clips).to(self._device))

    def _original_batches(self) -> Iterator[Spectrograms]:
        return (self._original_log_power(self._clips[positions.numpy()]) for positions in self._assessor.positions())

    def _reduced_batches(self, grid: Grid) -> Iterator[Spectrograms]:
        features = self._open_split(grid, self._clips)
        return (features.batch(positions) for positions in self._assessor.positions())

    def _resynthesized_batches(self, grid: Grid) -> Iterator[Spectrograms]:
        done = 0
        for reduced in self._reduced_batches(grid):
            self._progress(f"resynthesizing {grid.label} spectrograms", done, len(self._clips))
            yield log_power(power(to_waveform(grid.to_full(reduced))))
            done += len(reduced)
        self._progress(f"resynthesizing {grid.label} spectrograms", done, done)

    def _mean_batches(self, grid: Grid) -> Iterator[Spectrograms]:
        mean = self._training_sample(grid).mean(dim=0).unflatten(0, (-1, grid.bins))
        return (mean.expand(len(positions), -1, -1) for positions in self._assessor.positions())

    def _class_mean_batches(self, grid: Grid) -> Iterator[Spectrograms]:
        means = class_means(self._corpus, grid).to(self._device)
        labels = torch.from_numpy(self._corpus.labels(self._clips))
        return (means[labels[positions]] for positions in self._assessor.positions())

    def _class_mean_log_power(self, grid: Grid, clips: NDArray[np.int64]) -> FullSpectrograms:
        labels = torch.from_numpy(self._corpus.labels(clips))
        return grid.to_full(class_means(self._corpus, grid)[labels].to(self._device))

    def _nearest_batches(self, grid: Grid) -> Iterator[Spectrograms]:
        train = self._corpus.indices("train")
        features = self._open_split(grid, train)
        for positions in self._assessor.positions():
            clips = self._clips[positions.numpy()]
            neighbours = self._training_clips.find_nearest(self._original_log_power(clips), clips, same_class=True)
            yield features.batch(neighbours)

    def _pca_batches(self, grid: Grid, num_components: int) -> Iterator[Spectrograms]:
        train = self._training_sample(grid)
        mean = train.mean(dim=0)
        # With fewer clips than pixels, the matrix of inner products between clips is the smaller one to decompose.
        centred = train - mean
        variances, weights = torch.linalg.eigh(centred @ centred.T)
        is_significant = variances.flip(0)[:num_components] > variances[-1] * 1e-6
        components = weights.flip(1)[:, :num_components][:, is_significant].T @ centred
        components = F.normalize(components, dim=1)
        for reduced in self._reduced_batches(grid):
            estimate = (reduced.flatten(1) - mean) @ components.T @ components + mean
            yield estimate.unflatten(1, (-1, grid.bins))

    def _training_sample(self, grid: Grid) -> Float[Tensor, "clips pixels"]:
        frames, bins = grid.shape(self._corpus.clip_format.frames)
        clips = np.random.default_rng(0).permutation(self._corpus.indices("train"))
        clips = np.sort(clips[: min(PCA_CLIPS, PCA_VALUES // (frames * bins))])
        return self._open_split(grid, clips).batch(torch.arange(len(clips))).flatten(1)

    def _open_split(self, grid: Grid, clips: NDArray[np.int64]) -> FeatureSplit:
        features = self._corpus.features(Feature(grid))
        return FeatureSplit(features, clips, self._device, self._corpus.in_memory_bytes)


def class_means(corpus: Corpus, grid: Grid) -> Float[Tensor, "classes frames bins"]:
    """Return the mean log-power of the training clips of each class, from a cache file after the first time."""

    def make(path: Path) -> None:
        train = corpus.indices("train")
        labels, features = corpus.labels(train), corpus.features(Feature(grid))
        means = []
        for label in range(len(corpus.classes)):
            clips = train[labels == label]
            # A class whose recordings are all held out gets the mean of all training clips.
            means.append(_mean_log_power(features, clips if len(clips) else train))
        with path.open("wb") as file:
            np.save(file, np.stack(means))

    return torch.from_numpy(np.load(write_once(corpus.folder / f"class-means-{grid.name}.npy", make)))


def _mean_log_power(features: NDArray[np.float16], clips: NDArray[np.int64]) -> NDArray[np.float32]:
    total = np.zeros(features.shape[1:])
    for part in np.array_split(clips, len(clips) // PCA_CLIPS + 1):
        total += features[part].astype(np.float64).sum(axis=0)
    return (total / len(clips)).astype(np.float32)

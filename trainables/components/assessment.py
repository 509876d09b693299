"""One pass over a split that says how good estimates are, in the same way for every trial and every reference line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.distribution_metrics import (
    NUM_BINS,
    SUBSET_CLIPS,
    binned,
    diversity,
    frechet_distance,
    inception_score,
    kernel_distance,
)
from trainables.components.grid import Grid
from trainables.components.judge import Judge
from trainables.components.metrics import COMMON_SIZE, FractionUnexplained, hearing, lsd_db
from trainables.components.representation import Feature
from trainables.components.sound_metrics import mel_lsd_db, phase_error_rad
from trainables.components.spectrogram import log_power
from trainables.corpora.cache import made_once
from trainables.corpora.features import FeatureSplit, clip_power, read_waveforms
from trainables.corpora.splits import Split
from trainables.errors import InputError

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

BATCH_CLIPS = 64
CLIPS_A_BIN = 10
FAD_CLIPS = 2048
"""Training clips whose embeddings the distances between distributions are taken to."""

Batch = Float[Tensor, "clips frames bins"]
Full = Float[Tensor, "clips 192 512"]
Embeddings = Float[Tensor, "clips features"]


class Assessor:
    """Compares estimates of a split's spectrograms with the real ones, on the common grid and by the judge."""

    def __init__(
        self,
        corpus: Corpus,
        split: Split,
        judge: Judge,
        device: torch.device,
        clips: NDArray[np.int64] | None = None,
    ) -> None:
        """Args:
        clips: a part of the split, as rows of the corpus's table; None for all of it.
        """
        self.clips = corpus.indices(split) if clips is None else clips
        self._corpus = corpus
        self._judge = judge
        self._labels = corpus.labels(self.clips)
        self._recordings = corpus.clips["recording"].to_numpy(str)[self.clips]
        self._targets = FeatureSplit(corpus.features(Feature(Grid(COMMON_SIZE))), self.clips, device)
        known = _reference_clips(corpus)
        self._reference = _embedded(corpus, judge, known).to(device)
        self._reference_labels = corpus.labels(known)

    def positions(self) -> Iterator[Tensor]:
        """The split's clips in order, in the batches in which estimates are expected."""
        return iter(torch.arange(len(self._targets)).split(BATCH_CLIPS))

    def assess(self, estimates: Iterable[Batch], grid: Grid) -> dict[str, float]:
        """Metrics of estimates on a grid (log-power in nats), given in the batches of `positions`."""
        fvu, distances_db, heard, embeddings = FractionUnexplained(), [], [], []
        for positions, estimate in zip(self.positions(), estimates, strict=True):
            target, common = self._targets.batch(positions), grid.resized(estimate, COMMON_SIZE)
            fvu.add(common, target)
            distances_db.append(lsd_db(common, target))
            probabilities, embedded = self._judge.perceive(grid.full(estimate))
            heard.append(probabilities)
            embeddings.append(embedded)
        verdict = hearing(torch.cat(heard), self._labels, self._recordings)
        return {
            "judge_probability": verdict.mean_probability,
            "judge_accuracy": verdict.accuracy,
            "fvu": fvu.value,
            "lsd_db": torch.cat(distances_db).mean().item(),
            **self._of_all(torch.cat(embeddings)),
            "diversity": self._diversity(torch.cat(embeddings)),
            "inception_score": inception_score(torch.cat(heard)),
        }

    def assess_samples(self, samples: Full) -> dict[str, float]:
        """Metrics of magnitudes that stand for no clip: how far they are from the training clips as a whole, and how
        many classes the judge hears, and how surely."""
        probabilities, embeddings = self._judge.perceive(samples)
        distances = {f"sample_{name}": value for name, value in self._of_all(embeddings).items()}
        return {**distances, "sample_inception_score": inception_score(probabilities)}

    def _of_all(self, embeddings: Embeddings) -> dict[str, float]:
        """How far clips are from the training clips as a whole; not a number where they are too few to tell."""
        if min(len(embeddings), len(self._reference)) < 2 or not embeddings.isfinite().all():
            return dict.fromkeys(("fad", "kid", "different_bins"), math.nan)
        num_bins = min(NUM_BINS, max(2, len(self._reference) // CLIPS_A_BIN))
        return {
            "fad": frechet_distance(embeddings, self._reference),
            "kid": kernel_distance(_some(embeddings), _some(self._reference)),
            "different_bins": binned(embeddings, self._reference, num_bins=num_bins).fraction_different,
        }

    def _diversity(self, embeddings: Embeddings) -> float:
        try:
            return diversity(embeddings, self._reference, self._labels, self._reference_labels)
        except InputError:
            return math.nan

    def assess_sounds(self, sounds: Float[Tensor, "clips samples"], clips: NDArray[np.int64]) -> dict[str, float]:
        """Metrics of the sounds of some clips, given as rows of the corpus's table."""
        originals = read_waveforms(self._corpus.waveforms(), clips).to(sounds.device)
        return {
            "mel_lsd_db": mel_lsd_db(sounds, originals).mean().item(),
            "phase_error_rad": phase_error_rad(sounds, originals).mean().item(),
        }


def _some(embeddings: Embeddings) -> Float[Tensor, "some features"]:
    """As many as the kernel distance compares at once, from all over."""
    order = torch.randperm(len(embeddings), generator=torch.Generator().manual_seed(0))
    return embeddings[order[:SUBSET_CLIPS].to(embeddings.device)]


def _reference_clips(corpus: Corpus) -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(corpus.indices("train"))[:FAD_CLIPS]


def _embedded(corpus: Corpus, judge: Judge, clips: NDArray[np.int64]) -> Embeddings:
    """What the judge makes of training clips as they are."""

    def make(path: Path) -> None:
        parts = np.array_split(clips, range(BATCH_CLIPS, len(clips), BATCH_CLIPS))
        waveforms = corpus.waveforms()
        embedded = [judge.embed_log_power(log_power(clip_power(waveforms, part))).cpu() for part in parts]
        with path.open("wb") as file:
            np.save(file, torch.cat(embedded).numpy())

    return torch.from_numpy(np.load(made_once(corpus.folder / f"embeddings-{judge.id}.npy", make)))

"""Metrics of estimates on a split, computed in the same way for every trial and every baseline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.distributions import inception_score
from trainables.components.assessment.embeddings import Reference, cache_embeddings, sample_clips
from trainables.components.assessment.panel_metrics import PanelAssessor, score_sounds
from trainables.components.audio.feature import Feature
from trainables.components.audio.grid import Grid
from trainables.components.audio.log_power_metrics import COMMON_SIZE, FractionUnexplained, lsd_db, score_recordings
from trainables.components.audio.sound_metrics import mel_lsd_db, phase_error_rad
from trainables.components.audio.spectrogram import log_power, to_waveform
from trainables.components.judges.sound_judge import Judge
from trainables.components.shapes import Embeddings, FullSpectrograms, Spectrograms
from trainables.corpora.features import FeatureSplit, clip_power, read_waveforms
from trainables.corpora.splits import Split

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

BATCH_CLIPS = 64


class Assessor:
    """A comparison of estimated spectrograms of a split with the original ones, on the common grid and by the judge.

    Args:
        corpus: provides the originals.
        split: the split of the estimates.
        judge: scores the estimates.
        device: where the metrics are computed.
        clips: a part of the split, as rows of the corpus's table; None for all of it.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: Split,
        judge: Judge,
        device: torch.device,
        clips: NDArray[np.int64] | None = None,
    ) -> None:
        self.clips = corpus.indices(split) if clips is None else clips
        self._corpus = corpus
        self._judge = judge
        self._labels = corpus.labels(self.clips)
        self._recordings = corpus.clips["recording"].to_numpy(str)[self.clips]
        features = corpus.features(Feature(Grid(COMMON_SIZE)))
        self._targets = FeatureSplit(features, self.clips, device, corpus.in_memory_bytes)
        self._reference = _open_reference(corpus, judge, device)
        self._panel = PanelAssessor(corpus, "sound", self.clips)

    def positions(self) -> Iterator[Tensor]:
        """Return the positions of the clips, in the batches in which `assess` expects estimates."""
        return iter(torch.arange(len(self._targets)).split(BATCH_CLIPS))

    def assess(
        self, estimates: Iterable[Spectrograms], grid: Grid, *, by_added_judges: bool = True
    ) -> dict[str, float]:
        """Compute metrics of estimates of all clips.

        Judges that the search space adds hear sounds, so the estimates are synthesized with Griffin-Lim for them.

        Args:
            estimates: log-power in nats, in the batches of `positions`.
            grid: the grid of the estimates.
            by_added_judges: whether these judge the estimates, too.

        Returns:
            Metrics by name, without the prefix `val/`.
        """
        fvu, distances_db, class_probabilities, embeddings, sounds = FractionUnexplained(), [], [], [], []
        for positions, estimate in zip(self.positions(), estimates, strict=True):
            target, common = self._targets.batch(positions), grid.resize(estimate, COMMON_SIZE)
            fvu.add(common, target)
            distances_db.append(lsd_db(common, target))
            full = grid.to_full(estimate)
            probabilities, embedded = self._judge.classify_and_embed(full)
            class_probabilities.append(probabilities)
            embeddings.append(embedded)
            if self._panel and by_added_judges:
                sounds.append(to_waveform(full[self._panel.select(positions).to(full.device)]).cpu())
        verdict = score_recordings(torch.cat(class_probabilities), self._labels, self._recordings)
        return {
            **self._reference.added_metrics(self._corpus.additions.metrics, torch.cat(embeddings), self._recordings),
            **(self._panel.assess(torch.cat(sounds)) if sounds else {}),
            "judge_probability": verdict.mean_probability,
            "judge_accuracy": verdict.accuracy,
            "fvu": fvu.value,
            "lsd_db": torch.cat(distances_db).mean().item(),
            **self._reference.distances(torch.cat(embeddings), "fad"),
            "diversity": self._reference.diversity(torch.cat(embeddings), self._labels),
            "inception_score": inception_score(torch.cat(class_probabilities)),
        }

    def assess_samples(self, samples: FullSpectrograms) -> dict[str, float]:
        """Compute metrics of generated magnitudes: distances from the training clips, and the inception score.

        Args:
            samples: log-power in nats, on the full grid.
        """
        probabilities, embeddings = self._judge.classify_and_embed(samples)
        distances = self._reference.distances(embeddings, "fad")
        return {
            **{f"sample_{name}": value for name, value in distances.items()},
            "sample_inception_score": inception_score(probabilities),
        }

    def assess_sounds(self, sounds: Float[Tensor, "clips samples"], clips: NDArray[np.int64]) -> dict[str, float]:
        """Compute metrics of sounds, given the clips that they reconstruct as rows of the corpus's table."""
        originals = read_waveforms(self._corpus.waveforms(), clips).to(sounds.device)
        added = score_sounds(self._corpus, sounds, originals).mean()
        return {
            **{str(name): float(value) for name, value in added.items()},
            "mel_lsd_db": mel_lsd_db(sounds, originals).mean().item(),
            "phase_error_rad": phase_error_rad(sounds, originals).mean().item(),
        }


def _open_reference(corpus: Corpus, judge: Judge, device: torch.device) -> Reference:
    """Return the judge's embeddings of original training clips; they are computed once per corpus and judge."""
    clips = sample_clips(corpus.indices("train"))

    def embed() -> Embeddings:
        parts = np.array_split(clips, range(BATCH_CLIPS, len(clips), BATCH_CLIPS))
        waveforms = corpus.waveforms()
        return torch.cat([judge.embed_log_power(log_power(clip_power(waveforms, part))).cpu() for part in parts])

    embeddings = cache_embeddings(corpus.folder / f"embeddings-{judge.id}.npy", embed)
    return Reference(embeddings.to(device), corpus.labels(clips))

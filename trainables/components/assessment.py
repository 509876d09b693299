"""One pass over a split that says how good estimates are, in the same way for every trial and every reference line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.components.judge import Judge
from trainables.components.metrics import COMMON_SIZE, FractionUnexplained, hearing, lsd_db
from trainables.components.spectrogram import resized
from trainables.corpora.features import FeatureSplit
from trainables.corpora.splits import Split

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

BATCH_CLIPS = 64


class Assessor:
    """Compares estimates of a split's spectrograms with the real ones, on the common grid and by the judge."""

    def __init__(self, corpus: Corpus, split: Split, judge: Judge, device: torch.device) -> None:
        clips = corpus.indices(split)
        self._judge = judge
        self._labels = corpus.labels(clips)
        self._recordings = corpus.clips["recording"].to_numpy(str)[clips]
        self._targets = FeatureSplit(corpus.features(COMMON_SIZE), clips, device)

    def positions(self) -> Iterator[Tensor]:
        """The split's clips in order, in the batches in which estimates are expected."""
        return iter(torch.arange(len(self._targets)).split(BATCH_CLIPS))

    def assess(self, estimates: Iterable[Float[Tensor, "clips frames bins"]]) -> dict[str, float]:
        """Metrics of estimates of any size (log-power in nats), given in the batches of `positions`."""
        fvu, distances_db, probabilities = FractionUnexplained(), [], []
        for positions, estimate in zip(self.positions(), estimates, strict=True):
            target, common = self._targets.batch(positions), resized(estimate, COMMON_SIZE)
            fvu.add(common, target)
            distances_db.append(lsd_db(common, target))
            probabilities.append(self._judge.hear_log_power(resized(estimate, "192x512")))
        heard = hearing(torch.cat(probabilities), self._labels, self._recordings)
        return {
            "judge_probability": heard.mean_probability,
            "judge_accuracy": heard.accuracy,
            "fvu": fvu.value,
            "lsd_db": torch.cat(distances_db).mean().item(),
        }

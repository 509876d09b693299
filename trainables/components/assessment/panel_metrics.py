"""Metrics by the judges that a search space adds, of the clips that a trial or a baseline produces."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.added_metrics import DISTANCES, METRICS, measure_embeddings, measure_sounds
from trainables.components.audio.log_power_metrics import score_recordings
from trainables.components.judges.panel import identify_panel, open_panel
from trainables.components.judges.plugin import Modality
from trainables.corpora.splits import digest

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


class PanelAssessor:
    """Scores estimates of some clips by every added judge of a modality; false if there is none.

    Each judge gets the same part of the clips after every epoch (`clips:` in its settings).

    Args:
        corpus: the corpus, with its additions.
        modality: what is judged.
        clips: the clips that are estimated, as rows of the corpus's table.
    """

    def __init__(self, corpus: Corpus, modality: Modality, clips: NDArray[np.int64]) -> None:
        self._panel = open_panel(corpus, modality)
        self._metrics = list(dict.fromkeys([*DISTANCES[modality], *corpus.additions.metrics]))
        self._labels = corpus.labels(clips)
        self._recordings = corpus.clips["recording"].to_numpy(str)[clips]
        chosen = [judge.choose_clips(len(clips)) for judge in self._panel.values()]
        # The part of one judge contains those of judges that get fewer clips.
        self._needed = max(chosen, key=len, default=np.empty(0, np.int64))

    def __bool__(self) -> bool:
        return bool(self._panel)

    def select(self, positions: Int64[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
        """Return which clips of a batch, given as positions within the clips, any judge needs."""
        return torch.isin(positions, torch.from_numpy(self._needed))

    def assess(self, clips: Tensor) -> dict[str, float]:
        """Return the metrics of all judges, by name without `val/`.

        Args:
            clips: the sounds or pictures of all clips that `select` has chosen, in order.
        """
        measured: dict[str, float] = {}
        for name, judge in self._panel.items():
            part = judge.choose_clips(len(self._labels))
            before = judge.seconds
            probabilities, embeddings = judge.classify_and_embed(clips[np.searchsorted(self._needed, part)])
            recordings = self._recordings[part]
            groups = np.unique(recordings, return_inverse=True)[1].astype(np.int64)
            verdict = score_recordings(probabilities, self._labels[part], recordings)
            measured[f"{name}_probability"] = verdict.mean_probability
            measured[f"{name}_accuracy"] = verdict.accuracy
            measured |= measure_embeddings(
                self._metrics, f"{name}_", embeddings.numpy(), judge.train_embeddings.numpy(), groups
            )
            measured[f"{name}_s"] = judge.seconds - before
        return measured


def score_sounds(
    corpus: Corpus, sounds: Float[Tensor, "clips samples"], originals: Float[Tensor, "clips samples"]
) -> pd.DataFrame:
    """Return a row for each clip, with a column for each added metric of sounds; NaN where it doesn't apply.

    Args:
        corpus: the corpus, with its additions.
        sounds: rendered sounds at any level; those that exceed ±1 are scaled.
        originals: the sounds that they reconstruct.
    """
    names = [name for name in corpus.additions.metrics if METRICS[name].of == "sounds"]
    if not names or not sounds.isfinite().all():
        return pd.DataFrame(math.nan, index=range(len(sounds)), columns=names)
    scaled = sounds / sounds.abs().amax(dim=1, keepdim=True).clamp(min=1)
    return pd.DataFrame(measure_sounds(names, scaled.cpu().numpy(), originals.cpu().numpy(), corpus.rate_hz))


def describe_additions(corpus: Corpus) -> str:
    """Return a text that identifies all that added judges and metrics compute; empty if there are none."""
    codes = []
    for name in corpus.additions.metrics:
        function = METRICS[name].function
        is_own = function.__module__.startswith("trainables.")
        codes.append(name if is_own else Path(inspect.getfile(function)).read_text("utf-8"))
    parts = [*identify_panel(corpus).values(), *codes]
    return digest(" ".join(parts))[:12] if parts else ""

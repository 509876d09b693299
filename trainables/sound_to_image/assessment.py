"""Metrics of generated pictures, computed in the same way for every trial and every baseline."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.assessment.distributions import inception_score
from trainables.components.assessment.embeddings import Clips, Reference, cache_embeddings, sample_clips
from trainables.components.assessment.panel_metrics import PanelAssessor
from trainables.components.assessment.retrieval import search
from trainables.components.audio.log_power_metrics import score_recordings
from trainables.components.judges.panel import PanelJudge, open_panel
from trainables.components.judges.picture_judge import SIZE_PX, PictureJudge
from trainables.components.pictures.augmentation import Pictures, as_floats
from trainables.components.shapes import Embeddings
from trainables.corpora.pictures import select_visible
from trainables.sound_to_image.config import RETRIEVAL_PREFIX

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

BATCH_CLIPS = 64


class PictureAssessor:
    """Compares the pictures that are generated for some clips with real ones, in a judge's embeddings."""

    def __init__(self, corpus: Corpus, clips: Clips, judge: PictureJudge) -> None:
        """Embed the real pictures of the clips, and those of training clips.

        Args:
            corpus: where the clips are from.
            clips: rows of the corpus's table, which all have a picture.
            judge: the picture judge.
        """
        self.clips = clips
        self._judge = judge
        self._labels = corpus.labels(clips)
        self._recordings = corpus.clips["recording"].to_numpy(str)[clips]
        self._first = first_positions(self._recordings)
        self._real = embed_pictures(corpus, judge, clips[self._first])
        self._panel = PanelAssessor(corpus, "picture", clips)
        self._additions = corpus.additions
        self._reference = _reference(corpus, judge, self._real.device)

    def assess(self, pictures: Iterable[Pictures]) -> dict[str, float]:
        """Return metrics by name.

        Args:
            pictures: batches of pictures within −1..1, one for each clip in order.
        """
        perceived, shown = [], []
        # The batches need not be of one size.
        positions = iter(torch.arange(len(self.clips)))
        for batch in pictures:
            perceived.append(self._judge.classify_and_embed(batch))
            is_needed = self._panel.select(torch.stack([*itertools.islice(positions, len(batch))]))
            if self._panel:
                shown.append(batch[is_needed.to(batch.device)].cpu())
        probabilities, embeddings = (torch.cat(batches) for batches in zip(*perceived, strict=True))
        verdict = score_recordings(probabilities, self._labels, self._recordings)
        labels = torch.from_numpy(self._labels[self._first]).to(embeddings.device)
        own = torch.arange(len(labels), device=embeddings.device)
        hits = search(embeddings[torch.from_numpy(self._first)], self._real, own, labels, labels)
        return {
            **self._reference.added_metrics(self._additions.metrics, embeddings, self._recordings),
            **(self._panel.assess(torch.cat(shown)) if shown else {}),
            "judge_probability": verdict.mean_probability,
            "judge_accuracy": verdict.accuracy,
            **self._reference.distances(embeddings, "fid"),
            "diversity": self._reference.diversity(embeddings, self._labels),
            "inception_score": inception_score(probabilities),
            **hits.metrics(RETRIEVAL_PREFIX),
        }


def evaluation_table(
    corpus: Corpus,
    clips: Clips,
    pictures: Iterable[Pictures],
    judges: dict[str, PictureJudge],
    others: Sequence[Clips] = (),
) -> pd.DataFrame:
    """Judge the pictures that are generated for some clips.

    Args:
        corpus: where the clips are from.
        clips: rows of the corpus's table.
        pictures: batches of pictures within −1..1, one for each clip in order.
        judges: by the prefix of their columns; the first one's embeddings are searched.
        others: more clips, whose real pictures are searched, too.

    Returns:
        A row for each recording, with the columns `recording` and `class`; for each judge, added ones included,
        `{prefix}_probability` of the true class and `{prefix}_accuracy`; and the retrieval of real pictures (those of
        all recordings' first clips) by the picture that is generated for the recording's first clip.
    """
    judges_by_prefix: dict[str, PictureJudge | PanelJudge] = {**judges, **open_panel(corpus, "picture")}
    perceived_by_judge: dict[str, list[tuple[Tensor, Tensor]]] = {prefix: [] for prefix in judges_by_prefix}
    for part in pictures:
        for prefix, scorer in judges_by_prefix.items():
            perceived_by_judge[prefix].append(scorer.classify_and_embed(part))
    recordings = corpus.clips["recording"].to_numpy(str)
    names, first = np.unique(recordings[clips], return_index=True)
    table = pd.DataFrame({"recording": names, "class": corpus.clips["class"].to_numpy()[clips[first]]})
    for prefix, parts in perceived_by_judge.items():
        verdict = score_recordings(torch.cat([batch for batch, _ in parts]), corpus.labels(clips), recordings[clips])
        table[f"{prefix}_probability"] = verdict.probability
        table[f"{prefix}_accuracy"] = verdict.is_right
    prefix, judge = next(iter(judges.items()))
    embeddings = torch.cat([batch for _, batch in perceived_by_judge[prefix]])[torch.from_numpy(first)]
    other_firsts = [other_clips[first_positions(recordings[other_clips])] for other_clips in others]
    items = np.concatenate([clips[first], *other_firsts])
    labels = torch.from_numpy(corpus.labels(items)).to(embeddings.device)
    own = torch.arange(len(first), device=embeddings.device)
    hits = search(embeddings, embed_pictures(corpus, judge, items), own, labels[own], labels)
    return table.assign(**hits.columns(RETRIEVAL_PREFIX))


def real_pictures(corpus: Corpus, clips: Clips, size: int = SIZE_PX) -> Iterator[Pictures]:
    """Yield the pictures of clips within −1..1, in batches.

    Args:
        corpus: where the clips are from.
        clips: rows of the corpus's table.
        size: of a picture's side in pixels.
    """
    pictures = corpus.frames(size)
    for part in np.split(clips, range(BATCH_CLIPS, len(clips), BATCH_CLIPS)):
        yield as_floats(torch.from_numpy(pictures[part]))


def embed_pictures(corpus: Corpus, judge: PictureJudge, clips: Clips) -> Embeddings:
    """Return a judge's embeddings of the real pictures of clips, on its device."""
    return torch.cat([judge.classify_and_embed(part)[1] for part in real_pictures(corpus, clips)])


def first_positions(recordings: NDArray[Any]) -> NDArray[np.int64]:
    """Return the position of each recording's first clip, ascending, given the recording of each clip."""
    return np.sort(np.unique(recordings, return_index=True)[1]).astype(np.int64)


def _reference(corpus: Corpus, judge: PictureJudge, device: torch.device) -> Reference:
    """Return the judge's embeddings of a sample of training pictures, from the corpus's cache if they are there."""
    train = select_visible(corpus, corpus.frames(SIZE_PX), corpus.indices("train"))
    clips = sample_clips(train)
    # Earlier versions left out black pictures, and cached the embeddings of the others.
    path = corpus.folder / f"embeddings-{judge.id}-{len(train)}.npy"
    return Reference(
        cache_embeddings(path, lambda: embed_pictures(corpus, judge, clips)).to(device), corpus.labels(clips)
    )

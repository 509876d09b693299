"""The part of `loader` that looks at corpora: their surveys, and drawings of their clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestrator.plugins.corpora import user_errors
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus
    from trainables.corpora.shards.array import ShardedArray
    from trainables.corpora.survey import Survey

FRAME_PX = 96


@user_errors()
def survey_corpus(corpus: Corpus, progress: Progress = silent) -> Survey:
    """Measure the clips of a corpus, and find the sounds that it has twice.

    Raises:
        UserError: the home can't be written.
    """
    from trainables.corpora.survey import survey

    return survey(corpus, progress)


def draw_spectrogram(corpus: Corpus, clip: int) -> NDArray[np.uint8]:
    """Return a drawing of a clip's spectrogram, of shape (height, width, 3)."""
    from trainables.components.audio.spectrogram import log_power
    from trainables.components.pictures.spectrogram_pictures import draw_pair
    from trainables.corpora.features import clip_power

    (magnitude,) = log_power(clip_power(corpus.waveforms(), np.array([clip])))
    drawing, _ = draw_pair(magnitude, magnitude)
    return drawing


@user_errors()
def open_frames(corpus: Corpus, progress: Progress = silent) -> ShardedArray | None:
    """Return a small picture of every clip, of shape (clips, 3, 96, 96); None if the corpus has no pictures.

    Raises:
        UserError: the home can't be written.
    """
    if not corpus.pictures:
        return None
    return corpus.frames(FRAME_PX, progress)

"""What the page of a corpus draws: histograms, and the clips that are chosen to be seen and heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

MOST_CLIPS = 48
"""The page has at most this many clips: a sound and its pictures take 110 kB."""
MOST_OF_CLASS = 4
LEVEL_EDGES_DB = np.arange(-80, 1, 5)
MOST_BINS = 16


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram.

    Attributes:
        label: the interval.
        count: the number of clips or recordings in it.
        share: the height, as a fraction of the highest bar.
    """

    label: str
    count: int
    share: float


@dataclass(frozen=True)
class Histogram:
    """A histogram: its heading, what is counted, and its bars."""

    heading: str
    unit: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class WallClip:
    """A clip on the page; sound and pictures are data URIs, and `frame` is None without a picture."""

    name: str
    recording: str
    class_name: str
    split: str
    level_db: float
    sound: str
    spectrogram: str
    frame: str | None


def count_levels(rms_db: NDArray[np.float32]) -> Histogram:
    """Return the histogram of the RMS of clips, in dB; those below −80 dB are in the first bar."""
    counts, _ = np.histogram(np.clip(rms_db, LEVEL_EDGES_DB[0], -1e-3), LEVEL_EDGES_DB)
    labels = [f"{low} to {low + 5} dB".replace("-", "−") for low in LEVEL_EDGES_DB[:-1]]
    return Histogram("Levels (RMS below full scale)", "clips", _make_bars(labels, counts))


def count_durations(corpus: Corpus) -> Histogram:
    """Return the histogram of the durations of recordings, in whole clips."""
    clips = corpus.clips.groupby("recording").size().to_numpy()
    num_bins = min(MOST_BINS, int(clips.max()))
    width = -(-int(clips.max()) // num_bins)
    counts, _ = np.histogram(clips, np.arange(num_bins + 1) * width + 0.5)
    lasts = [(number + 1) * width for number in range(num_bins)]
    spans = [(last - width + 1, last) for last in lasts]
    labels = [
        " to ".join(_format_s(_duration_s(corpus, count)) for count in dict.fromkeys(span)) + " s" for span in spans
    ]
    return Histogram("Durations, in whole clips", "recordings", _make_bars(labels, counts))


def _duration_s(corpus: Corpus, num_clips: int) -> float:
    """Return the duration of a recording of this many clips, from the beginning of the first to the end of the last."""
    return (num_clips - 1) * corpus.clip_format.hop_s + corpus.clip_s


def _format_s(duration_s: float) -> str:
    return f"{duration_s:.3g}" if duration_s < 100 else f"{duration_s:.0f}"


def _make_bars(labels: list[str], counts: NDArray[np.int64]) -> tuple[Bar, ...]:
    most = max(1, int(counts.max()))
    return tuple(Bar(label, int(count), int(count) / most) for label, count in zip(labels, counts, strict=True))


def choose_clips(corpus: Corpus) -> tuple[list[str], list[int]]:
    """Return the classes that are shown, and the rows of their clips: the first ones of different recordings."""
    classes = list(corpus.classes)[:MOST_CLIPS]
    per_class = min(MOST_OF_CLASS, MOST_CLIPS // len(classes))
    firsts = corpus.clips.drop_duplicates("recording")
    rows: list[int] = []
    for name in classes:
        of_class = firsts[firsts["class"].astype(str) == name]
        # One of each split first, so that all three are seen.
        turn = of_class.groupby("split").cumcount()
        rows += turn.sort_values(kind="stable").index[:per_class].tolist()
    return classes, rows

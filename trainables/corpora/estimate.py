"""How many clips a corpus will have, before its files are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np

from trainables.components.audio.clip import RATE_HZ, clip_seconds
from trainables.corpora.files import Recording

MOST_PROBED = 200
"""Opening a file takes milliseconds, and VEGAS has 28,000."""


@dataclass(frozen=True)
class Estimate:
    """The size of a corpus.

    Attributes:
        recordings: the number of its recordings.
        clips: the number of its clips.
        probed: the number of files whose durations it was estimated from.
    """

    recordings: int
    clips: int
    probed: int


def estimate_clips(recordings: Sequence[Recording], rate_hz: int = RATE_HZ) -> Estimate:
    """Estimate the number of clips from the durations of at most `MOST_PROBED` recordings, evenly spaced.

    Args:
        recordings: all recordings.
        rate_hz: the sampling rate of the clips.
    """
    positions = np.unique(np.linspace(0, len(recordings) - 1, min(MOST_PROBED, len(recordings))).astype(int))
    counts = [_count_clips(recordings[position], clip_seconds(rate_hz)) for position in positions]
    clips = sum(counts) / max(1, len(counts)) * len(recordings)
    return Estimate(len(recordings), round(clips), len(counts))


def _count_clips(recording: Recording, clip_s: float) -> int:
    if recording.problem:
        return 0
    try:
        with av.open(str(recording.path)) as container:
            duration_s = (container.duration or 0) / av.time_base
            if not container.streams.audio:
                return 0
    except (av.FFmpegError, OSError, ValueError):
        return 0
    end_s = duration_s if recording.end_s is None else min(duration_s, recording.end_s)
    return max(1, int((end_s - recording.start_s) / clip_s))

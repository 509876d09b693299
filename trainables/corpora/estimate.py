"""How many clips a corpus will have, and whether they can be cut as its settings say, before its files are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np

from trainables.components.audio.clip import USUAL_CLIP, ClipFormat
from trainables.corpora.files import Recording
from trainables.errors import InputError

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


def estimate_clips(recordings: Sequence[Recording], clip_format: ClipFormat = USUAL_CLIP) -> Estimate:
    """Estimate the number of clips from the durations of at most `MOST_PROBED` recordings, evenly spaced.

    Args:
        recordings: all recordings.
        clip_format: how recordings are cut into clips.
    """
    counts = [_count_clips(recording, clip_format) for recording in _choose_probed(recordings)]
    clips = sum(counts) / max(1, len(counts)) * len(recordings)
    return Estimate(len(recordings), round(clips), len(counts))


def check_hop(recordings: Sequence[Recording], clip_format: ClipFormat) -> None:
    """Check that a recording is long enough for a second clip where clips have gaps, as far as files say.

    Raises:
        InputError: no recording would have a second clip.
    """
    if clip_format.wanted_hop <= clip_format.wanted_samples:
        return
    durations_s = [duration_s for recording in _choose_probed(recordings) if (duration_s := _measure(recording))]
    needed = clip_format.hop_samples + clip_format.least_samples
    # In samples, because files round their durations.
    if durations_s and round(max(durations_s) * clip_format.rate_hz) < needed:
        raise InputError(
            f"corpus.hop_s: {clip_format.hop_s:g}: a second clip would end {needed / clip_format.rate_hz:.1f} s after"
            f" the beginning, and the longest recording has {max(durations_s):.1f} s; use a smaller one, or none for"
            " clips one after the other"
        )


def _choose_probed(recordings: Sequence[Recording]) -> list[Recording]:
    positions = np.unique(np.linspace(0, len(recordings) - 1, min(MOST_PROBED, len(recordings))).astype(int))
    return [recordings[position] for position in positions]


def _count_clips(recording: Recording, clip_format: ClipFormat) -> int:
    duration_s = _measure(recording)
    if duration_s is None:
        return 0
    return max(1, 1 + int((duration_s - clip_format.least_s) / clip_format.hop_s))


def _measure(recording: Recording) -> float | None:
    """Return the duration of a recording as its file says it; None if the file can't be read or has no sound."""
    if recording.problem:
        return None
    try:
        with av.open(str(recording.path)) as container:
            duration_s = (container.duration or 0) / av.time_base
            if not container.streams.audio:
                return None
    except (av.FFmpegError, OSError, ValueError):
        return None
    end_s = duration_s if recording.end_s is None else min(duration_s, recording.end_s)
    return end_s - recording.start_s

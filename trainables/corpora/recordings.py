"""Functions that decode recordings to clips."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from trainables.components.audio.clip import CLIP_SAMPLES, RATE_HZ, clip_seconds
from trainables.corpora.files import Recording
from trainables.corpora.shards.decoded import Decoded, can_be_read
from trainables.errors import InputError

__all__ = ["Decoded", "Recording", "decode", "read_clip"]

SILENCE_RMS = 1e-4
"""The RMS below which a clip is silent (−80 dBFS)."""


MARGIN_S = 2.0
"""The sound before a section that is read, too: more than a period of the resampling and the length of its filter."""
LATE_S = 0.05
"""Sound that starts this much later than its file starts late: its clips are later, too. It is more than a frame."""


def decode(recording: Recording, rate_hz: int = RATE_HZ) -> Decoded:
    """Read the sound of an audio or video file as clips, leaving out silent ones.

    Args:
        recording: the file, or a section of it.
        rate_hz: the sampling rate of the clips.

    Returns:
        int16 clips of shape (clips, 44100), where 32767 is full scale, with their starts in the file.
    """
    if recording.problem:
        return _reject(recording.problem)
    try:
        if not recording.path.exists():
            return _reject("no such file")
        if recording.path.is_fifo():
            # Perhaps nobody ever writes into it.
            return _reject("a pipe")
        sound = _read_mono(recording.path, rate_hz, recording.start_s, recording.end_s)
    except (av.FFmpegError, OSError, ValueError) as error:
        problem = f"unreadable ({getattr(error, 'strerror', None) or error})"
        return _reject(problem, is_passing=not can_be_read(recording.path))
    if sound is None:
        return _reject("no audio stream")
    begin_s = max(recording.start_s, sound.start_s)
    waveform = sound.cut(recording.start_s, recording.end_s)
    if not len(waveform):
        return _reject("zero length")
    # Float formats may have samples beyond full scale, whose squares may be infinite.
    clips = np.clip(_cut_clips(waveform), -1, 1)
    audible = np.sqrt(np.mean(np.square(clips), axis=1)) >= SILENCE_RMS
    if not audible.any():
        return _reject("silent")
    samples = np.round(clips[audible] * 32767).astype(np.int16)
    return Decoded(samples, tuple(begin_s + float(index) * clip_seconds(rate_hz) for index in np.flatnonzero(audible)))


def read_clip(path: Path, at_s: float = 0.0, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Read a clip of a recording, repeated if less is left; samples within ±1 of shape (44100,).

    Args:
        path: an audio or video file.
        at_s: the start of the clip.
        rate_hz: the sampling rate of the clip.

    Raises:
        InputError: the file can't be read, ends before `at_s`, or is silent there.
    """
    try:
        sound = _read_mono(path, rate_hz)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    waveform = np.empty(0, np.float32) if sound is None else sound.waveform
    if not len(waveform):
        raise InputError(f"{path}: has no sound; give a file with an audio stream")
    if at_s < 0 or at_s * rate_hz >= len(waveform):
        raise InputError(f"{path}: --at {at_s:g}: it is {len(waveform) / rate_hz:.1f} s long; give a time within it")
    clip = np.clip(np.resize(waveform[int(at_s * rate_hz) :][:CLIP_SAMPLES], CLIP_SAMPLES), -1, 1)
    if np.sqrt(np.mean(np.square(clip))) < SILENCE_RMS:
        end_s = at_s + clip_seconds(rate_hz)
        raise InputError(f"{path}: silent from {at_s:g} to {end_s:g} s; choose another time with --at")
    return clip


def _reject(problem: str, is_passing: bool = False) -> Decoded:
    return Decoded(np.empty((0, CLIP_SAMPLES), np.int16), (), problem, is_passing)


@dataclass(frozen=True)
class _Sound:
    """The sound of a file.

    Attributes:
        waveform: its samples.
        rate_hz: their number per second.
        start_s: the time at which the sound starts, counted from the beginning of the file.
        num_dropped: the number of samples from there that are left out of `waveform`.
    """

    waveform: NDArray[np.float32]
    rate_hz: int
    start_s: float = 0.0
    num_dropped: int = 0

    def cut(self, start_s: float, end_s: float | None) -> NDArray[np.float32]:
        """Return the samples of a section of the file."""
        first = max(0, round((start_s - self.start_s) * self.rate_hz) - self.num_dropped)
        last = None if end_s is None else max(0, round((end_s - self.start_s) * self.rate_hz) - self.num_dropped)
        return self.waveform[first:last]


def _read_mono(path: Path, rate_hz: int, from_s: float = 0.0, end_s: float | None = None) -> _Sound | None:
    """Read the first audio stream up to a time, channels averaged, at a rate; return None if the file has none.

    Sound that is long before `from_s` is left out, because a section may be hours behind the start of its file.

    Of a file that breaks off, what comes before is read.
    """
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        parts, file_hz, start_s, num_dropped = _read_parts(container, from_s, end_s, clip_seconds(rate_hz))
    if not parts:
        return _Sound(np.empty(0, np.float32), rate_hz)
    ratio = Fraction(rate_hz, file_hz)
    # A whole number of periods of the resampling, less than a second each: the samples behind are the same as without.
    num_more = -num_dropped % ratio.denominator
    num_dropped += num_more
    # Samples of float formats may be NaN or infinite.
    waveform = np.concatenate(parts)[num_more:].astype(np.float32, copy=False)
    np.nan_to_num(waveform, copy=False, posinf=0, neginf=0)
    del parts
    if not len(waveform) or file_hz == rate_hz:
        return _Sound(waveform, rate_hz, start_s, num_dropped)
    num_dropped = num_dropped // ratio.denominator * ratio.numerator
    from scipy.signal import resample_poly  # takes more than a second, and a cached corpus doesn't need it

    resampled = np.asarray(resample_poly(waveform, ratio.numerator, ratio.denominator), np.float32)
    return _Sound(resampled, rate_hz, start_s, num_dropped)


def _read_parts(
    container: InputContainer, from_s: float, end_s: float | None, least_s: float
) -> tuple[deque[NDArray[np.float32]], int, float, int]:
    """Return the samples of the first audio stream in parts, with their rate, the start, and the number left out.

    Parts that end more than `MARGIN_S` before `from_s` are left out. Of a file that breaks off, what comes before is
    returned if it lasts for `least_s`.
    """
    to_float = av.AudioResampler(format="fltp")
    parts: deque[NDArray[np.float32]] = deque()
    rate_hz, start_s, samples_needed = 0, 0.0, float("inf")
    num_samples = num_dropped = 0
    try:
        for frame in container.decode(audio=0):
            for part in to_float.resample(frame):
                if not parts:
                    rate_hz = part.sample_rate
                    late_s = (part.time or 0.0) - (container.start_time or 0) / av.time_base
                    start_s = late_s if late_s > LATE_S else 0.0
                    samples_needed = float("inf") if end_s is None else (end_s - start_s + 1) * rate_hz
                channels = part.to_ndarray()
                # The mean of one channel is the channel, and takes a fifth of the time of decoding.
                parts.append(channels[0] if len(channels) == 1 else channels.mean(axis=0))
                num_samples += part.samples
                while len(parts) > 1 and num_dropped + len(parts[0]) <= (from_s - start_s - MARGIN_S) * rate_hz:
                    num_dropped += len(parts.popleft())
            if num_samples > samples_needed:
                break
    except av.FFmpegError:
        if num_samples < least_s * rate_hz or not parts:
            raise
    return parts, rate_hz, start_s, num_dropped


def _cut_clips(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut a waveform into whole clips from its start; a shorter one is repeated until it fills a clip."""
    count = max(1, len(waveform) // CLIP_SAMPLES)
    return np.resize(waveform, (count, CLIP_SAMPLES))

"""Functions that decode recordings to clips."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from trainables.components.audio.clip import USUAL_CLIP, Channels, ClipFormat
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


def decode(recording: Recording, clip_format: ClipFormat = USUAL_CLIP) -> Decoded:
    """Read the sound of an audio or video file as clips, leaving out silent ones.

    Args:
        recording: the file, or a section of it.
        clip_format: of the clips.

    Returns:
        int16 clips of shape (clips, samples), where 32767 is full scale, with their starts in the file.
    """
    reject = partial(_reject, clip_format.samples)
    if recording.problem:
        return reject(recording.problem)
    try:
        if not recording.path.exists():
            return reject("no such file")
        if recording.path.is_fifo():
            # Perhaps nobody ever writes into it.
            return reject("a pipe")
        sound = _read_mono(recording.path, clip_format, recording.start_s, recording.end_s)
    except (av.FFmpegError, OSError, ValueError) as error:
        problem = f"unreadable ({getattr(error, 'strerror', None) or error})"
        return reject(problem, is_passing=not can_be_read(recording.path))
    if sound is None:
        return reject("no audio stream")
    begin_s = max(recording.start_s, sound.start_s)
    waveform = sound.cut(recording.start_s, recording.end_s)
    if not len(waveform):
        return reject("zero length")
    clips, positions = _cut_clips(waveform, clip_format)
    if not len(clips):
        return reject("silent")
    return Decoded(clips, tuple(begin_s + float(position) * clip_format.hop_s for position in positions))


def read_clip(path: Path, at_s: float = 0.0, clip_format: ClipFormat = USUAL_CLIP) -> NDArray[np.float32]:
    """Read a clip of a recording, repeated if less is left; samples within ±1 of shape (samples,).

    Args:
        path: an audio or video file.
        at_s: the start of the clip.
        clip_format: of the clip.

    Raises:
        InputError: the file can't be read, ends before `at_s`, or is silent there.
    """
    try:
        sound = _read_mono(path, clip_format)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    waveform = np.empty(0, np.float32) if sound is None else sound.waveform
    if not len(waveform):
        raise InputError(f"{path}: has no sound; give a file with an audio stream")
    rate_hz, samples = clip_format.rate_hz, clip_format.samples
    if at_s < 0 or at_s * rate_hz >= len(waveform):
        raise InputError(f"{path}: --at {at_s:g}: it is {len(waveform) / rate_hz:.1f} s long; give a time within it")
    clip = np.clip(np.resize(waveform[int(at_s * rate_hz) :][:samples], samples), -1, 1)
    if np.sqrt(np.mean(np.square(clip))) < SILENCE_RMS:
        end_s = at_s + clip_format.clip_s
        raise InputError(f"{path}: silent from {at_s:g} to {end_s:g} s; choose another time with --at")
    return clip


def _reject(samples: int, problem: str, is_passing: bool = False) -> Decoded:
    return Decoded(np.empty((0, samples), np.int16), (), problem, is_passing)


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


def _read_mono(path: Path, clip_format: ClipFormat, from_s: float = 0.0, end_s: float | None = None) -> _Sound | None:
    """Read the first audio stream up to a time, as one channel at the rate of clips; return None if the file has none.

    Sound that is long before `from_s` is left out, because a section may be hours behind the start of its file.

    Of a file that breaks off, what comes before is read.
    """
    rate_hz = clip_format.rate_hz
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        parts, file_hz, start_s, num_dropped = _read_parts(
            container, from_s, end_s, clip_format.least_s, clip_format.channels
        )
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
    container: InputContainer, from_s: float, end_s: float | None, least_s: float, choice: Channels
) -> tuple[deque[NDArray[np.float32]], int, float, int]:
    """Return one channel of the first audio stream in parts, with their rate, the start, and the number left out.

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
                parts.append(_choose_channel(part.to_ndarray(), choice))
                num_samples += part.samples
                while len(parts) > 1 and num_dropped + len(parts[0]) <= (from_s - start_s - MARGIN_S) * rate_hz:
                    num_dropped += len(parts.popleft())
            if num_samples > samples_needed:
                break
    except av.FFmpegError:
        if num_samples < least_s * rate_hz or not parts:
            raise
    return parts, rate_hz, start_s, num_dropped


def _choose_channel(channels: NDArray[Any], choice: Channels) -> NDArray[np.float32]:
    """Return the channel that is heard; a single one, whatever the choice is."""
    # The mean of one channel is the channel, and takes a fifth of the time of decoding.
    is_first = len(channels) == 1 or choice == "left"
    heard = channels[0] if is_first else channels[1] if choice == "right" else channels.mean(axis=0)
    return np.asarray(heard, np.float32)


def _cut_clips(waveform: NDArray[np.float32], clip_format: ClipFormat) -> tuple[NDArray[np.int16], list[int]]:
    """Cut a waveform into clips from its start; what is shorter than a clip is repeated until it fills one.

    Clips that overlap need many times the memory of the waveform. So one after the other is converted, and no more of
    them is kept than what is returned.

    Returns:
        The clips that are not silent, of shape (clips, samples), and their positions among all clips.
    """
    samples, hop = clip_format.samples, clip_format.hop_samples
    count = max(1, 1 + (len(waveform) - clip_format.least_samples) // hop)
    try:
        clips = np.empty((count, samples), np.int16)
    except MemoryError as error:
        if hop < clip_format.wanted_samples:
            error.add_note(f"it has {count:,} clips that overlap; use a larger corpus.hop_s")
        raise
    positions: list[int] = []
    for position in range(count):
        # Float formats may have samples beyond full scale, whose squares may be infinite.
        clip = np.clip(np.resize(waveform[position * hop :][:samples], samples), -1, 1)
        if np.sqrt(np.mean(np.square(clip))) >= SILENCE_RMS:
            clips[len(positions)] = np.round(clip * 32767)
            positions.append(position)
    return clips[: len(positions)], positions

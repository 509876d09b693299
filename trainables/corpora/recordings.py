"""Functions that decode recordings to clips."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from trainables.components.audio.clip import CLIP_S, CLIP_SAMPLES, RATE_HZ
from trainables.corpora.files import Recording
from trainables.errors import InputError

__all__ = ["Decoded", "Recording", "decode", "read_clip"]

SILENCE_RMS = 1e-4
"""The RMS below which a clip is silent (−80 dBFS)."""


@dataclass(frozen=True)
class Decoded:
    """The clips of a recording, or the reason why there are none.

    Attributes:
        clips: samples of shape (clips, 44100); 32767 is full scale.
        starts_s: the start of each clip in the recording.
        problem: why there are no clips; empty if there are some.
    """

    clips: NDArray[np.int16]
    starts_s: tuple[float, ...]
    problem: str = ""


def decode(path: Path) -> Decoded:
    """Read the sound of an audio or video file as clips of 2 s, leaving out silent ones."""
    try:
        waveform = _read_mono(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        return _reject(f"unreadable ({getattr(error, 'strerror', None) or error})")
    if waveform is None:
        return _reject("no audio stream")
    if not len(waveform):
        return _reject("zero length")
    clips = _cut_clips(waveform)
    audible = np.sqrt(np.mean(np.square(clips), axis=1)) >= SILENCE_RMS
    if not audible.any():
        return _reject("silent")
    samples = np.round(np.clip(clips[audible], -1, 1) * 32767).astype(np.int16)
    return Decoded(samples, tuple(float(index) * CLIP_S for index in np.flatnonzero(audible)))


def read_clip(path: Path, at_s: float = 0.0) -> NDArray[np.float32]:
    """Read 2 s of a recording, repeated if less is left; samples within ±1 of shape (44100,), at 22,050 Hz.

    Args:
        path: an audio or video file.
        at_s: the start of the clip.

    Raises:
        InputError: the file can't be read, ends before `at_s`, or is silent there.
    """
    try:
        waveform = _read_mono(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    if waveform is None or not len(waveform):
        raise InputError(f"{path}: has no sound; give a file with an audio stream")
    if at_s < 0 or at_s * RATE_HZ >= len(waveform):
        raise InputError(f"{path}: --at {at_s:g}: it is {len(waveform) / RATE_HZ:.1f} s long; give a time within it")
    clip = np.resize(waveform[int(at_s * RATE_HZ) :][:CLIP_SAMPLES], CLIP_SAMPLES)
    if np.sqrt(np.mean(np.square(clip))) < SILENCE_RMS:
        raise InputError(f"{path}: silent from {at_s:g} to {at_s + CLIP_S:g} s; choose another time with --at")
    return clip


def _reject(problem: str) -> Decoded:
    return Decoded(np.empty((0, CLIP_SAMPLES), np.int16), (), problem)


def _read_mono(path: Path) -> NDArray[np.float32] | None:
    """Read the first audio stream, channels averaged, at 22,050 Hz; return None if the file has none."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        to_float = av.AudioResampler(format="fltp")
        frames = [part for frame in container.decode(audio=0) for part in to_float.resample(frame)]
        if not frames:
            return np.empty(0, np.float32)
        rate_hz = frames[0].sample_rate
        waveform = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in frames])
    # Samples of float formats may be NaN or infinite.
    waveform = np.nan_to_num(waveform.astype(np.float32))
    if rate_hz == RATE_HZ:
        return waveform
    ratio = Fraction(RATE_HZ, rate_hz)
    from scipy.signal import resample_poly  # takes more than a second, and a cached corpus doesn't need it

    return np.asarray(resample_poly(waveform, ratio.numerator, ratio.denominator), np.float32)


def _cut_clips(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut a waveform into whole clips from its start; a shorter one is repeated until it fills a clip."""
    count = max(1, len(waveform) // CLIP_SAMPLES)
    return np.resize(waveform, (count, CLIP_SAMPLES))

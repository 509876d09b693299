"""Preparing the sounds of a clip for listeners: equal loudness, no clipping, and a low anchor."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyloudnorm
import soundfile
from numpy.typing import NDArray
from scipy import signal

from reports.errors import ReportError

TARGET_LUFS = -23.0
"""Integrated loudness (ITU-R BS.1770) at which clips are played, as in EBU R 128."""
MAX_PEAK = 10 ** (-1 / 20)
"""Maximum amplitude, 1 dB below full scale; if a sound would exceed it, all sounds of its clip get a lower gain."""
TOO_QUIET_LUFS = -60.0
"""Sounds below this are not amplified: 40 dB of gain would make the 16-bit quantization noise audible."""
BLOCK_S = 0.4
"""Length of a block in ITU-R BS.1770; shorter sounds have no loudness."""
ANCHOR_HZ = 3500.0
"""Cutoff of the low anchor."""
MID_ANCHOR_HZ = 7000.0
"""Cutoff of the anchor of medium quality, of ITU-R BS.1534-3."""
STOP_RATIO = 4000 / 3500
"""Begin of the stop band as a multiple of the cutoff. For the low anchor, ITU-R BS.1534 requires 25 dB from 4 kHz on,
and 50 dB from 4.5 kHz on."""
STOP_DB = 60.0
"""Attenuation in the stop band."""


@dataclass(frozen=True)
class Sound:
    """A sound.

    Attributes:
        samples: values within ±1, shape (samples,) or (samples, channels).
        rate_hz: sampling rate.
    """

    samples: NDArray[np.float64]
    rate_hz: int

    def peak(self) -> float:
        """Return the largest absolute sample."""
        return float(np.abs(self.samples).max(initial=0.0))

    def loudness_lufs(self) -> float:
        """Return the integrated loudness (ITU-R BS.1770) in LUFS; -inf for silence and for sounds below 0.4 s."""
        if len(self.samples) < BLOCK_S * self.rate_hz or self.peak() == 0:
            return -np.inf
        return float(pyloudnorm.Meter(self.rate_hz).integrated_loudness(self.samples))

    def scale(self, gain: float) -> Sound:
        """Return the sound multiplied by a linear gain."""
        return Sound(self.samples * gain, self.rate_hz)

    def to_wav(self) -> bytes:
        """Return the sound as the content of a 16-bit WAV file."""
        file = io.BytesIO()
        soundfile.write(file, self.samples, self.rate_hz, format="WAV", subtype="PCM_16")
        return file.getvalue()


def read_sound(path: Path) -> Sound:
    """Read a sound file.

    Raises:
        ReportError: it can't be read, or has no samples, or some that are not finite.
    """
    try:
        samples, rate_hz = soundfile.read(path, dtype="float64")
    except soundfile.LibsndfileError as error:
        raise ReportError(f"{path.name}: can't be read as a sound ({error}); render the trial again") from None
    if len(samples) == 0 or not np.isfinite(samples).all():
        raise ReportError(
            f"{path.name}: has no samples, or some that are NaN or infinite; leave its trial out with --trials"
        )
    return Sound(samples, int(rate_hz))


def make_anchor(original: Sound, cutoff_hz: float = ANCHOR_HZ) -> Sound:
    """Return an anchor of ITU-R BS.1534: the original after a zero-phase low-pass filter.

    Args:
        original: the sound.
        cutoff_hz: end of the pass band, 3.5 kHz for the low anchor and 7 kHz for the other one.

    Raises:
        ReportError: the sampling rate is too low for the filter.
    """
    nyquist_hz = original.rate_hz / 2
    stop_hz = STOP_RATIO * cutoff_hz
    if nyquist_hz <= stop_hz:
        raise ReportError(
            f"sounds of {original.rate_hz} Hz have too little above the anchor's {cutoff_hz / 1000:g} kHz; use "
            "--method abx"
        )
    taps, beta = signal.kaiserord(STOP_DB, (stop_hz - cutoff_hz) / nyquist_hz)
    kernel = signal.firwin(taps | 1, (cutoff_hz + stop_hz) / 2, window=("kaiser", beta), fs=original.rate_hz)
    # Along time, for each channel.
    shape = (-1,) + (1,) * (original.samples.ndim - 1)
    half = len(kernel) // 2
    filtered = signal.oaconvolve(original.samples, kernel.reshape(shape), mode="full", axes=0)
    # The kernel is symmetric and its length odd: without its first half nothing is delayed.
    return Sound(filtered[half : half + len(original.samples)], original.rate_hz)


def loudness_gains(sounds: Mapping[str, Sound]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the gains that make the sounds of one clip equally loud: `TARGET_LUFS`, or less to stay below `MAX_PEAK`.

    Args:
        sounds: the sounds by any key.

    Returns:
        The linear gain of each sound by key, and the loudness in LUFS of those whose gain is 1 because they are too
        quiet.
    """
    loudness_by_key = {key: sound.loudness_lufs() for key, sound in sounds.items()}
    unchanged = {key: lufs for key, lufs in loudness_by_key.items() if lufs < TOO_QUIET_LUFS}
    gains = {key: 10 ** ((TARGET_LUFS - lufs) / 20) for key, lufs in loudness_by_key.items() if key not in unchanged}
    peak = max((gain * sounds[key].peak() for key, gain in gains.items()), default=0.0)
    common = min(1.0, MAX_PEAK / peak) if peak else 1.0
    return {key: common * gains[key] if key in gains else 1.0 for key in sounds}, unchanged


def match_loudness(sounds: Mapping[str, Sound]) -> tuple[dict[str, Sound], dict[str, float]]:
    """Return the sounds of one clip at equal loudness, as `loudness_gains` defines it.

    Args:
        sounds: the sounds by any key.

    Returns:
        All sounds by key, and the loudness in LUFS of those that were not changed because they are too quiet.
    """
    gains, unchanged = loudness_gains(sounds)
    matched = {key: sound if key in unchanged else sound.scale(gains[key]) for key, sound in sounds.items()}
    return matched, unchanged


def content_hash(data: bytes) -> str:
    """Return a hash as file name, from which listeners can't see where a sound comes from."""
    return hashlib.sha256(data).hexdigest()[:32]

"""The sounds of one clip as listeners get them: equally loud, within full scale, with a low anchor if wanted."""

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
"""Integrated loudness by ITU-R BS.1770 at which clips are played, as EBU R 128 has it."""
MAX_PEAK = 10 ** (-1 / 20)
"""A clip whose peaks would be above is played more quietly, all of its sounds by the same gain."""
TOO_QUIET_LUFS = -60.0
"""What is below is no sound that was meant: raising it by 40 dB would let the 16-bit rounding be heard."""
BLOCK_S = 0.4
"""The shortest sound whose loudness is defined."""
ANCHOR_HZ = 3500.0
ANCHOR_STOP_HZ = 4000.0
"""ITU-R BS.1534 asks for 25 dB from here on, and for 50 dB from 4.5 kHz on; the filter has 60 dB everywhere."""
STOP_DB = 60.0


@dataclass(frozen=True)
class Sound:
    """Samples within ±1; shape (samples,) or (samples, channels)."""

    samples: NDArray[np.float64]
    rate_hz: int

    def peak(self) -> float:
        return float(np.abs(self.samples).max(initial=0.0))

    def loudness_lufs(self) -> float:
        """Integrated loudness; minus infinity for silence and for what is too short to have one."""
        if len(self.samples) < BLOCK_S * self.rate_hz or self.peak() == 0:
            return -np.inf
        return float(pyloudnorm.Meter(self.rate_hz).integrated_loudness(self.samples))

    def scaled(self, gain: float) -> Sound:
        return Sound(self.samples * gain, self.rate_hz)

    def wav(self) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, self.samples, self.rate_hz, format="WAV", subtype="PCM_16")
        return file.getvalue()


def read_sound(path: Path) -> Sound:
    """Read a sound file.

    Raises:
        ReportError: it can't be read, or has something in it that is no number.
    """
    try:
        samples, rate_hz = soundfile.read(path, dtype="float64")
    except soundfile.LibsndfileError as error:
        raise ReportError(f"{path.name}: can't be read as a sound ({error}); render the trial again") from None
    if len(samples) == 0 or not np.isfinite(samples).all():
        raise ReportError(
            f"{path.name}: has no samples, or some that are no numbers; leave its trial out with --trials"
        )
    return Sound(samples, int(rate_hz))


def make_anchor(original: Sound) -> Sound:
    """The low anchor of ITU-R BS.1534: the original without what is above 3.5 kHz, nothing delayed."""
    nyquist_hz = original.rate_hz / 2
    if nyquist_hz <= ANCHOR_STOP_HZ:
        raise ReportError(
            f"sounds of {original.rate_hz} Hz have too little above the low anchor's 3.5 kHz; use --method abx"
        )
    taps, beta = signal.kaiserord(STOP_DB, (ANCHOR_STOP_HZ - ANCHOR_HZ) / nyquist_hz)
    kernel = signal.firwin(taps | 1, (ANCHOR_HZ + ANCHOR_STOP_HZ) / 2, window=("kaiser", beta), fs=original.rate_hz)
    shape = (-1,) + (1,) * (original.samples.ndim - 1)
    half = len(kernel) // 2
    filtered = signal.oaconvolve(original.samples, kernel.reshape(shape), mode="full", axes=0)
    return Sound(filtered[half : half + len(original.samples)], original.rate_hz)


def match_loudness(sounds: Mapping[str, Sound]) -> tuple[dict[str, Sound], dict[str, float]]:
    """Make the sounds of one clip equally loud.

    Returns:
        All sounds, and the loudness of those that were left as they are, since they are silent or too quiet.
    """
    loudness = {key: sound.loudness_lufs() for key, sound in sounds.items()}
    alone = {key: lufs for key, lufs in loudness.items() if lufs < TOO_QUIET_LUFS}
    gains = {key: 10 ** ((TARGET_LUFS - lufs) / 20) for key, lufs in loudness.items() if key not in alone}
    peak = max((gain * sounds[key].peak() for key, gain in gains.items()), default=0.0)
    common = min(1.0, MAX_PEAK / peak) if peak else 1.0
    return {key: sound.scaled(common * gains[key]) if key in gains else sound for key, sound in sounds.items()}, alone


def content_hash(data: bytes) -> str:
    """A name that says nothing of where a sound comes from."""
    return hashlib.sha256(data).hexdigest()[:32]

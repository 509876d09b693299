"""What the page of sounds shows and plays of one clip: sounds with gain, waveform and spectrogram, and pictures.

Spectrograms are drawn from the sounds, in the way of the pictures that trials render: time runs to the right, frequency
is linear, and all pictures of a clip have one colour scale.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from reports.listening.sounds import Sound, loudness_gains

FFT_SAMPLES, HOP_SAMPLES = 1024, 256
MAX_FRAMES = 240
"""The most frames of a spectrogram; longer sounds get a longer hop."""
BINS_PER_ROW = 4
"""How many bins of the Fourier transform one row of a picture averages: 128 rows are enough for a column's width."""
RANGE_DB = 80.0
"""The range of the colours below the clip's loudest value, as in the pictures that trials render."""
SPECTROGRAM_QUALITY, PICTURE_QUALITY = 85, 90
MIN_SHARED_PART = 0.15
"""The least part of a picture's width that is taken for a shared input; margins are narrower."""
PICTURE_PX = 480
"""The largest side of a trial's picture on the page: larger ones would leave no space for sounds."""
WAVEFORM_STEPS, WAVEFORM_HEIGHT = 120, 100
"""The width of a waveform's path, and the height of its peak above 0."""


@dataclass(frozen=True)
class DrawnSound:
    """One sound as the page has it.

    Attributes:
        audio: the unchanged sound as FLAC, in base64.
        seconds: its duration.
        gain: the linear gain at which the sounds of the clip are equally loud.
        level: the same gain in words.
        waveform: its largest and smallest samples as an SVG path.
        height_equal, height_own: its peak at equal loudness and at its own level, as a part of the clip's largest.
        spectrogram: the picture as a data URL.
    """

    audio: str
    seconds: float
    gain: float
    level: str
    waveform: str
    height_equal: float
    height_own: float
    spectrogram: str


def draw_sounds(sounds: Mapping[str, Sound], reference: str) -> dict[str, DrawnSound]:
    """Return the drawn sounds of one clip by the keys of `sounds`.

    Args:
        sounds: the original and the reconstructions, by any keys.
        reference: the key of the original, whose maximum is the top of the colour scale; if there is none, the maximum
            of all sounds is.
    """
    gains, unchanged = loudness_gains(sounds)
    decibels = {key: _power_db(sound) for key, sound in sounds.items()}
    scaled = [decibels[reference]] if reference in decibels else list(decibels.values())
    top_db = max((float(values.max()) for values in scaled), default=0.0)
    peaks = {key: sound.peak() for key, sound in sounds.items()}
    # Silence has no height, in any clip.
    largest_own = max(peaks.values(), default=0.0) or 1.0
    largest_equal = max((gains[key] * peak for key, peak in peaks.items()), default=0.0) or 1.0
    drawn: dict[str, DrawnSound] = {}
    for key, sound in sounds.items():
        drawn[key] = DrawnSound(
            audio=base64.b64encode(_to_flac(sound)).decode(),
            seconds=len(sound.samples) / sound.rate_hz,
            gain=gains[key],
            level=_describe_level(gains[key], unchanged.get(key)),
            waveform=_waveform_path(_mix_down(sound) / (peaks[key] or 1.0)),
            height_equal=gains[key] * peaks[key] / largest_equal,
            height_own=peaks[key] / largest_own,
            spectrogram=_picture(decibels[key] - top_db),
        )
    return drawn


def read_picture(path: Path) -> str:
    """Return a picture file as a data URL."""
    return _encode(_read_pixels(path), PICTURE_QUALITY)


def split_pictures(paths: Sequence[Path | None]) -> tuple[str | None, list[str | None]]:
    """Split the pictures that the arms made of one clip into the shared part and each arm's own part.

    Trials put the input, such as a photo, to the left of what they made of it, so that the shared part is at the left.

    Args:
        paths: the picture of each arm; None where there is none.

    Returns:
        The shared part, and the rest of each picture, as data URLs; None where nothing is left.
    """
    pictures = [None if path is None else _read_pixels(path) for path in paths]
    present = [picture for picture in pictures if picture is not None]
    shared_px = _count_shared(present) if len(present) == len(pictures) else 0
    own: list[str | None] = []
    for picture in pictures:
        is_empty = picture is None or shared_px == picture.shape[1]
        own.append(None if picture is None or is_empty else _encode(picture[:, shared_px:], PICTURE_QUALITY))
    return (_encode(present[0][:, :shared_px], PICTURE_QUALITY) if shared_px else None), own


def _count_shared(pictures: Sequence[NDArray[np.uint8]]) -> int:
    """Return how many columns of pixels, from the left, are equal in all pictures; 0 if too few for an input."""
    if len(pictures) < 2 or len({picture.shape for picture in pictures}) > 1:
        return 0
    is_equal = (np.stack(pictures) == pictures[0]).all(axis=(0, 1, 3))
    shared_px = len(is_equal) if is_equal.all() else int(is_equal.argmin())
    return shared_px if shared_px >= MIN_SHARED_PART * len(is_equal) else 0


def _read_pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _describe_level(gain: float, unchanged_lufs: float | None) -> str:
    """Return what equal loudness does to a sound; `unchanged_lufs` is the loudness of one that is too quiet for it."""
    if unchanged_lufs is not None:
        return "too quiet or too short to match" if math.isfinite(unchanged_lufs) else "silent or too short to match"
    return f"{20 * math.log10(gain):+.1f} dB".replace("-", "−")


def _mix_down(sound: Sound) -> NDArray[np.float64]:
    return sound.samples if sound.samples.ndim == 1 else sound.samples.mean(axis=1)


def _to_flac(sound: Sound) -> bytes:
    """Return a sound of 16 bits as FLAC, with exactly the same samples."""
    file = io.BytesIO()
    # As integers, because soundfile would scale floats by 32767.
    samples = np.rint(sound.samples * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16)
    soundfile.write(file, samples, sound.rate_hz, format="FLAC")
    return file.getvalue()


def _waveform_path(samples: NDArray[np.float64]) -> str:
    """Return the outline of a waveform; 1 is drawn `WAVEFORM_HEIGHT` above 0."""
    starts = np.unique(np.linspace(0, len(samples), WAVEFORM_STEPS, endpoint=False).astype(int))
    # SVG's y runs downwards.
    tops = -np.rint(np.maximum.reduceat(samples, starts) * WAVEFORM_HEIGHT).astype(int)
    bottoms = -np.rint(np.minimum.reduceat(samples, starts) * WAVEFORM_HEIGHT).astype(int)
    x = np.rint(np.linspace(0, WAVEFORM_STEPS, len(starts))).astype(int)
    points = [*zip(x, tops, strict=True), *zip(x[::-1], bottoms[::-1], strict=True)]
    return "M" + "L".join(f"{along} {up}" for along, up in points) + "Z"


def _power_db(sound: Sound) -> NDArray[np.float64]:
    """Return the power spectrogram in dB, shape (rows, frames), the lowest frequency first."""
    samples = np.pad(_mix_down(sound), FFT_SAMPLES // 2)
    hop = max(HOP_SAMPLES, math.ceil(len(samples) / MAX_FRAMES))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FFT_SAMPLES)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(FFT_SAMPLES), axis=1)) ** 2
    rows = power[:, :-1].reshape(len(frames), -1, BINS_PER_ROW).mean(axis=2)
    decibels: NDArray[np.float64] = 10 * np.log10(rows.T + 1e-12)
    return decibels


def _picture(decibels: NDArray[np.float64]) -> str:
    """Return a spectrogram in dB below the top of the colour scale as a data URL; low frequencies are at the bottom."""
    colours = colormaps["magma"](np.clip(decibels / RANGE_DB + 1, 0, 1))[::-1, :, :3]
    return _encode((colours * 255).round().astype(np.uint8), SPECTROGRAM_QUALITY)


def _encode(pixels: NDArray[np.uint8], quality: int) -> str:
    """Return a picture of shape (height, width, 3) as a data URL, not larger than `PICTURE_PX`."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((PICTURE_PX, PICTURE_PX))
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"

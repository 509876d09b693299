"""Sounds and pictures as data URIs, which a page contains instead of referring to files."""

from __future__ import annotations

import base64
import io

import soundfile

from reports.listening.sounds import Sound

MP3_RATES_HZ = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Sampling rates that mp3 has; sounds at other rates are written without loss."""


def encode_sound(sound: Sound, *, is_compressed: bool) -> str:
    """Return a sound as a data URI: FLAC with 16 bits, or MP3, which has about a sixth of the size.

    Args:
        sound: the sound.
        is_compressed: whether it is MP3, if MP3 has its sampling rate.
    """
    file = io.BytesIO()
    if is_compressed and sound.rate_hz in MP3_RATES_HZ:
        soundfile.write(file, sound.samples, sound.rate_hz, format="MP3")
        return encode("audio/mpeg", file.getvalue())
    soundfile.write(file, sound.samples, sound.rate_hz, format="FLAC", subtype="PCM_16")
    return encode("audio/flac", file.getvalue())


def encode(kind: str, content: bytes) -> str:
    """Return the content of a file as a data URI.

    Args:
        kind: its media type, such as `image/webp`.
        content: the bytes of the file.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

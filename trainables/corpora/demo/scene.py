"""The parts that the sound and the pictures of a demo recording share: latent, motion and time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 22050
FRAME_RATE_HZ = 10
DURATION_S = 10.0
SAMPLES = int(DURATION_S * RATE_HZ)
FRAMES = int(DURATION_S * FRAME_RATE_HZ)

Signal = NDArray[np.float64]
"""A sound, shape (samples,), or a moving part seen by the camera, shape (frames,)."""


@dataclass(frozen=True)
class Latent:
    """Properties of a recording that affect both sound and picture; each is uniform in 0..1 for every class.

    Attributes:
        size: the size of the source in the picture, and how low its pitch is.
        speed: the speed of its motion, and the rate of its sounds.
        brightness: the brightness of the picture, and the level of the sound.
        hue: the hue shift of the colours, and the amount of treble.
    """

    size: float
    speed: float
    brightness: float
    hue: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Latent:
        """Draw the latent of a recording."""
        return cls(*rng.uniform(size=4).tolist())


@dataclass(frozen=True)
class Take:
    """The dry sound of a recording, and the motion in time with it.

    Attributes:
        sound: samples of shape (samples,), at any level.
        motion: the position of each moving part in each frame, shape (frames,); the parts depend on the class.
        events: the times in seconds of visible events, shape (events,).
    """

    sound: Signal
    motion: Mapping[str, Signal] = field(default_factory=dict)
    events: Signal = field(default_factory=lambda: np.empty(0))


def lerp(low: float, high: float, at: float) -> float:
    """Interpolate linearly from `low` (at 0) to `high` (at 1)."""
    return low + (high - low) * at


def glide(low: float, high: float, at: float) -> float:
    """Interpolate geometrically from `low` (at 0) to `high` (at 1), as suits pitch."""
    return low * math.exp(at * math.log(high / low))


def frame_times_s() -> Signal:
    """Return the time of the middle of each frame."""
    return (np.arange(FRAMES) + 0.5) / FRAME_RATE_HZ


def sample_at_frames(track: Signal) -> Signal:
    """Return a track of one value a sample at the times of the frames."""
    return track[(frame_times_s() * RATE_HZ).astype(np.int64)]


def loudness(sound: Signal) -> Signal:
    """Return the RMS of a sound during each frame relative to the loudest frame, in 0..1."""
    rms: Signal = np.sqrt(np.mean(np.square(sound.reshape(FRAMES, -1)), axis=1))
    return rms / max(float(rms.max()), 1e-9)

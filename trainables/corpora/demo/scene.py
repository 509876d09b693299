"""What the sound and the pictures of a demo recording have in common."""

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
    """What can be both heard and seen in a recording; each is uniform in 0..1, whatever the class.

    Attributes:
        size: how large the source looks, and how low it sounds.
        speed: how fast it moves, and how often it sounds.
        brightness: how bright the picture is, and how loud the sound.
        hue: how warm the colours are, and how much treble the sound has.
    """

    size: float
    speed: float
    brightness: float
    hue: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Latent:
        """A recording's own latent."""
        return cls(*rng.uniform(size=4).tolist())


@dataclass(frozen=True)
class Take:
    """The dry sound of a recording and what moves in time with it.

    Attributes:
        sound: shape (samples,), at any level.
        motion: how far each moving part is, shape (frames,); which parts there are is up to the class.
        events: times in seconds at which something visible happens, shape (events,).
    """

    sound: Signal
    motion: Mapping[str, Signal] = field(default_factory=dict)
    events: Signal = field(default_factory=lambda: np.empty(0))


def lerp(low: float, high: float, at: float) -> float:
    """The value at a fraction `at` of the way from `low` to `high`."""
    return low + (high - low) * at


def glide(low: float, high: float, at: float) -> float:
    """As `lerp` in equal ratios, as pitch is heard."""
    return low * math.exp(at * math.log(high / low))


def frame_times_s() -> Signal:
    """When each frame is seen: the middle of its time."""
    return (np.arange(FRAMES) + 0.5) / FRAME_RATE_HZ


def sample_at_frames(track: Signal) -> Signal:
    """A track of one value a sample, as each frame sees it."""
    return track[(frame_times_s() * RATE_HZ).astype(np.int64)]


def loudness(sound: Signal) -> Signal:
    """RMS of a sound during each frame over that of its loudest frame, in 0..1."""
    rms: Signal = np.sqrt(np.mean(np.square(sound.reshape(FRAMES, -1)), axis=1))
    return rms / max(float(rms.max()), 1e-9)

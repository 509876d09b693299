"""Building blocks of synthetic sounds: noise, harmonics, filters, envelopes, and a simulated recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from trainables.corpora.demo.scene import DURATION_S, RATE_HZ, SAMPLES, Latent, Signal, lerp

LOWEST_HZ = 20.0
"""The lowest frequency of noise: lower ones are inaudible, but would add to the level."""


def times_s(duration_s: float = DURATION_S) -> Signal:
    """Return the time of each sample from the start of a sound."""
    return np.arange(int(duration_s * RATE_HZ)) / RATE_HZ


def to_unit_rms(sound: Signal) -> Signal:
    """Scale a sound to an RMS of one."""
    return sound / float(np.sqrt(np.mean(np.square(sound))))


def filter_spectrum(sound: Signal, gain: Callable[[Signal], Signal]) -> Signal:
    """Apply a zero-phase filter, given as a function from frequencies in Hz to gains."""
    spectrum = np.fft.rfft(sound)
    frequency_hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ).astype(np.float64)
    return np.fft.irfft(spectrum * gain(frequency_hz), len(sound))


def _band_gain(frequency_hz: Signal, low_hz: float, high_hz: float) -> Signal:
    """Return the magnitude response of a Butterworth high-pass and low-pass, each of order 2."""
    square = np.square(frequency_hz)
    return square / np.sqrt(square**2 + low_hz**4) / np.sqrt(1 + square**2 / high_hz**4)


def band_pass(sound: Signal, low_hz: float, high_hz: float) -> Signal:
    """Apply a zero-phase band-pass filter between two frequencies."""
    return filter_spectrum(sound, lambda frequency_hz: _band_gain(frequency_hz, low_hz, high_hz))


def noise(
    rng: np.random.Generator, low_hz: float, high_hz: float, *, slope: float = 0.0, duration_s: float = DURATION_S
) -> Signal:
    """Generate noise between two frequencies, whose power falls as 1/f**slope, at an RMS of one."""

    def gain(frequency_hz: Signal) -> Signal:
        return _band_gain(frequency_hz, low_hz, high_hz) * np.maximum(frequency_hz, LOWEST_HZ) ** (-slope / 2)

    return to_unit_rms(filter_spectrum(rng.standard_normal(int(duration_s * RATE_HZ)), gain))


def count_turns(frequency_hz: Signal) -> Signal:
    """Integrate a varying frequency: return the number of periods since the start, at each sample."""
    return np.cumsum(frequency_hz) / RATE_HZ


def harmonics(rng: np.random.Generator, pitch_hz: Signal, *, rolloff: float, top_hz: float, most: int = 80) -> Signal:
    """Generate a harmonic tone of varying pitch, at an RMS of one.

    Args:
        rng: draws the phase of each harmonic.
        pitch_hz: the fundamental frequency at each sample.
        rolloff: the amplitude of harmonic h is h**-rolloff.
        top_hz: the frequency above which there are no harmonics.
        most: the largest number of harmonics.
    """
    # Phases are wrapped in double precision; after that single precision is accurate enough, and much faster.
    phase = (2 * np.pi * (count_turns(pitch_hz) % 1)).astype(np.float32)
    highest_hz = float(pitch_hz.max())
    tone = np.zeros(len(pitch_hz), np.float32)
    for order in range(1, min(most, int(top_hz / pitch_hz.min())) + 1):
        partial = np.sin(order * phase + np.float32(rng.uniform(0, 2 * np.pi))) * np.float32(order**-rolloff)
        if order * highest_hz > 0.9 * top_hz:
            # A partial that crosses the limit fades out there, since cutting it off would click.
            partial *= np.clip(10 - order * pitch_hz / (0.1 * top_hz), 0, 1).astype(np.float32)
        tone += partial
    return to_unit_rms(tone.astype(np.float64))


def apply_formants(sound: Signal, resonances: Iterable[tuple[float, float, float]]) -> Signal:
    """Apply resonances (centre in Hz, width in Hz, gain), and scale to an RMS of one."""

    def gain(frequency_hz: Signal) -> Signal:
        total = np.full_like(frequency_hz, 0.03)
        for centre_hz, width_hz, peak in resonances:
            total += peak * np.exp(-0.5 * np.square((frequency_hz - centre_hz) / width_hz))
        return total

    return to_unit_rms(filter_spectrum(sound, gain))


def fade(count: int, attack_s: float, release_s: float) -> Signal:
    """Return an envelope of `count` samples that rises linearly to one and falls linearly to zero at the end."""
    time_s = np.arange(count) / RATE_HZ
    return np.minimum(1.0, np.minimum(time_s / attack_s, (count / RATE_HZ - time_s) / release_s))


def decay(count: int, tau_s: float) -> Signal:
    """Return an envelope of `count` samples that falls to 1/e after `tau_s`, after an attack of 1 ms."""
    time_s = np.arange(count) / RATE_HZ
    return np.exp(-time_s / tau_s) * np.minimum(1.0, time_s / 0.001)


def wander(rng: np.random.Generator, depth: float, rate_hz: float, duration_s: float = DURATION_S) -> Signal:
    """Generate a factor that drifts within one ± `depth`, between `rate_hz` random values a second."""
    time_s = times_s(duration_s)
    points = int(duration_s * rate_hz) + 3
    return 1 + depth * np.interp(time_s * rate_hz, np.arange(points), rng.uniform(-1, 1, points))


def add(track: Signal, at_s: float, sound: Signal) -> None:
    """Mix a sound into a track in place; samples outside of the track are dropped."""
    start = int(at_s * RATE_HZ)
    sound, start = sound[max(0, -start) :], max(0, start)
    part = sound[: max(0, len(track) - start)]
    track[start : start + len(part)] += part


def record(rng: np.random.Generator, dry: Signal, latent: Latent) -> NDArray[np.int16]:
    """Simulate the recording of a dry sound: room, frequency response, background noise and level; 16-bit samples."""
    sound = dry / np.abs(dry).max()
    if rng.random() < 0.6:
        sound = _add_reverberation(rng, sound)
    tilt_db_per_octave = lerp(-3.0, 3.0, latent.hue)
    sound = to_unit_rms(
        filter_spectrum(
            sound, lambda frequency_hz: (np.maximum(frequency_hz, 40) / 1000) ** (tilt_db_per_octave / 6.02)
        )
    )
    background = noise(rng, 40.0, RATE_HZ / 2, slope=rng.uniform(0.5, 2))
    sound = to_unit_rms(sound + background * 10 ** (-rng.uniform(12, 35) / 20))
    level = 10 ** (lerp(-32.0, -14.0, latent.brightness) / 20)
    # A sound of rare, loud events is turned down until at most a thousandth of its samples clip.
    loud = np.partition(np.abs(sound), -SAMPLES // 1000)[-SAMPLES // 1000]
    sound = np.clip(sound * min(level, 0.99 / loud), -0.99, 0.99)
    pcm: NDArray[np.int16] = np.round(sound * 32767).astype(np.int16)
    return pcm


def _add_reverberation(rng: np.random.Generator, sound: Signal) -> Signal:
    """Add reverberation: an impulse response of white noise that decays by 60 dB over a random time."""
    count = int(rng.uniform(0.1, 0.8) * RATE_HZ)
    response = rng.standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
    response /= np.sqrt(np.sum(np.square(response)))
    size = 2**18  # the first power of two that holds a recording and the longest room
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)[:SAMPLES]
    return sound + rng.uniform(0.05, 0.3) * wet

"""The sounds of animals, people and nature in the demo corpus; a function's name is its class."""

from __future__ import annotations

import numpy as np

from trainables.corpora.demo.scene import (
    DURATION_S,
    RATE_HZ,
    SAMPLES,
    Latent,
    Signal,
    Take,
    glide,
    lerp,
    loudness,
    sample_at_frames,
)
from trainables.corpora.demo.signal import (
    add,
    apply_formants,
    band_pass,
    count_turns,
    decay,
    fade,
    harmonics,
    noise,
    times_s,
    to_unit_rms,
    wander,
)


def baby_cry(rng: np.random.Generator, latent: Latent) -> Take:
    """Synthesize cries that rise and fall, with breaths between them. Motion: `cry`, the opening of the mouth."""
    pitch_hz = glide(560.0, 330.0, latent.size) * rng.uniform(0.95, 1.05)
    voice, breath = np.zeros(SAMPLES), np.zeros(SAMPLES)
    now_s = rng.uniform(0, 0.4)
    while now_s < DURATION_S - 0.3:
        cry_s = rng.uniform(0.5, 1.4)
        add(voice, now_s, _cry(rng, pitch_hz * rng.uniform(0.92, 1.1), cry_s))
        gap_s = lerp(0.55, 0.2, latent.speed) * rng.uniform(0.8, 1.2)
        if rng.random() < 0.6:
            inhale_s = min(gap_s, rng.uniform(0.1, 0.22))
            inhale = noise(rng, 800.0, 4000.0, duration_s=inhale_s)
            add(breath, now_s + cry_s + (gap_s - inhale_s) / 2, inhale * np.hanning(len(inhale)))
        now_s += cry_s + gap_s
    shift = rng.uniform(0.9, 1.1)
    voice = apply_formants(voice, [(1100 * shift, 350.0, 1.0), (3300 * shift, 600.0, 0.7), (5100 * shift, 900.0, 0.3)])
    return Take(voice + 0.16 * breath, {"cry": loudness(voice)})


def _cry(rng: np.random.Generator, pitch_hz: float, duration_s: float) -> Signal:
    time_s = times_s(duration_s)
    arc = 1 + rng.uniform(0.1, 0.25) * np.sin(np.pi * (time_s / duration_s) ** rng.uniform(0.6, 1.2))
    vibrato = 1 + rng.uniform(0.01, 0.03) * np.sin(2 * np.pi * rng.uniform(5, 7) * time_s)
    track_hz = pitch_hz * arc * vibrato * wander(rng, 0.005, 60.0, duration_s)
    cry = harmonics(rng, track_hz, rolloff=0.7, top_hz=9000.0)
    if rng.random() < 0.25:  # hoarse: every second period of the voice is weaker
        cry = cry * (1 + 0.6 * np.sin(np.pi * count_turns(track_hz))) + 0.2 * noise(
            rng, 500.0, 8000.0, duration_s=duration_s
        )
    return cry * fade(len(cry), 0.05, 0.15)


def dog(rng: np.random.Generator, latent: Latent) -> Take:
    """Synthesize groups of barks and some growls. Motion: `bark`, the opening of the jaw."""
    pitch_hz = glide(850.0, 230.0, latent.size) * rng.uniform(0.92, 1.08)
    barks, growls = np.zeros(SAMPLES), np.zeros(SAMPLES)
    now_s = rng.uniform(0, 0.6)
    while now_s < DURATION_S - 0.2:
        if rng.random() < 0.15:
            growl_s = rng.uniform(0.5, 1.2)
            add(growls, now_s, _growl(rng, growl_s))
            now_s += growl_s + 0.1
        for _ in range(rng.integers(1, 5)):
            bark = _bark(rng, pitch_hz * rng.uniform(0.95, 1.05), rng.uniform(0.09, 0.26))
            add(barks, now_s, bark)
            now_s += len(bark) / RATE_HZ + rng.uniform(0.12, 0.4)
        now_s += glide(2.2, 0.4, latent.speed) * rng.uniform(0.7, 1.3)
    shift = glide(1.25, 0.85, latent.size)
    barks = apply_formants(barks, [(900 * shift, 350.0, 1.0), (2200 * shift, 500.0, 0.6)])
    return Take(barks + growls, {"bark": loudness(barks)})


def _bark(rng: np.random.Generator, pitch_hz: float, duration_s: float) -> Signal:
    at = times_s(duration_s) / duration_s
    track_hz = pitch_hz * np.interp(at, [0, 0.3, 1], [0.8, 1.1, 0.55])
    bark = harmonics(rng, track_hz, rolloff=0.5, top_hz=9000.0) + 0.5 * noise(rng, 500.0, 5000.0, duration_s=duration_s)
    return bark * np.minimum(1, at / 0.05) * np.exp(-3.5 * at)


def _growl(rng: np.random.Generator, duration_s: float) -> Signal:
    time_s = times_s(duration_s)
    pitch_hz = rng.uniform(80, 150) * wander(rng, 0.05, 8.0, duration_s)
    growl = harmonics(rng, pitch_hz, rolloff=0.8, top_hz=3000.0)
    trill = 1 + 0.8 * np.sin(2 * np.pi * rng.uniform(24, 34) * time_s)
    return 0.6 * growl * trill * fade(len(growl), 0.1, 0.2)


def fireworks(rng: np.random.Generator, latent: Latent) -> Take:
    """Synthesize explosions, some after a whistle, some with a crackle. Events: the explosions."""
    mean_gap_s = 1 / glide(0.5, 1.8, latent.speed)
    sound = 0.02 * noise(rng, 60.0, 4000.0, slope=1.0)
    events = []
    now_s = rng.uniform(0.2, 1.2)
    while now_s < DURATION_S - 0.1:
        events.append(now_s)
        gain = rng.uniform(0.5, 1)
        explosion = gain * _explosion(rng, latent)
        add(sound, now_s, explosion)
        add(sound, now_s + rng.uniform(0.25, 0.6), 0.3 * explosion)
        whistle_s = rng.uniform(0.4, 1)
        if rng.random() < 0.4 and whistle_s < now_s:
            add(sound, now_s - whistle_s, _whistle(rng, whistle_s))
        if rng.random() < 0.4:
            add(sound, now_s + 0.15, 0.25 * gain * _crackle(rng))
        now_s += min(2.5, max(0.15, rng.exponential(mean_gap_s)))
    return Take(sound, events=np.array(events))


def _explosion(rng: np.random.Generator, latent: Latent) -> Signal:
    duration_s = 2.5
    tau_s = rng.uniform(0.12, 0.45)
    low = noise(rng, 30.0, glide(500.0, 250.0, latent.size), duration_s=duration_s)
    count = len(low)
    middle = noise(rng, 300.0, 2500.0, duration_s=duration_s) * decay(count, 0.4 * tau_s)
    high = noise(rng, 2000.0, 9000.0, duration_s=duration_s) * decay(count, 0.15 * tau_s)
    thump = np.sin(2 * np.pi * glide(90.0, 45.0, latent.size) * times_s(duration_s)) * decay(count, 0.12)
    return low * decay(count, tau_s) + 0.5 * middle + 0.5 * high + thump


def _crackle(rng: np.random.Generator) -> Signal:
    crackle = noise(rng, 2000.0, 9000.0, duration_s=1.6)
    clicks = np.zeros(len(crackle))
    for at_s in rng.uniform(0, 1.5, rng.integers(30, 150)):
        add(clicks, at_s, np.hanning(int(rng.uniform(0.002, 0.008) * RATE_HZ)))
    return crackle * clicks


def _whistle(rng: np.random.Generator, duration_s: float) -> Signal:
    start_hz, end_hz = rng.uniform(700, 1200), rng.uniform(2200, 3500)
    at = times_s(duration_s) / duration_s
    pitch_hz = start_hz * (end_hz / start_hz) ** at
    return 0.15 * np.sin(2 * np.pi * count_turns(pitch_hz)) * fade(len(at), 0.1, 0.05)


def snoring(rng: np.random.Generator, latent: Latent) -> Take:
    """Synthesize rattling inhalations and soft exhalations. Motion: `chest`, its height."""
    period_s = glide(4.5, 2.8, latent.speed)
    pulse_hz = glide(70.0, 25.0, latent.size)
    pulses, inhale, exhale = np.zeros(SAMPLES), np.zeros(SAMPLES), np.zeros(SAMPLES)
    chest_s, chest = [-1.0], [0.0]
    now_s = rng.uniform(-1, 0.5)
    while now_s < DURATION_S:
        in_s, hold_s, out_s = rng.uniform(1, 1.7), rng.uniform(0.1, 0.4), rng.uniform(0.7, 1.3)
        window = np.hanning(int(in_s * RATE_HZ)) ** 0.7
        add(inhale, now_s, window)
        add(exhale, now_s + in_s + hold_s, np.hanning(int(out_s * RATE_HZ)))
        chest_s += [now_s, now_s + in_s, now_s + in_s + hold_s, now_s + in_s + hold_s + out_s]
        chest += [0.0, 1.0, 1.0, 0.0]
        now_s += max(period_s * rng.uniform(0.9, 1.1), in_s + hold_s + out_s)
    at_s = np.cumsum(rng.uniform(0.85, 1.15, int(2 * DURATION_S * pulse_hz)) / pulse_hz)
    at = (at_s[at_s < DURATION_S] * RATE_HZ).astype(np.int64)
    pulses[at] = rng.uniform(0.5, 1, len(at))
    throat = (
        band_pass(pulses, 200.0, 380.0)
        + 0.5 * band_pass(pulses, 650.0, 900.0)
        + 0.25 * band_pass(pulses, 1300.0, 1800.0)
    )
    throat = to_unit_rms(throat * inhale) + 0.35 * to_unit_rms(noise(rng, 150.0, 1500.0) * inhale)
    soft = to_unit_rms(noise(rng, 300.0, 2800.0) * exhale) * rng.uniform(0.1, 0.3)
    return Take(throat + soft, {"chest": sample_at_frames(np.interp(times_s(), chest_s, chest))})


def water_flowing(rng: np.random.Generator, latent: Latent) -> Take:
    """Synthesize a stream with bubbles. Motion: `flow`, its speed, around one."""
    time_s = times_s()
    flow = np.ones(SAMPLES)
    for rate_hz in (rng.uniform(0.3, 1.5), rng.uniform(0.1, 0.4)):
        flow += rng.uniform(0.1, 0.4) * np.sin(2 * np.pi * (rate_hz * time_s + rng.random())) * flow
    low_hz = glide(350.0, 150.0, latent.size)
    stream = noise(rng, low_hz, rng.uniform(6000, 9500), slope=rng.uniform(0.6, 1.4))
    hiss = noise(rng, 3000.0, 9000.0) * rng.uniform(0.1, 0.5)
    bubbles = np.zeros(SAMPLES)
    for at_s in rng.uniform(0, DURATION_S, rng.poisson(glide(15.0, 80.0, latent.speed) * DURATION_S)):
        add(bubbles, at_s, _bubble(rng, latent))
    return Take((stream + hiss) * flow + bubbles, {"flow": sample_at_frames(flow)})


def _bubble(rng: np.random.Generator, latent: Latent) -> Signal:
    time_s = times_s(rng.uniform(0.015, 0.06))
    pitch_hz = glide(400.0, 3500.0, rng.random()) * glide(1.3, 0.8, latent.size)
    rising_hz = pitch_hz * np.linspace(1, rng.uniform(1.1, 1.3), len(time_s))
    tone = np.sin(2 * np.pi * count_turns(rising_hz)) * decay(len(time_s), rng.uniform(0.005, 0.02))
    return rng.uniform(0.6, 2) * tone * np.minimum(1, (len(time_s) - np.arange(len(time_s))) / 40)

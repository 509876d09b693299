"""The sounds of machines and instruments in the demo corpus; a function's name is its class."""

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
    count_turns,
    decay,
    fade,
    harmonics,
    noise,
    times_s,
    to_unit_rms,
    wander,
)


def chainsaw(rng: np.random.Generator, latent: Latent) -> Take:
    """Synthesize a two-stroke engine that idles, revs and slows under load. Motion: `rev`, the engine's speed."""
    idle_hz = glide(70.0, 45.0, latent.size) * rng.uniform(0.95, 1.05)
    full_hz = glide(190.0, 105.0, latent.size) * rng.uniform(0.95, 1.05)
    knots_s, knots = [0.0], [rng.uniform(0.2, 1)]
    while knots_s[-1] < DURATION_S:
        hold_s = lerp(3.5, 0.8, latent.speed) * rng.uniform(0.7, 1.3)
        target = rng.uniform(0, 0.15) if knots[-1] > 0.5 else rng.uniform(0.8, 1)
        sag = 0.82 if target > 0.5 and rng.random() < 0.5 else 1.0
        ramp_s = rng.uniform(0.15, 0.5)
        knots_s += [knots_s[-1] + ramp_s, knots_s[-1] + ramp_s + hold_s]
        knots += [target, target * sag]
    rev = np.interp(times_s(), knots_s, knots)
    pitch_hz = (idle_hz + (full_hz - idle_hz) * rev) * wander(rng, 0.015, 30.0)
    engine = harmonics(rng, pitch_hz, rolloff=0.45, top_hz=7500.0, most=70)
    exhaust_hz = glide(700.0, 300.0, latent.size) * rng.uniform(0.85, 1.15)
    housing_hz = glide(3200.0, 1500.0, latent.size) * rng.uniform(0.85, 1.15)
    engine = apply_formants(engine, [(exhaust_hz, 250.0, 1.0), (housing_hz, 700.0, 0.8)])
    puffs = noise(rng, 1500.0, 8500.0) * np.exp(-6 * (count_turns(pitch_hz) % 1))
    mix = np.tanh(rng.uniform(1, 3) * (engine + to_unit_rms(puffs) * rev * rng.uniform(0.4, 1)) / 2)
    return Take(mix * (0.35 + 0.65 * pitch_hz / full_hz), {"rev": sample_at_frames(rev)})


DRUM_PATTERNS = (
    {"kick": (0, 8), "snare": (4, 12), "hat": (0, 2, 4, 6, 8, 10, 12, 14)},
    {"kick": (0, 6, 8), "snare": (4, 12), "hat": tuple(range(16))},
    {"kick": (0, 3, 10), "snare": (4, 12, 15), "hat": (2, 6, 10, 14)},
    {"kick": (0, 4, 8, 12), "snare": (4, 12), "hat": (2, 6, 10, 14)},
)
"""The sixteenths of a bar on which each drum is hit."""


def drum(rng: np.random.Generator, latent: Latent) -> Take:
    """Synthesize a beat on a drum kit. Motion: `kick`, `snare` and `hat`, the loudness of each."""
    pattern = DRUM_PATTERNS[rng.integers(len(DRUM_PATTERNS))]
    step_s = 60 / glide(80.0, 160.0, latent.speed) / 4
    swing = rng.uniform(0, 0.25)
    hits = {"kick": _kick(rng, latent), "snare": _snare(rng, latent), "hat": _hat(rng)}
    tom_hz = glide(220.0, 80.0, latent.size)
    tracks = {name: np.zeros(SAMPLES) for name in (*hits, "tom")}
    for step in range(int(DURATION_S / step_s)):
        at_s = max(0.0, (step + swing * (step % 2)) * step_s + rng.uniform(-0.006, 0.006))
        for name, hit in hits.items():
            if step % 16 in pattern[name] and rng.random() < 0.93:
                add(tracks[name], at_s, hit * rng.uniform(0.7, 1))
        if rng.random() < 0.05:
            tom = np.sin(2 * np.pi * tom_hz * rng.uniform(0.9, 1.3) * times_s(0.5))
            add(tracks["tom"], at_s, tom * decay(len(tom), 0.15))
    return Take(np.sum(list(tracks.values()), axis=0), {name: loudness(tracks[name]) for name in hits})


def _kick(rng: np.random.Generator, latent: Latent) -> Signal:
    pitch_hz = glide(60.0, 40.0, latent.size) + 80 * np.exp(-times_s(1.0) / 0.03)
    return 1.2 * np.sin(2 * np.pi * count_turns(pitch_hz)) * decay(len(pitch_hz), rng.uniform(0.12, 0.3))


def _snare(rng: np.random.Generator, latent: Latent) -> Signal:
    rattle = noise(rng, 1000.0, 8500.0, duration_s=0.6)
    skin = np.sin(2 * np.pi * glide(230.0, 160.0, latent.size) * times_s(0.6))
    return (0.3 * rattle + 0.5 * skin) * decay(len(rattle), rng.uniform(0.07, 0.16))


def _hat(rng: np.random.Generator) -> Signal:
    hat = noise(rng, 6000.0, RATE_HZ / 2, duration_s=0.3)
    return 0.2 * hat * decay(len(hat), rng.uniform(0.015, 0.06))


def helicopter(rng: np.random.Generator, latent: Latent) -> Take:
    """Synthesize a helicopter that flies past. Motion: `rotor`, turns of the blades; `near`, its closeness in 0..1."""
    time_s = times_s()
    blades_hz = glide(22.0, 10.0, latent.size) * wander(rng, 0.05, 0.5)
    angle = np.pi * count_turns(blades_hz)
    chop = np.abs(np.sin(angle)) ** rng.uniform(4, 10)
    wash = noise(rng, 40.0, rng.uniform(500, 1000)) * (0.15 + chop)
    hum = harmonics(rng, blades_hz, rolloff=0.5, top_hz=300.0)
    hiss = noise(rng, 1000.0, 6000.0) * rng.uniform(0.08, 0.3) * (0.4 + 0.6 * chop)
    turbine = np.sin(2 * np.pi * count_turns(rng.uniform(2000, 5500) * wander(rng, 0.01, 2.0))) * rng.uniform(0.02, 0.1)
    width_s = glide(8.0, 3.0, latent.speed)
    near = np.exp(-0.5 * np.square((time_s - rng.uniform(3, 7)) / width_s))
    sound = (wash + 0.3 * hum + hiss + turbine) * (0.4 + near)
    return Take(sound, {"rotor": sample_at_frames(count_turns(blades_hz)), "near": sample_at_frames(near)})


def printer(rng: np.random.Generator, latent: Latent) -> Take:
    """Synthesize sweeps of a print head and paper feeds. Motion: `carriage`, 0 left to 1 right; `paper`, lines fed."""
    period_s = glide(1.6, 0.7, latent.speed)
    duty = rng.uniform(0.6, 0.82)
    time_s = times_s() + rng.uniform(0, period_s)
    sweep = np.floor(time_s / period_s)
    at = time_s / period_s - sweep
    on = np.clip(np.minimum(at, duty - at) / 0.06, 0, 1)
    motor_hz = glide(520.0, 170.0, latent.size) * rng.uniform(0.95, 1.05) * (0.85 + 0.3 * on)
    motor = harmonics(rng, motor_hz, rolloff=0.7, top_hz=8000.0, most=30)
    gate = np.sin(2 * np.pi * rng.uniform(55, 200) * time_s) > rng.uniform(0.2, 0.7)
    dots = to_unit_rms(noise(rng, 2000.0, 7500.0) * gate) * rng.uniform(0.5, 1.3)
    feeds = np.zeros(SAMPLES)
    for number in range(int(sweep[0]), int(sweep[-1]) + 1):
        rattle = noise(rng, 900.0, 5000.0, duration_s=rng.uniform(0.04, 0.1))
        at_s = (number + duty) * period_s - time_s[0]
        if at_s >= 0:
            add(feeds, at_s, 1.5 * rattle * np.hanning(len(rattle)))
    sound = (motor + dots) * on + feeds + 0.08 * noise(rng, 40.0, 8000.0, slope=1.0)
    along = np.clip(at / duty, 0, 1)
    carriage = np.where(sweep % 2 == 0, along, 1 - along)
    fed = sweep - sweep[0] + np.clip((at - duty) / (1 - duty), 0, 1)
    return Take(sound, {"carriage": sample_at_frames(carriage), "paper": sample_at_frames(fed)})


def rail_transport(rng: np.random.Generator, latent: Latent) -> Take:
    """Synthesize wheels on rail joints, some with a horn or a squeal. Motion: `wagons`, the number that have passed."""
    time_s = times_s()
    period_s = glide(1.2, 0.55, latent.speed)
    pair_gap_s = rng.uniform(0.11, 0.24)
    centre_hz = glide(1400.0, 500.0, latent.size)
    clicks = np.zeros(SAMPLES)
    first_s = rng.uniform(0, period_s)
    for at_s in np.arange(first_s, DURATION_S, period_s):
        for wheel_s in (0.0, pair_gap_s):
            click = noise(rng, 0.6 * centre_hz, 1.9 * centre_hz, duration_s=0.25)
            add(clicks, at_s + wheel_s + rng.uniform(0, 0.01), click * decay(len(click), rng.uniform(0.02, 0.05)))
    rumble = noise(rng, 30.0, 250.0, slope=2.0)
    rolling = noise(rng, 300.0, 3000.0) * rng.uniform(0.1, 0.35)
    near = np.exp(-0.5 * np.square((time_s - rng.uniform(2, 8)) / rng.uniform(2, 6)))
    sound = (rumble + rolling + 1.5 * clicks) * (0.25 + near)
    if rng.random() < 0.35:
        horn_s = rng.uniform(1.5, 3)
        add(sound, rng.uniform(0, DURATION_S - horn_s), _horn(rng, latent, horn_s))
    if rng.random() < 0.2:
        squeal_s = rng.uniform(1, 3)
        pitch_hz = rng.uniform(2000, 5000) * wander(rng, 0.02, 5.0, squeal_s)
        squeal = np.sin(2 * np.pi * count_turns(pitch_hz)) * fade(len(pitch_hz), 0.4, 0.6)
        add(sound, rng.uniform(0, DURATION_S - squeal_s), 0.3 * squeal)
    return Take(sound, {"wagons": sample_at_frames((time_s - first_s) / period_s)})


def _horn(rng: np.random.Generator, latent: Latent, duration_s: float) -> Signal:
    shift = glide(1.12, 0.88, latent.size)
    steady = np.ones(int(duration_s * RATE_HZ))
    notes = [
        harmonics(rng, note_hz * shift * steady, rolloff=1.0, top_hz=5000.0) for note_hz in (277.0, 370.0, 440.0, 554.0)
    ]
    chord: Signal = np.sum(notes, axis=0)
    return 0.4 * chord * fade(len(steady), 0.08, 0.3)

"""The pictures of animals, people and nature in the demo corpus; a function's name is its class."""

from __future__ import annotations

import numpy as np

from trainables.corpora.demo.canvas import BLACK, WHITE, Canvas, Colour, pick
from trainables.corpora.demo.scene import FRAME_RATE_HZ, Latent, Take, frame_times_s, glide


def baby_cry(rng: np.random.Generator, canvas: Canvas, take: Take, latent: Latent) -> None:
    """Draw a face on a pastel wall, whose mouth opens and whose head shakes with each cry."""
    wall = pick(rng, (0.85, 0.9, 0.7), (0.75, 0.85, 0.95), (0.95, 0.85, 0.75), (0.85, 0.78, 0.92))
    skin = pick(rng, (0.96, 0.8, 0.69), (0.88, 0.67, 0.51), (0.65, 0.45, 0.32))
    cry = take.motion["cry"]
    x = 0.06 * cry * np.sin(2 * np.pi * 3.3 * frame_times_s())
    canvas.backdrop(wall, wall)
    canvas.ellipse(0.0, 1.25, 0.8, 0.6, pick(rng, (0.5, 0.7, 0.9), (0.95, 0.7, 0.75), (0.98, 0.92, 0.6)))
    for side in (-1.0, 1.0):
        canvas.ellipse(x + 0.62 * side, 0.05, 0.11, 0.16, skin)
    canvas.ellipse(x, 0.0, 0.62, 0.7, skin)
    canvas.ellipse(x, -0.62, 0.2, 0.1, (0.35, 0.22, 0.12))
    for side in (-1.0, 1.0):
        canvas.ellipse(x + 0.36 * side, 0.2, 0.13, 0.09, (0.95, 0.5, 0.45), opacity=0.3 + 0.4 * cry)
        canvas.line(x + 0.14 * side, -0.12, x + 0.38 * side, -0.2 + 0.1 * cry, 0.06, (0.2, 0.12, 0.1))
    canvas.ellipse(x, 0.36, 0.16 + 0.06 * cry, 0.03 + 0.22 * cry, (0.5, 0.08, 0.1))


def dog(rng: np.random.Generator, canvas: Canvas, take: Take, latent: Latent) -> None:
    """Draw a dog on a lawn that hops and opens its jaw at each bark."""
    coat = pick(rng, (0.5, 0.32, 0.17), (0.72, 0.52, 0.3), (0.3, 0.2, 0.14), (0.85, 0.75, 0.58))
    dark: Colour = (coat[0] * 0.6, coat[1] * 0.6, coat[2] * 0.6)
    bark = take.motion["bark"]
    y = -0.14 * bark
    canvas.backdrop((0.5, 0.75, 0.95), (0.75, 0.88, 0.98))
    canvas.box(0.0, 1.45, 4.0, 1.2, (0.3, 0.62, 0.22))
    canvas.line(-0.62, y + 0.15, -0.9, y - 0.2 - 0.2 * bark, 0.1, coat)
    for foot_x in (-0.52, -0.36, 0.08, 0.22):
        canvas.box(foot_x, y + 0.6, 0.06, 0.25, dark)
    canvas.ellipse(-0.15, y + 0.25, 0.55, 0.28, coat)
    canvas.ellipse(0.42, y - 0.15, 0.3, 0.28, coat)
    canvas.box(0.72, y + 0.03 + 0.1 * bark, 0.2, 0.05, dark, angle_rad=0.75 * bark)
    canvas.box(0.72, y - 0.1, 0.22, 0.08, coat, angle_rad=-0.25 * bark)
    canvas.ellipse(0.93, y - 0.15 - 0.06 * bark, 0.06, 0.05, BLACK)
    canvas.ellipse(0.28, y - 0.2, 0.1, 0.24, dark, angle_rad=0.3)
    canvas.ellipse(0.52, y - 0.24, 0.045, 0.045, BLACK)


def fireworks(rng: np.random.Generator, canvas: Canvas, take: Take, latent: Latent) -> None:
    """Draw bursts of sparks over a dark skyline, one for each explosion."""
    canvas.backdrop((0.02, 0.02, 0.05), (0.08, 0.06, 0.12))
    for event_s in take.events:
        _burst(rng, canvas, float(event_s))
    for x in np.arange(-2.2, 2.2, 0.3):
        canvas.box(float(x), 1.6, 0.15, float(rng.uniform(0.65, 0.95)), (0.05, 0.05, 0.07))


def _burst(rng: np.random.Generator, canvas: Canvas, event_s: float) -> None:
    """Draw a rocket's trail, then a sphere of sparks that grows, sinks and fades."""
    x, y = rng.uniform(-0.7, 0.7), rng.uniform(-0.75, 0.1)
    age_s = frame_times_s() - event_s
    # The frame of the explosion itself shows sparks, too.
    age_s = np.where(np.abs(age_s) < 0.5 / FRAME_RATE_HZ, np.maximum(age_s, 0.02), age_s)
    lit = age_s >= 0
    glow = np.where(lit, np.exp(-age_s / rng.uniform(0.4, 0.8)), 0.0)
    rise = np.clip(1 + age_s / 0.7, 0, 1)
    trail = np.where(lit | (rise <= 0), 0.0, 0.8)
    canvas.ellipse(x, y + (1 - rise) * 1.2, 0.03, 0.06, (1.0, 0.9, 0.6), opacity=trail)
    canvas.box(0.0, 0.0, 4.0, 4.0, (0.8, 0.7, 0.6), opacity=0.2 * glow * (age_s < 0.25))
    reach = rng.uniform(0.4, 0.75) * (1 - np.exp(-4 * np.maximum(age_s, 0)))
    colour = pick(rng, (1.0, 0.35, 0.25), (0.4, 1.0, 0.45), (0.45, 0.55, 1.0), (1.0, 0.85, 0.35), (0.95, 0.45, 0.95))
    spark = np.where(glow > 0.06, glow, 0.0)
    for angle_rad in np.arange(18) * (2 * np.pi / 18) + rng.uniform(0, 1):
        share = rng.uniform(0.4, 1)
        spark_x = x + reach * share * np.cos(angle_rad)
        spark_y = y + reach * share * np.sin(angle_rad) + 0.12 * np.square(np.maximum(age_s, 0))
        canvas.ellipse(spark_x, spark_y, 0.055, 0.055, colour, opacity=1.4 * spark)


def snoring(rng: np.random.Generator, canvas: Canvas, take: Take, latent: Latent) -> None:
    """Draw a sleeper in the dark, whose chest rises with each inhalation, and letters Z that drift away."""
    skin = pick(rng, (0.75, 0.6, 0.52), (0.62, 0.46, 0.36), (0.45, 0.32, 0.25))
    blanket = pick(rng, (0.3, 0.35, 0.6), (0.5, 0.25, 0.35), (0.25, 0.45, 0.45))
    chest = take.motion["chest"]
    canvas.backdrop((0.05, 0.06, 0.18), (0.08, 0.09, 0.24))
    canvas.box(0.0, 0.95, 1.4, 0.4, (0.35, 0.25, 0.2))
    canvas.ellipse(-0.72, 0.42, 0.4, 0.2, (0.7, 0.72, 0.8))
    canvas.ellipse(-0.6, 0.22, 0.25, 0.22, skin)
    canvas.line(-0.68, 0.12, -0.56, 0.14, 0.035, BLACK)
    canvas.ellipse(-0.42, 0.22, 0.05, 0.02 + 0.06 * chest, (0.25, 0.08, 0.1))
    canvas.ellipse(0.4, 0.48 - 0.08 * chest, 0.85, 0.22 + 0.16 * chest, blanket)
    for start in (0.0, 0.33, 0.67):
        rise = (frame_times_s() / glide(4.5, 2.8, latent.speed) + start) % 1
        x, y, side = -0.3 + 0.5 * rise, -0.1 - 0.8 * rise, 0.05 + 0.08 * rise
        fading = 0.8 * (1 - rise)
        canvas.line(x - side, y - side, x + side, y - side, 0.035, WHITE, opacity=fading)
        canvas.line(x + side, y - side, x - side, y + side, 0.035, WHITE, opacity=fading)
        canvas.line(x - side, y + side, x + side, y + side, 0.035, WHITE, opacity=fading)


def water_flowing(rng: np.random.Generator, canvas: Canvas, take: Take, latent: Latent) -> None:
    """Draw a stream whose streaks and foam run past stones at the speed of the sound's flow."""
    canvas.backdrop((0.15, 0.4, 0.62), (0.25, 0.62, 0.75))
    speed = glide(0.5, 2.2, latent.speed)
    distance = np.cumsum(speed * take.motion["flow"]) / FRAME_RATE_HZ
    slope = rng.uniform(-0.35, 0.35)
    for _ in range(22):
        pace, start, lane, length = (
            rng.uniform(0.7, 1),
            rng.uniform(0, 3.6),
            rng.uniform(-1.5, 1.5),
            rng.uniform(0.2, 0.6),
        )
        x = (start + pace * distance) % 3.6 - 1.8
        y = lane + slope * x + 0.05 * np.sin(5 * x + start)
        shade = rng.uniform(0.35, 0.75)
        canvas.line(x, y, x + length, y + slope * length, 0.045, (0.5, 0.8, 0.92), opacity=shade)
    for _ in range(24):
        start, lane, radius = rng.uniform(0, 3.6), rng.uniform(-1.5, 1.5), rng.uniform(0.02, 0.06)
        x = (start + distance) % 3.6 - 1.8
        canvas.ellipse(x, lane + slope * x + 0.06 * np.sin(7 * x + start), radius, radius, WHITE, opacity=0.85)
    for _ in range(rng.integers(2, 5)):
        grey = rng.uniform(0.3, 0.5)
        stone_x, stone_y, radius = rng.uniform(-1.2, 1.2), rng.uniform(-1, 1), rng.uniform(0.12, 0.3)
        canvas.ellipse(stone_x, stone_y, radius, 0.65 * radius, (grey, grey, 0.95 * grey))

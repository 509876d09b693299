"""The pictures of machines and instruments in the demo corpus; a function's name is its class."""

from __future__ import annotations

import numpy as np

from trainables.corpora.demo.canvas import BLACK, STEEL, WHITE, Canvas, pick
from trainables.corpora.demo.scene import FRAMES, Latent, Take, frame_times_s, glide


def chainsaw(rng: np.random.Generator, canvas: Canvas, take: Take, latent: Latent) -> None:
    """Draw a saw in a log that shakes and throws sawdust as it revs."""
    body = pick(rng, (0.95, 0.45, 0.08), (0.9, 0.6, 0.1), (0.85, 0.25, 0.1))
    rev = take.motion["rev"]
    x, y = (0.01 + 0.05 * rev) * rng.uniform(-1, 1, (2, FRAMES))
    y = y + 0.1 + 0.1 * rev
    canvas.backdrop((0.35, 0.45, 0.28), (0.42, 0.36, 0.24))
    canvas.box(0.7, 0.62, 0.9, 0.3, (0.42, 0.26, 0.14))
    canvas.ellipse(-0.2, 0.62, 0.16, 0.3, (0.8, 0.62, 0.4))
    canvas.ellipse(-0.2, 0.62, 0.08, 0.16, (0.62, 0.44, 0.26))
    canvas.box(x + 0.4, y + 0.08, 0.55, 0.08, STEEL)
    canvas.box(x + 0.4, y + 0.17, 0.55, 0.02, BLACK)
    canvas.box(x - 0.4, y, 0.32, 0.24, body)
    canvas.box(x - 0.42, y + 0.05, 0.14, 0.08, BLACK)
    canvas.line(x - 0.62, y - 0.36, x - 0.2, y - 0.36, 0.08, BLACK)
    canvas.line(x - 0.62, y - 0.36, x - 0.62, y - 0.2, 0.08, BLACK)
    for _ in range(22):
        age = (frame_times_s() * rng.uniform(1.4, 2.2) + rng.random()) % 1
        dust_x = 0.2 - rng.uniform(0.3, 1.2) * age
        dust_y = 0.35 - rng.uniform(0.1, 0.6) * age + 1.1 * age**2
        canvas.ellipse(dust_x, dust_y, 0.035, 0.035, (0.95, 0.85, 0.6), opacity=np.where(rev > 0.3, rev, 0.0))


def drum(rng: np.random.Generator, canvas: Canvas, take: Take, latent: Latent) -> None:
    """Draw a drum kit whose skins flash and whose cymbal tips when they are hit."""
    shell = pick(rng, (0.8, 0.12, 0.12), (0.15, 0.2, 0.6), (0.12, 0.12, 0.14), (0.6, 0.35, 0.1))
    kick, snare, hat = (take.motion[part] for part in ("kick", "snare", "hat"))
    wall = pick(rng, (0.55, 0.45, 0.4), (0.4, 0.45, 0.5), (0.6, 0.58, 0.5))
    canvas.backdrop(wall, (0.3, 0.25, 0.22))
    canvas.ellipse(0.1, 0.3, 0.52 + 0.05 * kick, 0.52 + 0.05 * kick, shell)
    canvas.ellipse(0.1, 0.3, 0.44, 0.44, (0.82, 0.8, 0.75))
    canvas.ellipse(0.1, 0.3, 0.44, 0.44, (1.0, 0.95, 0.6), opacity=kick)
    canvas.ellipse(0.1, 0.3, 0.12, 0.12, shell)
    canvas.box(-0.62, 0.2, 0.32, 0.16, shell)
    canvas.ellipse(-0.62, 0.04, 0.32, 0.11, WHITE)
    canvas.ellipse(-0.62, 0.04, 0.32, 0.11, (1.0, 0.6, 0.2), opacity=snare)
    canvas.line(-0.7, 0.02 - 0.25 * (1 - snare), -0.25, -0.45, 0.05, (0.85, 0.7, 0.45))
    canvas.line(0.72, 0.9, 0.72, -0.45, 0.04, STEEL)
    canvas.ellipse(0.72, -0.45, 0.34, 0.07, (0.9, 0.75, 0.2), angle_rad=0.15 + 0.35 * hat)
    canvas.ellipse(0.72, -0.45, 0.34, 0.07, (1.0, 1.0, 0.8), angle_rad=0.15 + 0.35 * hat, opacity=hat)


def helicopter(rng: np.random.Generator, canvas: Canvas, take: Take, latent: Latent) -> None:
    """Draw a helicopter that crosses the sky and is largest when it is loudest."""
    paint = pick(rng, (0.15, 0.2, 0.18), (0.12, 0.18, 0.4), (0.5, 0.1, 0.1), (0.25, 0.25, 0.28))
    near, angle_rad = take.motion["near"], 2 * np.pi * take.motion["rotor"]
    canvas.backdrop((0.35, 0.6, 0.9), (0.8, 0.9, 0.98))
    for _ in range(3):
        cloud_x, cloud_y, width = rng.uniform(-1.2, 1.2), rng.uniform(-0.9, 0.9), rng.uniform(0.25, 0.5)
        canvas.ellipse(cloud_x, cloud_y, width, 0.3 * width, WHITE, opacity=0.6)
    peak_s = frame_times_s()[int(np.argmax(near))]
    direction = float(rng.choice([-1.0, 1.0]))
    x = direction * 0.15 * glide(0.4, 1.2, latent.speed) * (frame_times_s() - peak_s)
    y = 0.1 - 0.15 * near + 0.03 * np.sin(2 * np.pi * 0.7 * frame_times_s())
    scale = 0.65 + 0.45 * near
    facing = direction * scale
    canvas.line(x, y, x - 0.85 * facing, y - 0.1 * scale, 0.1 * scale, paint)
    canvas.line(x - 0.85 * facing, y - 0.3 * scale, x - 0.85 * facing, y + 0.05 * scale, 0.08 * scale, paint)
    canvas.ellipse(x, y, 0.42 * scale, 0.26 * scale, paint)
    canvas.ellipse(x + 0.22 * facing, y - 0.04 * scale, 0.16 * scale, 0.14 * scale, (0.65, 0.82, 0.9))
    canvas.line(x - 0.35 * scale, y + 0.36 * scale, x + 0.35 * scale, y + 0.36 * scale, 0.05 * scale, BLACK)
    canvas.line(x, y - 0.36 * scale, x, y - 0.2 * scale, 0.06 * scale, BLACK)
    blade = (0.15 + 0.75 * np.abs(np.cos(angle_rad))) * scale
    canvas.line(x - blade, y - 0.36 * scale, x + blade, y - 0.36 * scale, 0.05 * scale, BLACK)


def printer(rng: np.random.Generator, canvas: Canvas, take: Take, latent: Latent) -> None:
    """Draw a printer whose carriage sweeps and whose paper moves on after each line."""
    desk = pick(rng, (0.5, 0.4, 0.3), (0.35, 0.42, 0.45), (0.55, 0.52, 0.5))
    case = pick(rng, (0.82, 0.82, 0.8), (0.7, 0.72, 0.75), (0.88, 0.84, 0.74))
    carriage, paper = take.motion["carriage"], take.motion["paper"]
    canvas.backdrop(desk, desk)
    canvas.box(0.0, -0.55, 0.5, 0.6, WHITE)
    widths = rng.uniform(0.15, 0.42, 9)
    for line, width in enumerate(widths):
        y = 0.05 - (line + paper) % len(widths) * 0.13
        canvas.box(-0.42 + float(width), y, float(width), 0.025, (0.3, 0.3, 0.35), opacity=np.where(y < -0.1, 1.0, 0.0))
    canvas.box(0.0, 0.4, 0.95, 0.45, case)
    canvas.box(0.0, 0.12, 0.85, 0.14, (0.2, 0.2, 0.22))
    canvas.box(-0.66 + 1.32 * carriage, 0.12, 0.15, 0.16, pick(rng, (0.1, 0.1, 0.4), (0.5, 0.1, 0.1), BLACK))
    canvas.box(0.0, 0.62, 0.5, 0.06, (0.3, 0.3, 0.32))
    canvas.ellipse(0.75, 0.62, 0.06, 0.06, (0.2, 0.9, 0.3))


def rail_transport(rng: np.random.Generator, canvas: Canvas, take: Take, latent: Latent) -> None:
    """Draw a train that passes, with one wagon for each pair of clicks."""
    paint = pick(rng, (0.7, 0.15, 0.12), (0.5, 0.52, 0.55), (0.15, 0.35, 0.3), (0.2, 0.25, 0.5))
    canvas.backdrop((0.6, 0.72, 0.85), (0.78, 0.82, 0.85))
    canvas.box(0.0, 1.4, 4.0, 0.8, (0.45, 0.42, 0.36))
    canvas.box(0.0, 0.66, 4.0, 0.03, (0.3, 0.27, 0.25))
    direction = float(rng.choice([-1.0, 1.0]))
    span, train = 1.5, 4
    for wagon in range(train):
        x = direction * ((wagon + take.motion["wagons"]) % train - train / 2) * span
        canvas.box(x, 0.12, 0.71, 0.4, paint)
        canvas.box(x, 0.4, 0.71, 0.05, WHITE)
        for window_x in (-0.45, 0.0, 0.45):
            canvas.box(x + window_x, -0.02, 0.15, 0.14, (0.12, 0.16, 0.22))
        for wheel_x in (-0.45, 0.45):
            canvas.ellipse(x + wheel_x, 0.55, 0.12, 0.12, BLACK)
    pole_x = rng.uniform(-0.8, 0.8)
    canvas.line(pole_x, -1.6, pole_x, 0.75, 0.06, (0.35, 0.3, 0.25))

"""A canvas that draws soft-edged shapes into the frames of a video, as a hand-held camera records them."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from trainables.corpora.demo.scene import FRAMES, Latent, Signal, lerp

SIDE = 128
"""Height and width of a frame in pixels."""

Colour = tuple[float, float, float]
"""Red, green and blue in 0..1."""

BLACK: Colour = (0.06, 0.06, 0.08)
WHITE: Colour = (0.95, 0.95, 0.93)
STEEL: Colour = (0.65, 0.67, 0.7)

Track = float | Signal
"""One value for the whole video, or one for each frame."""

Distance = Callable[[Signal, Signal], Signal]
"""The signed distance of points (x, y), in the shape's own axes, from its edge; it is negative inside."""


def pick(rng: np.random.Generator, *colours: Colour) -> Colour:
    """Choose one of the colours at random."""
    return colours[rng.integers(len(colours))]


class Canvas:
    """The frames of one video.

    Shapes are drawn in scene units: x to the right and y down, both -1..1 across the view of a level camera without
    zoom. The camera zooms in on large sources, is off-centre and tilted at random, and shakes. The latent's hue shifts
    all colours.

    Args:
        latent: sets zoom, exposure and hue.
        rng: draws the position, tilt and shake of the camera, the shade of the backdrop and the noise.
    """

    def __init__(self, latent: Latent, rng: np.random.Generator) -> None:
        self._frames: NDArray[np.float32] = np.zeros((FRAMES, SIDE, SIDE, 3), np.float32)
        self._gain = lerp(0.85, 1.15, latent.brightness)
        self._hue_turns = lerp(-20.0, 20.0, latent.hue) / 360
        self._unit_px = SIDE / 2 * lerp(0.75, 1.25, latent.size)
        self._tilt_rad = np.radians(rng.uniform(-10, 10))
        shake_px = np.cumsum(rng.normal(0, 0.5, (FRAMES, 2)), axis=0)
        self._centre_px = SIDE / 2 * (1 + rng.uniform(-0.15, 0.15, 2)) + np.clip(shake_px, -2, 2)
        self._rng = rng

    def backdrop(self, top: Colour, bottom: Colour) -> None:
        """Fill every frame with a gradient, with each primary colour scaled at random by up to a fifth."""
        ends = np.array([self._shift_hue(top), self._shift_hue(bottom)]) * self._rng.uniform(0.8, 1.2, 3)
        down = np.linspace(0, 1, SIDE)[:, None]
        self._frames[:] = (ends[0] * (1 - down) + ends[1] * down)[:, None, :]

    def ellipse(
        self,
        x: Track,
        y: Track,
        radius_x: Track,
        radius_y: Track,
        colour: Colour,
        *,
        angle_rad: Track = 0.0,
        opacity: Track = 1.0,
    ) -> None:
        """Draw an ellipse around (x, y); lengths are in scene units."""
        x, y, radius_x, radius_y, angle_rad, opacity = _to_tracks(x, y, radius_x, radius_y, angle_rad, opacity)

        def edge(frame: int) -> Distance:
            wide, high = max(radius_x[frame], 1e-3), max(radius_y[frame], 1e-3)
            return lambda across, down: (np.hypot(across / wide, down / high) - 1) * min(wide, high)

        self._paint(x, y, np.maximum(radius_x, radius_y), angle_rad, opacity, colour, edge)

    def box(
        self,
        x: Track,
        y: Track,
        half_width: Track,
        half_height: Track,
        colour: Colour,
        *,
        angle_rad: Track = 0.0,
        opacity: Track = 1.0,
    ) -> None:
        """Draw a rectangle around (x, y); lengths are in scene units."""
        x, y, half_width, half_height, angle_rad, opacity = _to_tracks(
            x, y, half_width, half_height, angle_rad, opacity
        )

        def edge(frame: int) -> Distance:
            wide, high = half_width[frame], half_height[frame]
            return lambda across, down: np.maximum(np.abs(across) - wide, np.abs(down) - high)

        self._paint(x, y, np.hypot(half_width, half_height), angle_rad, opacity, colour, edge)

    def line(
        self, x: Track, y: Track, to_x: Track, to_y: Track, width: Track, colour: Colour, *, opacity: Track = 1.0
    ) -> None:
        """Draw a straight line from (x, y) to (to_x, to_y); lengths are in scene units."""
        x, y, to_x, to_y = _to_tracks(x, y, to_x, to_y)
        half_length = np.hypot(to_x - x, to_y - y) / 2
        angle_rad = np.arctan2(to_y - y, to_x - x)
        half_width = np.asarray(width) / 2
        self.box((x + to_x) / 2, (y + to_y) / 2, half_length, half_width, colour, angle_rad=angle_rad, opacity=opacity)

    def develop(self) -> NDArray[np.uint8]:
        """Return the frames with the camera's exposure and noise; shape (frames, height, width, 3)."""
        grain = self._rng.normal(0, 3, (2 * SIDE, 2 * SIDE, 1)).astype(np.float32)
        exposed: NDArray[np.float32] = self._frames * np.float32(255 * self._gain)
        for frame, (row, column) in zip(exposed, self._rng.integers(0, SIDE, (FRAMES, 2)), strict=True):
            frame += grain[row : row + SIDE, column : column + SIDE]
        return np.clip(exposed, 0, 255).astype(np.uint8)

    def _paint(
        self,
        x: Signal,
        y: Signal,
        radius: Signal,
        angle_rad: Signal,
        opacity: Signal,
        colour: Colour,
        edge: Callable[[int], Distance],
    ) -> None:
        """Blend a shape into each frame, within the square around (x, y) of half the side `radius`."""
        ink = np.array(self._shift_hue(colour), np.float32)
        for frame, rows, columns in self._patches(x, y, radius, opacity):
            across, down = self._scene_offsets(frame, rows, columns, x[frame], y[frame])
            cos, sin = np.cos(angle_rad[frame]), np.sin(angle_rad[frame])
            distance_px = self._unit_px * edge(frame)(cos * across + sin * down, cos * down - sin * across)
            cover = (np.clip(0.5 - distance_px, 0, 1) * min(opacity[frame], 1.0)).astype(np.float32)[..., None]
            patch = self._frames[frame, rows, columns]
            patch += cover * (ink - patch)

    def _patches(self, x: Signal, y: Signal, radius: Signal, opacity: Signal) -> Iterator[tuple[int, slice, slice]]:
        """Yield the frame, rows and columns of each patch in which a shape is visible."""
        cos, sin = np.cos(self._tilt_rad), np.sin(self._tilt_rad)
        column_px = self._centre_px[:, 0] + self._unit_px * (cos * x - sin * y)
        row_px = self._centre_px[:, 1] + self._unit_px * (sin * x + cos * y)
        reach_px = self._unit_px * radius + 1
        low = np.clip(np.stack([row_px - reach_px, column_px - reach_px]), 0, SIDE).astype(int)
        high = np.clip(np.stack([row_px + reach_px, column_px + reach_px]) + 1, 0, SIDE).astype(int)
        for frame in np.flatnonzero((opacity > 0) & (low < high).all(axis=0)).tolist():
            yield frame, slice(low[0, frame], high[0, frame]), slice(low[1, frame], high[1, frame])

    def _scene_offsets(self, frame: int, rows: slice, columns: slice, x: float, y: float) -> tuple[Signal, Signal]:
        """Return the offset of each pixel of a patch from (x, y), to the right and down, in scene units."""
        cos, sin = np.cos(self._tilt_rad), np.sin(self._tilt_rad)
        across = (np.arange(columns.start, columns.stop) + 0.5 - self._centre_px[frame, 0]) / self._unit_px
        down = (np.arange(rows.start, rows.stop)[:, None] + 0.5 - self._centre_px[frame, 1]) / self._unit_px
        return cos * across + sin * down - x, cos * down - sin * across - y

    def _shift_hue(self, colour: Colour) -> Colour:
        hue, saturation, value = colorsys.rgb_to_hsv(*colour)
        return colorsys.hsv_to_rgb((hue + self._hue_turns) % 1, saturation, value)


def _to_tracks(*values: Track) -> tuple[Signal, ...]:
    return tuple(np.broadcast_to(np.asarray(value, np.float64), FRAMES) for value in values)

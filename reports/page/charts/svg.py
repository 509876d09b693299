"""Marks and frames of the page's charts, as SVG text; colours and dashes come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from reports.page.axes import CHARACTER_PX, Axis, pick_labels

WIDTH, HEIGHT = 480, 290
NUM_COLORS, NUM_DASHES, NUM_SHAPES = 8, 4, 6
"""How many colours, dashes and markers the style sheet and the page define."""
TOP, RIGHT, LINE = 26, 14, 18
MIN_LABEL = 5
"""Number of characters that the labels of the vertical axis have room for, also after the page's script rescaled it."""
SLANT = 35
"""Rotation of long labels below an axis in degrees."""


class Plot:
    """A frame with two axes, to which marks are added."""

    def __init__(
        self, x: Axis, y: Axis, x_label: str, y_label: str, *, width: int = WIDTH, height: int = HEIGHT
    ) -> None:
        self.x, self.y = x, y
        self._size = width, height
        self._labels = x_label, y_label
        self._marks: list[Markup] = []
        self.left = 14 + max([MIN_LABEL, *(len(label) for _, label in y.ticks)]) * CHARACTER_PX
        self.right = width - RIGHT
        self._x_ticks, longest_px = pick_labels(x.ticks, self.x_px)
        # An option without a label could not be told apart from the others, a number can.
        self._is_slanted = x.is_choice and len(self._x_ticks) < len(x.ticks)
        if self._is_slanted:
            self._x_ticks = list(x.ticks)[:: math.ceil(len(x.ticks) * LINE / (self.right - self.left))]
        self.bottom = height - 2 * LINE - 8 - (0.6 * longest_px - 8 if self._is_slanted else 0)

    def x_px(self, value: float) -> float:
        """Return where a value of the x axis stands, in px from the left."""
        return self.left + self.x.place(value) * (self.right - self.left)

    def y_px(self, value: float) -> float:
        """Return where a value of the y axis stands, in px from the top."""
        return self.bottom - self.y.place(value) * (self.bottom - TOP)

    def trace(self, points: Iterable[tuple[float, float]]) -> str:
        """Return points in the axes' units as the coordinates of a polyline."""
        return trace((self.x_px(x), self.y_px(y)) for x, y in points)

    def add(self, *marks: Markup) -> None:
        """Add marks, on top of those that are there."""
        self._marks.extend(marks)

    def add_rules(self, places: Sequence[float]) -> None:
        """Add dotted vertical lines at places of the x axis."""
        for place in places:
            if self.x.low <= place <= self.x.high:
                x = round(self.x_px(place), 1)
                self.add(Markup("<path class='rule' d='M{} {}V{}'/>").format(x, TOP, round(self.bottom)))

    def draw(self, title: str) -> Markup:
        """Return the chart as an svg element with this title for those who don't see it."""
        width, height = self._size
        x_label, y_label = self._labels
        parts = [self._draw_y_ticks(), self._draw_x_ticks()]
        parts.append(text(2, 12, y_label, "title"))
        parts.append(text((self.left + self.right) / 2, height - 6, x_label, "title middle"))
        return element(title, width, height, [*parts, *self._marks], self._describe_axes())

    def _describe_axes(self) -> Markup:
        """Return data attributes by which the page's script rescales numeric axes; categorical axes are fixed.

        `data-frame` has the corners in pixels. `data-x` and `data-y` are each `low high scale ends`, such as
        `0.0 12.0 linear padded`.
        """
        corners = (self.left, TOP, self.right, self.bottom)
        axes = Markup(" data-frame='{}'").format(" ".join(f"{px:.1f}" for px in corners))
        for name, axis in (("x", self.x), ("y", self.y)):
            if axis.ticks and not axis.is_choice:
                scale = "log" if axis.is_log else "whole" if axis.is_whole else "linear"
                ends = "padded" if axis.is_padded else "fixed"
                axes += Markup(" data-{}='{!r} {!r} {} {}'").format(Markup(name), axis.low, axis.high, scale, ends)
        return axes

    def _draw_y_ticks(self) -> Markup:
        parts = []
        for value, label in self.y.ticks:
            y = round(self.y_px(value), 1)
            parts.append(Markup("<path class='grid' d='M{} {}H{}'/>").format(round(self.left, 1), y, round(self.right)))
            parts.append(text(self.left - 6, y + 4, label, "end"))
        return Markup("<g class='ticks y'>{}</g>").format(Markup("").join(parts))

    def _draw_x_ticks(self) -> Markup:
        bottom = round(self.bottom, 1)
        line = Markup("<path class='axis' d='M{} {}H{}'/>").format(round(self.left, 1), bottom, round(self.right))
        parts = []
        for value, label in self._x_ticks:
            x = round(self.x_px(value), 1)
            parts.append(Markup("<path class='axis' d='M{} {}v4'/>").format(x, bottom))
            if self._is_slanted:
                turn = Markup(" transform='rotate(-{} {} {})'").format(SLANT, x + 4, bottom + 14)
                parts.append(text(x + 4, bottom + 14, label, "end", turn))
            else:
                parts.append(text(x, bottom + 17, label, "middle"))
        return line + Markup("<g class='ticks x'>{}</g>").format(Markup("").join(parts))


def element(title: str, width: float, height: float, parts: Iterable[Markup], extra: Markup | None = None) -> Markup:
    """Return an svg element of this size with a title for those who don't see it."""
    return Markup("<svg class='chart' viewBox='0 0 {} {}' role='img' aria-label='{}'{}>{}</svg>").format(
        round(width), round(height), title, extra or "", Markup("").join(parts)
    )


def text(x: float, y: float, content: str, style: str = "", extra: Markup | None = None) -> Markup:
    """Return a line of text at a place in px."""
    return Markup("<text x='{}' y='{}' class='{}'{}>{}</text>").format(
        round(x, 1), round(y, 1), style, extra or "", content
    )


def trace(points_px: Iterable[tuple[float, float]]) -> str:
    """Return points in px as the coordinates of a polyline."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points_px)


def line(coordinates: str, style: str, arm: int, trial: int | None = None) -> Markup:
    """Return a polyline of an arm or of one of its trials."""
    return Markup("<polyline class='{} {}'{} points='{}'/>").format(
        style, arm_style(arm), keys(arm, trial), coordinates
    )


def marker(x: float, y: float, arm: int, trial: int | None = None, style: str = "") -> Markup:
    """Return the marker of an arm at a place in px; the page defines its shape once."""
    return Markup("<use href='#m{}' class='mark {} {}'{} x='{}' y='{}'/>").format(
        (arm + arm // NUM_COLORS) % NUM_SHAPES, style, arm_style(arm), keys(arm, trial), round(x, 1), round(y, 1)
    )


def keys(arm: int, trial: int | None) -> Markup:
    """Return the attributes by which the page's script finds the marks of an arm and of a trial."""
    of_trial = Markup(" data-trial='{}'").format(trial) if trial is not None else Markup("")
    return Markup(" data-arm='{}'").format(arm) + of_trial


def arm_style(arm: int) -> str:
    """Return the classes with the colour and the dash of an arm; together they repeat after 32 arms."""
    return f"a{arm % NUM_COLORS} d{(arm + arm // NUM_COLORS) % NUM_DASHES}"

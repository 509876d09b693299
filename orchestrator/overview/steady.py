"""A live display that leaves no rows behind when the window becomes narrower."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.control import Control
from rich.live import Live
from rich.live_render import LiveRender
from rich.segment import ControlType, Segment


class SteadyLive(Live):
    """A rich `Live` that erases its whole last frame, also where a narrower window has wrapped its lines."""

    def __init__(self, console: Console, get_renderable: Callable[[], RenderableType], *, refresh_hz: float) -> None:
        """Draw nothing yet.

        Args:
            console: the terminal.
            get_renderable: returns the next frame.
            refresh_hz: how often it is called; 0 if `refresh` is called instead.
        """
        super().__init__(
            console=console,
            get_renderable=get_renderable,
            auto_refresh=refresh_hz > 0,
            refresh_per_second=refresh_hz or 1,
        )
        self._live_render = _WrappedRender(console, self._live_render.renderable)


class _WrappedRender(LiveRender):
    """The last frame, and the rows that its lines take in the window as it is now."""

    def __init__(self, console: Console, renderable: RenderableType) -> None:
        super().__init__(renderable)
        self._console = console
        self._widths: list[int] = []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        segments = [part for part in super().__rich_console__(console, options) if isinstance(part, Segment)]
        self._widths = [Segment.get_line_length(line) for line in Segment.split_lines(segments)]
        yield from segments

    def _count_rows(self) -> int:
        width = max(1, self._console.width)
        # A terminal wraps each line that has become too long.
        return sum(max(1, -(-length // width)) for length in self._widths)

    def position_cursor(self) -> Control:
        """Return codes that erase the last frame and go to its beginning."""
        return Control() if self._shape is None else self._erase(self._count_rows() - 1)

    def restore_cursor(self) -> Control:
        """Return codes that erase the last frame, from the line after it on."""
        return Control() if self._shape is None else self._erase(self._count_rows())

    def _erase(self, rows_above: int) -> Control:
        up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)) * rows_above
        return Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up)

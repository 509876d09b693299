"""The page with the sounds of each arm's best trial, side by side: one HTML file that contains everything.

MLflow shows it in a frame that can't load anything. Its templates are in `orchestrator/tracking/templates/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from orchestrator.state.curve import Objective
from orchestrator.tracking import clip_rows
from orchestrator.tracking.best_renderings import Column
from reports import vocabulary as words
from reports.listening.sounds import TARGET_LUFS

MAX_BYTES = 5_000_000
"""The most bytes of the page, because MLflow loads it as a whole; the page says what is left out."""
MIN_COLUMN_PX, MARGINS_PX = 170, 60
"""The least width of a column, and what the page needs in addition to its columns."""


def write_page(
    path: Path, title: str, columns: Sequence[Column], objective: Objective, *, max_bytes: int = MAX_BYTES
) -> None:
    """Write the page, with a row for each clip, and columns for the original and each arm.

    Args:
        path: the HTML file.
        title: the title of the page.
        columns: the arms, in the order of the page.
        objective: orders the arms; clips are sorted by how much the arms differ in it, or in the first other number.
        max_bytes: the largest size. If not all fits, the clips on which arms differ least are left out, and if not
            even one clip fits, the arms with the worst objective.
    """
    shown = list(columns)
    while True:
        page = _Page(title, objective, shown, columns)
        bytes_left = max_bytes - len(page.render([]).encode())
        rows, num_bytes = page.render_rows(bytes_left)
        if rows or len(shown) == 1 or not page.clips:
            break
        # All cells of a row have about the same size.
        shown = _best_columns(shown, max(1, len(shown) * bytes_left // num_bytes))
    path.write_text(page.render(rows), encoding="utf-8")


def _best_columns(columns: Sequence[Column], count: int) -> list[Column]:
    """Return the columns with the best objective, in their order on the page."""
    best = sorted(columns, key=lambda column: column.rank, reverse=True)[:count]
    return [column for column in columns if column in best]


class _Page:
    """The page with some of the arms."""

    def __init__(self, title: str, objective: Objective, shown: Sequence[Column], columns: Sequence[Column]) -> None:
        """Read the tables of clips.

        Args:
            title: the title of the page.
            objective: orders the arms.
            shown: the arms of the page.
            columns: all arms.
        """
        self._title, self._objective, self._shown, self._columns = title, objective, shown, columns
        environment = Environment(
            loader=PackageLoader("orchestrator.tracking", "templates"), autoescape=True, undefined=StrictUndefined
        )
        environment.globals |= {"number": clip_rows.format_number, "label": lambda name: clip_rows.split_unit(name)[0]}
        environment.filters["breakable"] = _breakable
        self._page, self._row = environment.get_template("listen.html"), environment.get_template("listen_row.html")
        self.clips = clip_rows.read_clips(shown)
        self._metrics = clip_rows.metric_names(self.clips, objective)
        if self._metrics:
            first = self._metrics[0]
            self.clips.sort(key=lambda clip: (-clip.spreads.get(first, 0.0), clip.name))

    def render_rows(self, max_bytes: int) -> tuple[list[str], int]:
        """Return as many rows as fit, and the bytes of these rows and of the first one that does not fit."""
        rows: list[str] = []
        num_bytes = 0
        for clip in self.clips:
            cells = clip_rows.draw_row(clip, self._shown, self._objective)
            row = self._row.render(clip=clip, cells=cells, metrics=self._metrics)
            num_bytes += len(row.encode())
            if num_bytes > max_bytes:
                break
            rows.append(row)
        return rows, num_bytes

    def render(self, rows: Sequence[str]) -> str:
        """Return the page with some rows."""
        winner = max(self._shown, key=lambda column: column.rank)
        values = [clip_rows.format_number(self._objective.metric, column.value) for column in self._shown]
        return self._page.render(
            title=self._title,
            style=_read_file("listen.css"),
            script=_read_file("listen.js"),
            metric=self._objective.metric,
            objective=words.label_of(self._objective.metric),
            better="highest" if self._objective.mode == "max" else "lowest",
            metrics=self._metrics,
            columns=self._shown,
            num_ties=values.count(values[self._shown.index(winner)]) - 1,
            winner=winner if len(self._columns) > 1 else None,
            rows=[Markup(row) for row in rows],
            clips_left_out=len(self.clips) - len(rows),
            num_clips=len(self.clips),
            arms_left_out=len(self._columns) - len(self._shown),
            num_arms=len(self._columns),
            max_mb=f"{MAX_BYTES / 1e6:g}",
            target_lufs=f"{TARGET_LUFS:g}".replace("-", "−"),
            column_px=MIN_COLUMN_PX,
            table_px=MIN_COLUMN_PX * (len(self._shown) + 1) + MARGINS_PX,
        )


def _breakable(name: str) -> Markup:
    """Return a name as HTML that may be broken after `_`, because those of arms may be wider than a column."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _read_file(name: str) -> Markup:
    return Markup((files("orchestrator.tracking") / "templates" / name).read_text(encoding="utf-8"))

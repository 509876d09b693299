"""Tables of the page, and how their values are written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from reports.page.probes import Cell

SCROLL = Markup("<div class='scroll' role='region' tabindex='0' aria-label='{}'>{}</div>")
"""A part of the page that scrolls sideways on narrow screens, also by keyboard."""


def table_element(rows: list[dict[str, Any]], label: str = "table") -> Markup:
    """Return a table with a column for each key that has a value; rows with the key `is_reference` are baselines."""
    keys = dict.fromkeys(key for row in rows for key in row if key != "is_reference")
    columns = [key for key in keys if any(format_value(row.get(key)) for row in rows)]
    numeric = {key for key in columns if any(isinstance(row.get(key), int | float) for row in rows)}
    head = Markup("").join(_table_cell("th", key, key in numeric) for key in columns)
    lines = []
    for row in rows:
        style = Markup(' class="reference"') if row.get("is_reference") else ""
        cells = [_table_cell("td", format_value(row.get(key)), key in numeric) for key in columns]
        lines.append(Markup("<tr{}>{}</tr>").format(style, Markup("").join(cells)))
    table = Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, Markup("").join(lines))
    return SCROLL.format(label, table)


def to_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a data frame, each by the names of its columns."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _table_cell(tag: str, text: str, is_number: bool) -> Markup:
    style = Markup(' class="number"') if is_number else ""
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), style, text)


def format_value(value: Any) -> str:
    """Return a value as text: floats with three decimals, or three digits if very large or small; empty if missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 10_000 else f"{value:.3g}"
    return str(value)


def format_hours(hours: float) -> str:
    """Return a duration as people write it: `45 s`, `7 min`, `1 h 05 min`, `3 d 2 h`."""
    seconds = round(3600 * hours)
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    days, rest = divmod(round(minutes / 60), 24)
    return f"{days} d {rest} h"


def cell_element(cell: Cell) -> Markup:
    """Return the button that plays a sound and shows its pictures, or only the label if there is no sound."""
    if not cell.audio:
        return escape(cell.label)
    difference = (
        Markup("<img alt='difference to the original' src='{}'>").format(cell.difference) if cell.difference else ""
    )
    return Markup(
        "<button class='cell' aria-pressed='false' data-audio='{}'>{}<img alt='spectrogram' src='{}'>{}"
        "<progress max='1' value='0' aria-hidden='true'></progress></button>"
    ).format(cell.audio, cell.label, cell.picture, difference)

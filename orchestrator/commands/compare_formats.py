"""The values of `orchestrate compare` as text, as CSV and as LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from reports import vocabulary as words

Row = dict[str, Any]
"""The values of one arm, trial or baseline by the name of the column."""
MARGIN = " ±"
"""The end of the name of a column that has half of the confidence interval of the column before it."""


def list_columns(rows: Sequence[Row]) -> list[str]:
    """Return the keys of all rows, with the counts last."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    last = [key for key in ("tested", "epochs") if key in keys]
    return [key for key in keys if key not in last] + last


def format_heading(key: str) -> str:
    """Return the name of a column as people say it."""
    if key.startswith(words.TEST_PREFIX):
        return f"test {key.removeprefix(words.TEST_PREFIX)}".replace("_", " ")
    return words.label_of(key) if key.startswith(words.VAL_PREFIX) else key


def format_value(value: Any) -> str:
    """Return a value with three decimals, or as a power of ten where that would say nothing."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "nan"
    return f"{value:.3f}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.1e}"


def format_with_margin(row: Row, key: str) -> str:
    """Return a value of a row, with half of its confidence interval where there is one."""
    margin_text = f" ±{row[key + MARGIN]:.3f}" if key + MARGIN in row else ""
    return format_value(row.get(key)) + margin_text


def format_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV with all digits."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list_columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def format_latex(rows: Sequence[Row]) -> str:
    """Return rows as a LaTeX table."""
    import pandas as pd

    columns = list_columns(rows)
    cells = [[format_value(row.get(key)) for key in columns] for row in rows]
    frame = pd.DataFrame(cells, columns=list(map(format_heading, columns)))
    style = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
    text: str = style.to_latex(hrules=True)
    return text

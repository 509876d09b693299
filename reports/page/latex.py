"""Tables for a paper: booktabs, decimals below each other, and only the columns that a claim needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from reports import vocabulary as words
from reports.page.content import Report
from reports.page.figures import label_contrast

HEAD = "% In the preamble: \\usepackage{booktabs}\n"
ESCAPES = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "−": "$-$",
    }
)
Columns = Mapping[str, Sequence[str]]
"""The cells of a table by the names of its columns, as LaTeX; those of numbers begin with `$`."""


def latex_tables(report: Report) -> dict[str, str]:
    """Return the tables `arms`, `contrasts` and `confirmed` as LaTeX, those that there are data for."""
    columns_by_name = {"arms": _arms(report), "contrasts": _contrasts(report), "confirmed": _confirmed(report)}
    return {name: format_table(columns) for name, columns in columns_by_name.items() if any(columns.values())}


def format_table(columns: Columns) -> str:
    """Return a table; columns without a value are left out, and columns of numbers are aligned to the right.

    All numbers of a column have the same number of decimals, so that these are below each other.
    """
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    alignment = "".join("r" if all(cell.startswith("$") for cell in cells if cell) else "l" for cells in shown.values())
    lines = [" & ".join(row) + r" \\" for row in zip(*shown.values(), strict=True)]
    head = " & ".join(escape(name) for name in shown) + r" \\"
    begin, end = rf"\begin{{tabular}}{{{alignment}}}", r"\end{tabular}"
    return HEAD + "\n".join([begin, r"\toprule", head, r"\midrule", *lines, r"\bottomrule", end]) + "\n"


def escape(text: object) -> str:
    """Return a text whose special characters LaTeX prints as they are."""
    return str(text).translate(ESCAPES)


def _number(value: float | None, decimals: int = 3) -> str:
    return "" if value is None or math.isnan(value) else f"${value:.{decimals}f}$"


def _arms(report: Report) -> Columns:
    label = words.label_of(report.runs.metric)
    rows = report.matrix.to_dict("records")
    tests = []
    for row in rows:
        margin = "" if math.isnan(row["margin"]) else rf" \pm {row['margin']:.3f}"
        tests.append("" if math.isnan(row["test"]) else f"${row['test']:.3f}{margin}$")
    return {
        "arm": [escape(row["arm"]) for row in rows],
        f"best {label} (validation)": [_number(row["searched"]) for row in rows],
        f"{label} (test)": tests,
        "trainings": [_number(row["trainings"], 0) if row["trainings"] else "" for row in rows],
    }


def _contrasts(report: Report) -> Columns:
    """Return the planned contrasts by the objective; without planned ones, all by the objective."""
    by_objective = [one for chosen in report.contrast_sets if chosen.is_tested for one in chosen.contrasts]
    shown = [contrast for contrast in by_objective if contrast.is_planned] or by_objective
    intervals = []
    for contrast in shown:
        has_interval = contrast.low is not None and contrast.high is not None
        intervals.append(f"$[{contrast.low:.3f}, {contrast.high:.3f}]$" if has_interval else "")
    return {
        "contrast": [escape(f"{contrast.factor}: {label_contrast(contrast)}") for contrast in shown],
        f"difference in {words.label_of(report.runs.metric)}": [_number(contrast.difference) for contrast in shown],
        "95 % CI": intervals,
        "p (Holm)": [_probability(contrast.p_adjusted) for contrast in shown],
    }


def _confirmed(report: Report) -> Columns:
    rows = report.confirmed.to_dict("records")
    numbers = {name: [_number(row[name]) for row in rows] for name in ("searched", "confirmed", "test")}
    trials = [f"${row['trial']}$" for row in rows]
    return {"arm": [escape(row["arm"]) for row in rows], "trial": trials, **numbers}


def _probability(p: float | None) -> str:
    if p is None:
        return ""
    return "$< 0.001$" if p < 0.001 else f"${p:.3f}$"

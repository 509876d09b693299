"""Writing a report to files: an HTML page, Markdown, CSV, LaTeX, or its figures as png or svg."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.errors import ReportError
from reports.page import figures, html
from reports.page.comparison import name_sweeps
from reports.page.content import Report
from reports.page.drawings import drawings
from reports.page.front_points import front_rows
from reports.page.latex import latex_tables
from reports.page.tables import format_value
from reports.runs.plain_tables import read_curves, tabulate_trials

SEPARATOR = "-and-"
MAX_STEM = 100
"""Maximum length of the name of a page about several sweeps."""
HEADINGS = {
    "judged": "test split",
    "waiting": "validation only, test split not evaluated yet",
    "exploratory": "exploratory, validation only",
}


def write_comparison(reports: Sequence[Report], folder: Path) -> Path:
    """Write the page that compares several sweeps into a folder, and return its path.

    Raises:
        ReportError: the folder can't be written.
    """
    stem = SEPARATOR.join(name_sweeps(reports))[:MAX_STEM]
    page = html.render_comparison(reports)
    with _explain_unwritable(folder):
        return _write_text(folder / f"{_make_safe(stem)}.html", page)


def write(report: Report, form: str, folder: Path) -> list[Path]:
    """Write a report into a folder, which is created if it is missing, and return the paths of its files.

    Args:
        report: the report.
        form: one of `FORMS`.
        folder: the folder.

    Raises:
        ReportError: the folder can't be written.
    """
    with _explain_unwritable(folder):
        return FORMS[form](report, folder / _make_safe(report.runs.name))


@contextlib.contextmanager
def _explain_unwritable(folder: Path) -> Iterator[None]:
    """Create the folder; an error of the disk becomes one that says what to do."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ReportError(
            f"{folder}: the report can't be written there ({error.strerror}); give another --out"
        ) from None


def _make_safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)


def check_form(form: str) -> None:
    """Check that a report can be written in this form.

    Raises:
        ReportError: the form is unknown.
    """
    if form not in FORMS:
        raise ReportError(f"--format {form} is unknown; {', '.join(FORMS)} are allowed")


def _write_html(report: Report, stem: Path) -> list[Path]:
    return [_write_text(stem.with_name(f"{stem.name}.html"), html.render(report))]


def make_markdown(report: Report) -> str:
    """Return the findings, the table of arms with baselines, the front, and the caveats of a report, in Markdown."""
    rows = [{key: value for key, value in row.items() if key != "is_reference"} for row in html.matrix_table(report)]
    front = front_rows(report.runs, report.params)
    sentences = (*report.tested_sentences, *report.descriptive_sentences, *report.fallback_sentences)
    parts = [
        f"# Sweep {report.runs.name}: {HEADINGS[report.stage]}",
        "\n".join(f"- {sentence}" for sentence in sentences),
        _markdown_table(rows),
        "## The front\n\n" + _markdown_table(front) if front else "",
        "\n".join(f"- {remark}" for remark in report.remarks()),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _markdown_table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([format_value(row.get(key)) for key in columns] for row in rows)]
    return "\n".join(_markdown_line(line) for line in lines)


def _markdown_line(cells: list[str]) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _write_markdown(report: Report, stem: Path) -> list[Path]:
    return [_write_text(stem.with_name(f"{stem.name}.md"), make_markdown(report))]


def _write_csv(report: Report, stem: Path) -> list[Path]:
    return [
        _write_text(stem.with_name(f"{stem.name}-{name}.csv"), frame.to_csv(index=False))
        for name, frame in _frames(report).items()
    ]


def _write_latex(report: Report, stem: Path) -> list[Path]:
    return [_write_text(stem.with_name(f"{stem.name}-{name}.tex"), text) for name, text in latex_tables(report).items()]


def _frames(report: Report) -> Mapping[str, pd.DataFrame]:
    """Return the report's tables that are not empty, by name."""
    curves = read_curves(report.runs)
    frame_by_name = {
        "arms": report.matrix,
        "contrasts": report.contrasts,
        "confirmed": report.confirmed,
        "failures": report.failures,
        "trials": tabulate_trials(report.runs, curves),
        "curves": curves,
        "runs": report.runs.trials,
        f"{report.runs.unit}s": _join_scores(report),
    }
    return {name: frame for name, frame in frame_by_name.items() if len(frame)}


def _join_scores(report: Report) -> pd.DataFrame:
    """Return the scores on the test split, one row per trial and recording or example."""
    tables = [table.assign(trial=row["trial"], arm=row["arm"]) for row, table in report.test_tables]
    if not tables:
        return pd.DataFrame()
    joined = pd.concat(tables, ignore_index=True)
    return joined[["trial", "arm", *(name for name in joined if name not in ("trial", "arm"))]]


def _figure_writer(kind: str) -> Callable[[Report, Path], list[Path]]:
    """Return a function that writes all figures of a report as `png` or `svg`."""

    def write_figures(report: Report, stem: Path) -> list[Path]:
        paths = []
        for name, draw in drawings(report).items():
            path = stem.with_name(f"{stem.name}-{name}.{kind}")
            figures.save(draw(), path)
            paths.append(path)
        return paths

    return write_figures


def _write_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


FORMS: Mapping[str, Callable[[Report, Path], list[Path]]] = {
    "html": _write_html,
    "md": _write_markdown,
    "csv": _write_csv,
    "latex": _write_latex,
    "png": _figure_writer("png"),
    "svg": _figure_writer("svg"),
}
"""Functions that write a report, given the path of its files without suffix; they return the paths written."""

"""A report as files: a page, Markdown, CSV, LaTeX, or its figures as pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reports.errors import ReportError
from reports.page import figures, html
from reports.page.content import Report
from reports.page.drawings import drawings

HEADINGS = {
    "judged": "test split",
    "waiting": "validation only, not judged yet",
    "exploratory": "exploratory, validation only",
}


def write(report: Report, form: str, folder: Path) -> list[Path]:
    """Write a report into a folder, which is made.

    Raises:
        ReportError: the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FORMS[form](report, folder / re.sub(r"[^A-Za-z0-9_.-]", "-", report.runs.name))
    except OSError as error:
        raise ReportError(
            f"{folder}: the report can't be written there ({error.strerror}); give another --out"
        ) from None


def check_form(form: str) -> None:
    """Refuse a form that nothing is written in.

    Raises:
        ReportError: it is unknown.
    """
    if form not in FORMS:
        raise ReportError(f"--format {form} is unknown; {', '.join(FORMS)} are known")


def _html(report: Report, stem: Path) -> list[Path]:
    return [_text(stem.with_name(f"{stem.name}.html"), html.render(report))]


def _markdown(report: Report, stem: Path) -> list[Path]:
    rows = html.matrix_table(report)
    parts = [
        f"# Sweep {report.runs.name}: {HEADINGS[report.stage]}",
        "\n".join(f"- {sentence}" for sentence in (*report.tested, *report.described, *report.instead)),
        _markdown_table([{key: value for key, value in row.items() if key != "is_reference"} for row in rows]),
        "\n".join(f"- {remark}" for remark in report.remarks()),
    ]
    return [_text(stem.with_name(f"{stem.name}.md"), "\n\n".join(filter(None, parts)) + "\n")]


def _markdown_table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([html.shown(row.get(key)) for key in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _csv(report: Report, stem: Path) -> list[Path]:
    return [
        _text(stem.with_name(f"{stem.name}-{name}.csv"), frame.to_csv(index=False))
        for name, frame in _frames(report).items()
    ]


def _latex(report: Report, stem: Path) -> list[Path]:
    return [
        _text(stem.with_name(f"{stem.name}-{name}.tex"), _latex_table(frame)) for name, frame in _frames(report).items()
    ]


def _latex_table(frame: pd.DataFrame) -> str:
    shown = frame.map(html.shown).rename(columns=lambda name: str(name).replace("_", " "))
    style = shown.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
    text: str = style.to_latex(hrules=True)
    return text


def _frames(report: Report) -> Mapping[str, pd.DataFrame]:
    frame_by_name = {
        "arms": report.matrix,
        "contrasts": report.contrasts,
        "confirmed": report.confirmed,
        "failures": report.failures,
    }
    return {name: frame for name, frame in frame_by_name.items() if len(frame)}


def _pictures(kind: str) -> Callable[[Report, Path], list[Path]]:
    def draw(report: Report, stem: Path) -> list[Path]:
        paths = []
        for name, figure in drawings(report).items():
            paths.append(stem.with_name(f"{stem.name}-{name}.{kind}"))
            figures.save(figure(), paths[-1])
        return paths

    return draw


def _text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


FORMS: Mapping[str, Callable[[Report, Path], list[Path]]] = {
    "html": _html,
    "md": _markdown,
    "csv": _csv,
    "latex": _latex,
    "png": _pictures("png"),
    "svg": _pictures("svg"),
}

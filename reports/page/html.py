"""The report as one HTML file that needs no other: no network, everything that was read is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from reports import vocabulary as words
from reports.page import figures
from reports.page.content import Report
from reports.page.drawings import drawings
from reports.page.images import read_images
from reports.page.matrix import OUTCOMES
from reports.page.probes import Cell, read_probes
from reports.runs.findings import Answers
from reports.statistics.contrast import Contrast


def render(report: Report) -> str:
    """The whole page."""
    environment = Environment(loader=PackageLoader("reports", "pages"), autoescape=True, undefined=StrictUndefined)
    drawn = {name: Markup(figures.as_svg(draw())) for name, draw in drawings(report).items()}
    probes, num_probes = read_probes(report.runs)
    page: str = environment.get_template("report.html").render(
        title=f"Sweep {report.runs.name}",
        style=_file("report.css"),
        script=_file("report.js"),
        stage=report.stage,
        judging="budget.seeds" if report.runs.is_repeated else "the confirm stage",
        trainings=words.amount(len(report.runs.final), "training"),
        tested=report.tested,
        described=report.instead,
        untested=report.why_untested,
        contrasts=contrast_rows(report),
        remarks=report.remarks(),
        matrix=matrix_table(report),
        confirmed=_records(report.confirmed),
        saved=_saved(report),
        probes=probes,
        left_out=num_probes - len(probes),
        images=read_images(report.runs),
        listening=_records(listening(report)),
        agreement=report.runs.run.data.metrics.get(words.MOS_AGREEMENT),
        failures=_records(report.failures),
        rungs=", ".join(map(str, report.rungs)),
        facts=report.facts(),
        figures=drawn,
        figure=lambda name, caption: _figures(name, caption, drawn),
        table=_table,
        cell=_cell,
    )
    return page


def matrix_table(report: Report) -> list[dict[str, Any]]:
    """The matrix of arms and below it the reference lines, for people to read."""
    rows = []
    for row in report.matrix.to_dict("records"):
        margin = "" if math.isnan(row["margin"]) else f" ± {row['margin']:.3f}"
        outcomes = ", ".join(f"{row[name]} {name}" for name in OUTCOMES if row[name]) or "none"
        rows.append(
            {
                "arm": row["arm"],
                "best trial": row["best trial"],
                f"searched {words.label_of(report.runs.metric)}": row["searched"],
                "test": "" if math.isnan(row["test"]) else f"{row['test']:.3f}{margin}",
                "trainings": row["trainings"] or "",
                "trials": outcomes,
                "epochs": row["epochs"],
                "hours": row["hours"],
            }
        )
    searched = f"searched {words.label_of(report.runs.metric)}"
    lines = report.references.to_dict("records")
    return [*rows, *({"arm": line["arm"], searched: line["searched"], "is_reference": True} for line in lines)]


def listening(report: Report) -> pd.DataFrame:
    """What listeners said of trials and renderings; a row each, columns `trial`, `arm`, `rendering` and `listen/…`."""
    frames = [frame for frame in (report.runs.trials, report.runs.renderings) if len(frame)]
    if not frames:
        return pd.DataFrame()
    both = pd.concat(frames, ignore_index=True)
    score_columns = [name for name in both if str(name).startswith(words.LISTEN_PREFIX)]
    kept = [name for name in ("trial", "arm", "rendering") if name in both]
    return both.dropna(subset=score_columns, how="all")[[*kept, *score_columns]] if score_columns else pd.DataFrame()


def contrast_rows(report: Report) -> list[dict[str, Any]]:
    """Every contrast, tested ones first, with its effect size (Hedges' g between trainings or configurations)."""
    return [
        {
            "metric": words.label_of(answers.metric),
            "contrast": f"{contrast.factor}: {figures.named(contrast)}",
            "difference": contrast.difference,
            "low": contrast.low,
            "high": contrast.high,
            "Hedges' g": contrast.effect_size,
            "p": contrast.p_adjusted,
            "test": _test(answers, contrast),
        }
        for answers in report.answers
        for contrast in sorted(answers.found, key=lambda contrast: not contrast.is_planned)
    ]


def _test(answers: Answers, contrast: Contrast) -> str:
    """Which test was made, or why none."""
    if contrast.p_adjusted is not None:
        return "Holm"
    is_asked = answers.is_tested and contrast.is_planned
    return contrast.why_no_interval or (is_asked and contrast.why_untested) or "descriptive"


def _saved(report: Report) -> str:
    saved = report.saved_epochs() if report.rungs else 0
    spent = int(report.runs.searched["epochs"].fillna(0).sum())
    return f"Pruning saved {saved} of {saved + spent} epochs." if saved else ""


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _figures(name: str, caption: str, drawn: Mapping[str, Markup]) -> Markup:
    """All figures whose names begin so, with one caption."""
    svgs = [svg for key, svg in drawn.items() if key.startswith(name)]
    if not svgs:
        return Markup("")
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(Markup("").join(svgs), caption)


def _table(rows: list[dict[str, Any]]) -> Markup:
    columns = [key for key in dict.fromkeys(key for row in rows for key in row) if key != "is_reference"]
    numeric = {key for key in columns if any(isinstance(row.get(key), int | float) for row in rows)}
    heads = Markup("").join(_tagged("th", key, key in numeric) for key in columns)
    body = Markup("").join(
        Markup("<tr{}>{}</tr>").format(
            Markup(' class="reference"') if row.get("is_reference") else "",
            Markup("").join(_tagged("td", shown(row.get(key)), key in numeric) for key in columns),
        )
        for row in rows
    )
    return Markup('<div class="scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>').format(
        heads, body
    )


def _tagged(tag: str, text: str, is_number: bool) -> Markup:
    kind = Markup(' class="number"') if is_number else ""
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), kind, text)


def shown(value: Any) -> str:
    """A value as people read it: three decimals, nothing where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 10_000 else f"{value:.3g}"
    return str(value)


def _cell(cell: Cell) -> Markup:
    if not cell.audio:
        return escape(cell.label)
    difference = (
        Markup("<img alt='difference to the original' src='{}'>").format(cell.difference) if cell.difference else ""
    )
    return Markup(
        "<button class='cell' aria-pressed='false' data-audio='{}'>{}<img alt='spectrogram' src='{}'>{}"
        "<progress max='1' value='0'></progress></button>"
    ).format(cell.audio, cell.label, cell.picture, difference)


def _file(name: str) -> Markup:
    return Markup((files("reports") / "pages" / name).read_text(encoding="utf-8"))

"""The report as one self-contained HTML page; all names and texts from MLflow are escaped."""

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
from reports.runs import winners
from reports.runs.findings import ContrastSet
from reports.statistics.contrast import Contrast


def render(report: Report) -> str:
    """Return the report as an HTML page."""
    environment = Environment(loader=PackageLoader("reports", "pages"), autoescape=True, undefined=StrictUndefined)
    svgs = {name: Markup(figures.to_svg(draw())) for name, draw in drawings(report).items()}
    probes, num_probes = read_probes(report.runs)
    page: str = environment.get_template("report.html").render(
        title=f"Sweep {report.runs.name}",
        style=_read_file("report.css"),
        script=_read_file("report.js"),
        stage=report.stage,
        tested_by="budget.seeds" if report.runs.is_repeated else "the confirm stage",
        trainings=words.amount(len(report.runs.tested_trials), "training"),
        tested=report.tested_sentences,
        fallback=report.fallback_sentences,
        untested=report.why_untested,
        contrasts=contrast_rows(report),
        remarks=report.remarks(),
        matrix=matrix_table(report),
        winners=winner_rows(report),
        best_yaml=winners.as_yaml(report.runs) if report.winners else "",
        confirmed=_records(report.confirmed),
        saved=_describe_saved(report),
        probes=probes,
        num_left_out=num_probes - len(probes),
        images=read_images(report.runs),
        listening=_records(listening_scores(report)),
        agreement=report.runs.run.data.metrics.get(words.MOS_AGREEMENT),
        failures=_records(report.failures),
        rungs=", ".join(map(str, report.rungs)),
        facts=report.facts(),
        figures=svgs,
        figure=lambda name, caption: _figure_element(name, caption, svgs),
        table=_table_element,
        cell=_cell_element,
    )
    return page


def matrix_table(report: Report) -> list[dict[str, Any]]:
    """Return the rows of the table of arms, as shown to users, with the reference lines below."""
    best = f"best {words.label_of(report.runs.metric)} (validation)"
    rows = []
    for row in report.matrix.to_dict("records"):
        margin = "" if math.isnan(row["margin"]) else f" ± {row['margin']:.3f}"
        outcomes = ", ".join(f"{row[name]} {name}" for name in OUTCOMES if row[name]) or "none"
        rows.append(
            {
                "arm": row["arm"],
                "best trial": None if pd.isna(row["best trial"]) else int(row["best trial"]),
                best: row["searched"],
                "test": "" if math.isnan(row["test"]) else f"{row['test']:.3f}{margin}",
                "trainings": row["trainings"] or "",
                "trials": outcomes,
                "epochs": row["epochs"],
                "time": format_hours(row["hours"]),
            }
        )
    references = report.references.to_dict("records")
    return [*rows, *({"arm": row["arm"], best: row["searched"], "is_reference": True} for row in references)]


def winner_rows(report: Report) -> list[dict[str, Any]]:
    """Return a row for each arm's best configuration: the trial, its value, and its searched parameters."""
    value = f"best {words.label_of(report.runs.metric)} (validation)"
    rows = []
    for winner in report.winners:
        row = {"arm": winner.arm, "trial": winner.trial, value: winner.value, "trials as good": winner.num_near}
        rows.append(row | winners.describe_parameters(winner))
    return rows


def listening_scores(report: Report) -> pd.DataFrame:
    """Return the listening scores, one row per trial or rendering; columns `trial`, `arm`, `rendering`, `listen/…`."""
    frames = [frame for frame in (report.runs.trials, report.runs.renderings) if len(frame)]
    if not frames:
        return pd.DataFrame()
    both = pd.concat(frames, ignore_index=True)
    score_columns = [name for name in both if str(name).startswith(words.LISTEN_PREFIX)]
    if not score_columns:
        return pd.DataFrame()
    name_columns = [name for name in ("trial", "arm", "rendering") if name in both]
    return both.dropna(subset=score_columns, how="all")[[*name_columns, *score_columns]]


def contrast_rows(report: Report) -> list[dict[str, Any]]:
    """Return the rows of the table of contrasts, planned ones first, with Hedges' g as effect size."""
    return [
        {
            "metric": words.label_of(contrast_set.metric),
            "contrast": f"{contrast.factor}: {figures.label_contrast(contrast)}",
            "difference": contrast.difference,
            "low": contrast.low,
            "high": contrast.high,
            "Hedges' g": contrast.effect_size,
            "p": contrast.p_adjusted,
            "test": _describe_test(contrast_set, contrast),
        }
        for contrast_set in report.contrast_sets
        for contrast in sorted(contrast_set.contrasts, key=lambda contrast: not contrast.is_planned)
    ]


def _describe_test(contrast_set: ContrastSet, contrast: Contrast) -> str:
    """Return the name of the test that was made, or why there was none."""
    if contrast.p_adjusted is not None:
        return "Holm"
    is_wanted = contrast_set.is_tested and contrast.is_planned
    return contrast.why_no_interval or (is_wanted and contrast.why_untested) or "descriptive"


def _describe_saved(report: Report) -> str:
    num_saved = report.count_saved_epochs() if report.rungs else 0
    num_trained = int(report.runs.search_trials["epochs"].fillna(0).sum())
    return f"Pruning saved {num_saved} of {num_saved + num_trained} epochs." if num_saved else ""


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _figure_element(name: str, caption: str, svgs: Mapping[str, Markup]) -> Markup:
    """Return one figure element with a caption and all figures whose names begin with `name`; empty if none do."""
    matching = [svg for key, svg in svgs.items() if key.startswith(name)]
    if not matching:
        return Markup("")
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(Markup("").join(matching), caption)


def _table_element(rows: list[dict[str, Any]]) -> Markup:
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
    return Markup('<div class="scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>').format(
        head, Markup("").join(lines)
    )


def _table_cell(tag: str, text: str, is_number: bool) -> Markup:
    style = Markup(' class="number"') if is_number else ""
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), style, text)


def format_value(value: Any) -> str:
    """Return a value as text: floats with three decimals, or three digits if very large or small; empty if missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
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


def _cell_element(cell: Cell) -> Markup:
    """Return the button that plays a sound and shows its pictures, or only the label if there is no sound."""
    if not cell.audio:
        return escape(cell.label)
    difference = (
        Markup("<img alt='difference to the original' src='{}'>").format(cell.difference) if cell.difference else ""
    )
    return Markup(
        "<button class='cell' aria-pressed='false' data-audio='{}'>{}<img alt='spectrogram' src='{}'>{}"
        "<progress max='1' value='0'></progress></button>"
    ).format(cell.audio, cell.label, cell.picture, difference)


def _read_file(name: str) -> Markup:
    return Markup((files("reports") / "pages" / name).read_text(encoding="utf-8"))

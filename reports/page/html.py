"""The report as one self-contained HTML page; all names and texts from MLflow are escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from reports import vocabulary as words
from reports.page import comparison, figures, sentences
from reports.page.charts.chart_set import MAX_MARKS, Charts, draw_charts, draw_shapes
from reports.page.content import Report
from reports.page.front_points import front_rows
from reports.page.glossary import explain_page, terms_of
from reports.page.images import read_images
from reports.page.matrix import OUTCOMES
from reports.page.method import describe_method
from reports.page.probes import read_probes
from reports.page.tables import cell_element, format_hours, table_element, to_records
from reports.page.trial_sounds import read_trial_sounds
from reports.page.trial_table import trial_table
from reports.runs import importance, judges, winners
from reports.runs.findings import ContrastSet
from reports.statistics.contrast import Contrast

MAX_BYTES = 7_500_000
"""Maximum size of the variable parts of a page: charts, tables, images and sounds."""
GLOSSARY = Markup("<!-- glossary -->")
"""The place of the list of explanations in the page."""
NO_BREAK = "\u00a0"
"""A space at which no line breaks."""
SCRIPTS = ("report.js", "charts.js", "axes.js", "trials.js")


def render(report: Report) -> str:
    """Return the report as an HTML page."""
    charts = draw_charts(report)
    trial_clip, trial_sounds = read_trial_sounds(report.runs)
    trials = trial_table(report, trial_sounds)
    images = read_images(report.runs)
    # The sounds of probe clips get the room that everything else leaves.
    num_bytes = (
        sum(map(len, charts.values()))
        + len(trials)
        + sum(len(uri) for arms in images.values() for uri in arms.values())
    )
    probes, num_probes = read_probes(report.runs, MAX_BYTES - num_bytes)
    page: str = _template("report.html").render(
        name=report.runs.name,
        style=_read_file("report.css"),
        script=Markup("\n").join(map(_read_file, SCRIPTS)),
        shapes=draw_shapes(),
        stage=report.stage,
        unit=report.runs.unit,
        has_renderings=bool(len(report.runs.renderings)),
        tested_by="budget.seeds" if report.runs.has_fixed_arms else "the confirm stage",
        trainings=words.amount(len(report.runs.tested_trials), "training"),
        tested=report.tested_sentences,
        fallback=report.fallback_sentences,
        untested=report.why_untested,
        contrasts=contrast_rows(report),
        remarks=report.remarks(),
        disagreements=report.disagreements,
        matrix=matrix_table(report),
        has_references=len(report.references) > 0,
        has_searched=bool(report.params),
        winners=winner_rows(report),
        front=front_rows(report.runs, report.params),
        num_objectives=len(report.runs.modes),
        best_yaml=winners.as_yaml(report.runs) if report.winners else "",
        confirmed=to_records(report.confirmed),
        saved=_describe_saved(report),
        probes=probes,
        num_left_out=num_probes - len(probes),
        images=images,
        arms=report.runs.arms,
        trials=trials,
        num_trials=len(report.runs.trials),
        max_importance_trials=importance.MAX_TRIALS,
        num_undrawn=max(0, len(report.runs.search_trials) - MAX_MARKS),
        trial_clip=trial_clip,
        listening=to_records(listening_scores(report)),
        agreement=report.runs.run.data.metrics.get(words.MOS_AGREEMENT),
        metric_agreements=metric_agreements(report.runs.run.data.metrics),
        failures=to_records(report.failures),
        rungs=", ".join(map(str, report.rungs)),
        pruning=report.pruning,
        facts=describe_method(report.runs, report.max_epochs),
        glossary=GLOSSARY,
        has_judge=bool(report.runs.run.data.tags.get(words.TAG_JUDGE)),
        figures=charts,
        figure=lambda name, caption: _figure_element(name, caption, charts),
        table=table_element,
        cell=cell_element,
    )
    return explain_page(page, terms_of(report.runs), GLOSSARY)


def render_comparison(reports: Sequence[Report]) -> str:
    """Return the page that compares several sweeps."""
    unranked = comparison.explain_unranked(reports)
    split, ranked = ("", []) if unranked else comparison.rank_arms(reports)
    differing, common = comparison.find_differences(reports)
    metrics = dict.fromkeys(words.label_of(report.runs.metric) for report in reports)
    page: str = _template("comparison.html").render(
        title=f"Sweeps {', '.join(comparison.name_sweeps(reports))}",
        style=_read_file("report.css"),
        unranked=unranked,
        differing=differing,
        common=common,
        ranked=ranked,
        split=split,
        metric=" or ".join(metrics),
        contrasts=comparison.contrast_rows(reports),
        arms=comparison.arm_rows(reports),
        table=table_element,
        glossary=GLOSSARY,
    )
    return explain_page(page, terms_of(reports[0].runs), GLOSSARY)


def matrix_table(report: Report) -> list[dict[str, Any]]:
    """Return the rows of the table of arms, as shown to users, with the baselines below."""
    best = f"best {words.label_of(report.runs.metric)} (validation)"
    columns = judges.accuracy_columns(report.runs)
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
                **{column: row[column] for column in columns},
                "trainings": row["trainings"] or "",
                "trials": outcomes,
                "epochs": row["epochs"],
                "time": format_hours(row["hours"]),
            }
        )
    references = report.references.to_dict("records")
    for row in references:
        values = {column: row[column] for column in columns}
        rows.append({"arm": row["arm"], best: row["searched"], **values, "is_reference": True})
    return rows


def winner_rows(report: Report) -> list[dict[str, Any]]:
    """Return a row for each arm's best configuration: the trial, its value, and its searched parameters."""
    value = f"best {words.label_of(report.runs.metric)} (validation)"
    rows = []
    for winner in report.winners:
        row = {"arm": winner.arm, "trial": winner.trial, value: winner.value, "trials as good": winner.num_near}
        # In a narrow column a line may break before the range, and nowhere inside.
        parameters = {
            name: text.replace(" to ", f"{NO_BREAK}to{NO_BREAK}")
            for name, text in winners.describe_parameters(winner).items()
        }
        rows.append(row | parameters)
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


def metric_agreements(logged: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the rows of the table of metrics that agree with listeners, the best first.

    Args:
        logged: the metrics of the sweep's run.
    """
    rows = []
    for name, tau in logged.items():
        if name.startswith(words.METRIC_AGREEMENT) and f"{name}_low" in logged:
            method, _, metric = name.removeprefix(words.METRIC_AGREEMENT).partition("/")
            low, high = logged[f"{name}_low"], logged[f"{name}_high"]
            row = {"listening test": method, "metric": metric, "Kendall's τ": tau, "low": low, "high": high}
            rows.append(row)
    return sorted(rows, key=lambda row: (row["listening test"], -row["Kendall's τ"]))


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
            "test": _describe_test(contrast_set, contrast, report.runs.unit),
        }
        for contrast_set in report.contrast_sets
        for contrast in sorted(contrast_set.contrasts, key=lambda contrast: not contrast.is_planned)
    ]


def _describe_test(contrast_set: ContrastSet, contrast: Contrast, unit: str) -> str:
    """Return the name of the test that was made, or why there was none."""
    if contrast.p_adjusted is not None:
        return "Holm"
    is_wanted = contrast_set.is_tested and contrast.is_planned
    return sentences.name_unit(contrast.why_no_interval, unit) or (is_wanted and contrast.why_untested) or "descriptive"


def _describe_saved(report: Report) -> str:
    num_saved = report.count_saved_epochs() if report.pruning else 0
    num_trained = int(report.runs.search_trials["epochs"].fillna(0).sum())
    return f"Pruning saved {num_saved} of {num_saved + num_trained} epochs." if num_saved else ""


def _figure_element(name: str, caption: str, charts: Charts) -> Markup:
    """Return one figure element with a caption and all charts whose names begin with `name`; empty if none do."""
    matching = [chart for key, chart in charts.items() if key.startswith(name)]
    if not matching:
        return Markup("")
    content = Markup("").join(matching)
    return Markup("<figure><div class='panels'>{}</div><figcaption>{}</figcaption></figure>").format(content, caption)


def _template(name: str) -> Template:
    environment = Environment(loader=PackageLoader("reports", "templates"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(name)


def _read_file(name: str) -> Markup:
    return Markup((files("reports") / "templates" / name).read_text(encoding="utf-8"))

"""The HTML pages of a listening test: the test itself, served or exported, and the results.

Templates, style and script are in `reports/templates/`. They are embedded in each page, which is self-contained.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.listening.design import ABX, MAX_QUALITY, MOS, MUSHRA, PREFER, QUALITY_SCALE, SCALE
from reports.listening.preparation import ListeningTest
from reports.listening.results import agreement_text, contrasts_of, remarks_of, value_of
from reports.listening.statistics import Estimate
from reports.listening.tables import Results

TEMPLATES = Path(__file__).parent.parent / "templates"
SECONDS_AN_ANSWER = {MOS: 6, ABX: 12, MUSHRA: 75, PREFER: 10}
"""Rough time for an answer, from which the page computes how long the test takes."""


HEADINGS = {
    MOS: "Mean opinion scores",
    ABX: "Which systems can be told apart?",
    MUSHRA: "MUSHRA: quality compared with the reference",
    PREFER: "Which system is preferred?",
}
"""The heading of the results of each method."""


@dataclass(frozen=True)
class Bar:
    """An estimate and its interval as positions on the scale, from 0 to 100 %."""

    position: float
    low: float | None
    high: float | None


def render_test(test: ListeningTest, exported: Mapping[str, Any] | None = None) -> str:
    """Return the page on which listeners take the test.

    Args:
        test: the test.
        exported: data that an exported page contains, `copy`, `steps` and `sounds`; None for a served page.
    """
    design = test.design
    sliders = string.ascii_lowercase[: len(design.items[0].systems)] if design.method == MUSHRA else ""
    return _render(
        "listening_test.html",
        design=design,
        scale=SCALE,
        quality_scale=QUALITY_SCALE,
        max_quality=MAX_QUALITY,
        sliders=sliders,
        total=design.num_answers,
        minutes=max(1, round(design.num_answers * SECONDS_AN_ANSWER[design.method] / 60)),
        exported=exported is not None,
        data={"test": design.id, "method": design.method, "sweep": design.sweep, **(exported or {})},
    )


def render_results(results: Results) -> str:
    """Return the page with the results so far."""
    design = results.design
    scale, ticks = _scale_of(results)
    rows = [(row.name, value_of(row, design), _place_on_scale(row.estimate, scale)) for row in results.rows]
    return _render(
        "listening_results.html",
        design=design,
        total=design.num_answers,
        listeners=results.listeners,
        has_results=any(row.estimate for row in results.rows),
        rows=rows,
        ticks=ticks,
        heading=HEADINGS[design.method],
        contrasts=contrasts_of(results),
        agreements=[(one.metric, agreement_text(one)) for one in results.metric_agreements],
        remarks=remarks_of(results),
    )


def _scale_of(results: Results) -> tuple[tuple[float, float], list[str]]:
    """Return the ends of the scale of a test's estimates, and the labels of its ticks."""
    match results.design.method:
        case "mos":
            return (min(SCALE), max(SCALE)), [f"{number} {word}" for number, word in SCALE.items()]
        case "mushra":
            return (0, MAX_QUALITY), [str(number) for number in range(0, MAX_QUALITY + 1, 20)]
        case "prefer":
            ends = [row.estimate for row in results.rows if row.estimate]
            widest = max((abs(end) for one in ends for end in (one.low or 0, one.high or 0)), default=1.0)
            reach = max(1, math.ceil(widest))
            return (-reach, reach), [f"-{reach} worse", "0", f"+{reach} better"]
    return (0.0, 1.0), ["0 %", "50 %", "100 %"]


def _place_on_scale(estimate: Estimate | None, scale: tuple[float, float]) -> Bar | None:
    """Return an estimate and its interval in percent of the scale; None without an estimate."""
    if estimate is None:
        return None
    low, high = scale

    def percent(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    interval = [None if end is None else percent(end) for end in (estimate.low, estimate.high)]
    return Bar(percent(estimate.value), *interval)


def _render(template: str, **values: Any) -> str:
    style, script = (TEMPLATES / "listening.css").read_text(), (TEMPLATES / "listening.js").read_text()
    # Style and script are ours and must not be escaped. The page's security policy allows only a script with this
    # digest, so a script in the name of a sweep or listener doesn't run.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _environment().get_template(template)
    return page.render(style=Markup(style), script=Markup(script), script_digest=digest, **values)


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

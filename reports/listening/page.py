"""The HTML pages of a listening test: the test itself, served or exported, and the results.

Templates, style and script are in `reports/pages/`. They are embedded in each page, which is self-contained.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.listening.design import ABX, MOS, SCALE
from reports.listening.preparation import ListeningTest
from reports.listening.results import Results, remarks_of, value_of
from reports.listening.statistics import Estimate

PAGES = Path(__file__).parent.parent / "pages"
SECONDS_AN_ANSWER = {MOS: 6, ABX: 12}
"""Rough time for an answer, from which the page computes how long the test takes."""


@dataclass(frozen=True)
class Bar:
    """An estimate and its interval as positions on the scale, from 0 to 100 %."""

    at: float
    low: float | None
    high: float | None


def render_test(test: ListeningTest, exported: Mapping[str, Any] | None = None) -> str:
    """Return the page on which listeners take the test.

    Args:
        test: the test.
        exported: data that an exported page contains, `copy`, `steps` and `sounds`; None for a served page.
    """
    design = test.design
    return _render(
        "listening_test.html",
        design=design,
        scale=SCALE,
        total=len(design.items),
        minutes=max(1, round(len(design.items) * SECONDS_AN_ANSWER[design.method] / 60)),
        exported=exported is not None,
        data={"test": design.id, "method": design.method, "sweep": design.sweep, **(exported or {})},
    )


def render_results(results: Results) -> str:
    """Return the page with the results so far."""
    design = results.design
    scale = (min(SCALE), max(SCALE)) if design.method == MOS else (0.0, 1.0)
    rows = [(row.name, value_of(row, design), _bar(row.estimate, scale)) for row in results.rows]
    ticks = [f"{number} {word}" for number, word in SCALE.items()] if design.method == MOS else ["0 %", "50 %", "100 %"]
    return _render(
        "listening_results.html",
        design=design,
        total=len(design.items),
        listeners=results.listeners,
        rows=rows,
        ticks=ticks,
        remarks=remarks_of(results),
    )


def _bar(estimate: Estimate | None, scale: tuple[float, float]) -> Bar | None:
    if estimate is None:
        return None
    low, high = scale

    def percent(value: float | None) -> float | None:
        return None if value is None else round(100 * (value - low) / (high - low), 2)

    at = percent(estimate.value)
    assert at is not None
    return Bar(at, percent(estimate.low), percent(estimate.high))


def _render(template: str, **values: Any) -> str:
    style, script = (PAGES / "listening.css").read_text(), (PAGES / "listening.js").read_text()
    # Style and script are ours and must not be escaped. The page's security policy allows only a script with this
    # digest, so a script in the name of a sweep or listener doesn't run.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _environment().get_template(template)
    return page.render(style=Markup(style), script=Markup(script), script_digest=digest, **values)


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

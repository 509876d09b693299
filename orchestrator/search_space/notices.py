"""The section `notify` of a search space: who hears of what happens to the sweep."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from orchestrator.search_space.section import Section

Occasion = Literal["ended", "failed", "stalled", "best"]
Level = Literal["info", "warning", "error"]
VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
"""A part of an address that stands for a variable of the environment."""


def _check_url(url: str) -> str:
    rest = VARIABLE.sub("x", url)
    if "${" in rest:
        raise ValueError("has ${ without the name of a variable; write ${env:NAME}")
    if "://" not in rest and not VARIABLE.match(url):
        raise ValueError("needs an address of apprise, such as slack://… or json://host/path, or ${env:NAME} with one")
    return url


class Notice(Section):
    """An address, and what it gets."""

    url: Annotated[str, AfterValidator(_check_url)] = Field(
        description="the address as apprise writes it, such as slack://${env:SLACK_TOKENS}; ${env:NAME} stands for a "
        "variable, whose value is never stored"
    )
    when: Annotated[tuple[Occasion, ...], Field(strict=False, min_length=1)] = Field(
        ("ended", "failed", "stalled"),
        description="the sweep has ended, a trial has failed or diverged, no epoch has ended for long, a trial is the "
        "best so far",
    )
    at_least: Level = Field(
        "info",
        description="nothing below this is sent: a finished sweep and a best trial are info, a failed sweep error",
    )
    stalled_minutes: float = Field(
        30, gt=0, allow_inf_nan=False, description="minutes without the end of an epoch after which a sweep has stalled"
    )

"""Contrasts as sentences: which was better, by how much, and whether that may be luck."""

from __future__ import annotations

import math

from reports import vocabulary as words
from reports.statistics import Contrast


def in_words(contrast: Contrast, metric: str, mode: str) -> str:
    """A contrast with everything that it takes to believe it.

    Args:
        contrast: what was compared.
        metric: of what, such as `judge_probability`.
        mode: which way it is better.
    """
    level, baseline = contrast.level, contrast.baseline
    if contrast.scope == "configuration":
        # One that a search chose says nothing of the others that its arm has.
        level, baseline = f"this configuration of {level}", f"this one of {baseline}"
    pair = f"{contrast.factor}: {level} and {baseline}"
    if math.isnan(contrast.difference):
        return f"{pair} can't be compared{_where(contrast)}: {contrast.why_no_interval}."
    name = words.in_words(metric)
    if contrast.low is None or contrast.high is None:
        return (
            f"{contrast.factor}: {level} {_ahead(contrast, mode)} {baseline} by "
            f"{abs(contrast.difference):.3f} {name}{_where(contrast)} ({_count(contrast)}), but whether that is luck "
            f"can't be said: {contrast.why_no_interval}."
        )
    if contrast.is_distinguishable:
        verb = "beats" if _is_better(contrast, mode) else "is worse than"
        sign = math.copysign(1, contrast.difference)
        low, high = sorted((sign * contrast.low, sign * contrast.high))
        return (
            f"{contrast.factor}: {level} {verb} {baseline} by {abs(contrast.difference):.3f} {name}"
            f"{_where(contrast)} (95 % CI {low:.3f} to {high:.3f}, {_count(contrast)}, {_p(contrast)})."
        )
    verdict = "are not distinguishable" if contrast.is_tested else "differ by"
    difference = _signed(contrast.difference)
    value = f": {name} {difference}" if contrast.is_tested else f" {difference} {name}"
    interval = f"95 % CI {_signed(contrast.low)} to {_signed(contrast.high)}"
    return f"{pair} {verdict}{_where(contrast)}{value} ({interval}, {_count(contrast)}, {_p(contrast)})."


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _where(contrast: Contrast) -> str:
    if contrast.at:
        return " at " + ", ".join(f"{name}={value}" for name, value in contrast.at.items())
    return f", on average over {contrast.num_cells} cells" if contrast.num_cells > 1 else ""


def _is_better(contrast: Contrast, mode: str) -> bool:
    return (contrast.difference > 0) == (mode == "max")


def _ahead(contrast: Contrast, mode: str) -> str:
    return "is ahead of" if _is_better(contrast, mode) else "is behind"


def _count(contrast: Contrast) -> str:
    seeds = words.counted(contrast.num_seeds, "seed")
    several = contrast.num_configurations > 1
    units = f"{contrast.num_configurations} configurations × {seeds}" if several else seeds
    return f"n = {units} × {words.counted(contrast.num_recordings, 'recording')}"


def _p(contrast: Contrast) -> str:
    if contrast.p_adjusted is None:
        return "descriptive, not tested"
    return "Holm-adjusted p " + ("< 0.001" if contrast.p_adjusted < 0.001 else f"= {contrast.p_adjusted:.3f}")

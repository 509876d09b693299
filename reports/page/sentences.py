"""Contrasts as sentences: which was better, by how much, and whether that may be luck."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from reports import vocabulary as words
from reports.statistics.contrast import Contrast


def in_words(contrast: Contrast, metric: str, mode: str) -> str:
    """A contrast with everything that it takes to believe it.

    Args:
        contrast: what was compared.
        metric: of what, such as `judge_probability`.
        mode: which way it is better.
    """
    level, baseline = _pair(contrast)
    pair = f"{contrast.factor}: {level} and {baseline}"
    if math.isnan(contrast.difference):
        return f"{pair} can't be compared{_where(contrast)}: {contrast.why_no_interval}."
    name = words.label_of(metric)
    if contrast.low is None or contrast.high is None:
        # What is shown decides: none is ahead by 0.000.
        if abs(contrast.difference) < 0.0005:
            statement = f"{pair} have the same {name}"
        else:
            ahead = "is ahead of" if _is_better(contrast, mode) else "is behind"
            statement = f"{contrast.factor}: {level} {ahead} {baseline} by {abs(contrast.difference):.3f} {name}"
        why = f"but whether that is luck can't be said: {contrast.why_no_interval}"
        return f"{statement}{_where(contrast)} ({_count(contrast)}), {why}."
    if contrast.is_distinguishable:
        verb = "beats" if _is_better(contrast, mode) else "is worse than"
        sign = math.copysign(1, contrast.difference)
        low, high = sorted((sign * contrast.low, sign * contrast.high))
        return (
            f"{contrast.factor}: {level} {verb} {baseline} by {abs(contrast.difference):.3f} {name}"
            f"{_where(contrast)} (95 % CI {low:.3f} to {high:.3f}, {_count(contrast)}, {_p(contrast)})."
        )
    difference = _signed(contrast.difference)
    interval = f"95 % CI {_signed(contrast.low)} to {_signed(contrast.high)}"
    evidence = f"({interval}, {_count(contrast)}, {_p(contrast)})"
    if contrast.p_adjusted is None:
        return f"{pair} differ by {difference} {name}{_where(contrast)} {evidence}."
    return f"{pair} are not distinguishable{_where(contrast)}: {name} {difference} {evidence}."


def in_short(contrasts: Sequence[Contrast], metric: str, mode: str) -> Iterator[str]:
    """The same, but what could not be told from one baseline is one line: many arms would hide the few that differ."""
    alike: dict[tuple[str, str, str, str], list[Contrast]] = {}
    for contrast in contrasts:
        if contrast.p_adjusted is not None and not contrast.is_distinguishable:
            alike.setdefault((contrast.factor, contrast.baseline, _where(contrast), contrast.scope), []).append(
                contrast
            )
        else:
            yield in_words(contrast, metric, mode)
    for (factor, baseline, where, scope), group in alike.items():
        if len(group) == 1:
            yield in_words(group[0], metric, mode)
        else:
            levels = ", ".join(contrast.level for contrast in group)
            caveat = " (one configuration of each)" if scope == "configuration" else ""
            yield f"{factor}: not distinguishable from {baseline} in {words.label_of(metric)}{where}: {levels}{caveat}."


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _where(contrast: Contrast) -> str:
    if contrast.at:
        return " at " + ", ".join(f"{name}={value}" for name, value in contrast.at.items())
    return f", on average over {contrast.num_cells} cells" if contrast.num_cells > 1 else ""


def _is_better(contrast: Contrast, mode: str) -> bool:
    return (contrast.difference > 0) == (mode == "max")


def _pair(contrast: Contrast) -> tuple[str, str]:
    if contrast.scope == "configuration":
        # One that a search chose says nothing of the others that its arm has.
        return f"this configuration of {contrast.level}", f"this one of {contrast.baseline}"
    return contrast.level, contrast.baseline


def _count(contrast: Contrast) -> str:
    seeds = words.amount(contrast.num_seeds, "seed")
    several = contrast.num_configurations > 1
    units = f"{contrast.num_configurations} configurations × {seeds}" if several else seeds
    return f"n = {units} × {words.amount(contrast.num_recordings, 'recording')}"


def _p(contrast: Contrast) -> str:
    if contrast.p_adjusted is not None:
        return f"Holm-adjusted p {_shown(contrast.p_adjusted)}"
    if contrast.p_repeated is not None:
        # Whoever read the plain p at the first look has spent all that there is to spend.
        return f"{contrast.why_untested}; p for repeated looks {_shown(contrast.p_repeated)}, if all are read by it"
    untested = contrast.why_untested if contrast.is_planned else None
    return untested or "descriptive, not tested"


def _shown(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"

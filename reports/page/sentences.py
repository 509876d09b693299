"""Contrasts as sentences: which level is better, by how much, and with what evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from reports import vocabulary as words
from reports.statistics.contrast import Contrast
from reports.statistics.contrasts import NO_RECORDING, NO_SPREAD, ONE_RECORDING


def describe(contrast: Contrast, metric: str, mode: str, unit: str) -> str:
    """Return a contrast as a sentence, with its interval, its sample sizes and its p.

    Args:
        contrast: the contrast.
        metric: name of its metric, such as `judge_probability`.
        mode: whether small (`min`) or large (`max`) values are better.
        unit: the unit of the scores, such as `recording`.
    """
    level, baseline = _name_levels(contrast)
    pair = f"{contrast.factor}: {level} and {baseline}"
    if math.isnan(contrast.difference):
        return f"{pair} can't be compared{_describe_cells(contrast)}: {name_unit(contrast.why_no_interval, unit)}."
    name = words.label_of(metric)
    if contrast.low is None or contrast.high is None:
        # A difference that is shown as 0.000 is none.
        if abs(contrast.difference) < 0.0005:
            statement = f"{pair} have the same {name}"
        else:
            ahead = "is ahead of" if _is_better(contrast, mode) else "is behind"
            statement = f"{contrast.factor}: {level} {ahead} {baseline} by {abs(contrast.difference):.3f} {name}"
        why = f"no interval can be given: {name_unit(contrast.why_no_interval, unit)}"
        return f"{statement}{_describe_cells(contrast)} ({_sample_size(contrast, unit)}), but {why}."
    if contrast.is_distinguishable:
        verb = "beats" if _is_better(contrast, mode) else "is worse than"
        # The sentence has the absolute difference, so the interval has the same sign.
        sign = math.copysign(1, contrast.difference)
        low, high = sorted((sign * contrast.low, sign * contrast.high))
        return (
            f"{contrast.factor}: {level} {verb} {baseline} by {abs(contrast.difference):.3f} {name}"
            f"{_describe_cells(contrast)} (95 % CI {low:.3f} to {high:.3f}, {_sample_size(contrast, unit)}, "
            f"{_describe_p(contrast)})."
        )
    difference = _format_signed(contrast.difference)
    interval = f"95 % CI {_format_signed(contrast.low)} to {_format_signed(contrast.high)}"
    evidence = f"({interval}, {_sample_size(contrast, unit)}, {_describe_p(contrast)})"
    if contrast.p_adjusted is None:
        return f"{pair} differ by {difference} {name}{_describe_cells(contrast)} {evidence}."
    if contrast.excludes_zero:
        return (
            f"{pair} differ by {difference} {name}{_describe_cells(contrast)}, but that is not significant "
            f"{evidence}; more seeds may tell."
        )
    return f"{pair} are not distinguishable{_describe_cells(contrast)}: {name} {difference} {evidence}."


def summarize(contrasts: Sequence[Contrast], metric: str, mode: str, unit: str) -> Iterator[str]:
    """Yield the contrasts as sentences, with one sentence for all levels that are not distinguishable from a baseline.

    A sweep of many arms would otherwise print many such lines, and the few arms that differ would be hard to find.

    Args:
        contrasts: the contrasts.
        metric: name of their metric.
        mode: whether small (`min`) or large (`max`) values are better.
        unit: the unit of the scores, such as `recording`.
    """
    indistinguishable: dict[tuple[str, str, str, str], list[Contrast]] = {}
    for contrast in contrasts:
        # A difference whose own interval excludes 0 deserves its numbers.
        if contrast.p_adjusted is not None and not contrast.is_distinguishable and not contrast.excludes_zero:
            key = (contrast.factor, contrast.baseline, _describe_cells(contrast), contrast.scope)
            indistinguishable.setdefault(key, []).append(contrast)
        else:
            yield describe(contrast, metric, mode, unit)
    for (factor, baseline, cells, scope), group in indistinguishable.items():
        if len(group) == 1:
            yield describe(group[0], metric, mode, unit)
        else:
            levels = ", ".join(contrast.level for contrast in group)
            caveat = " (one configuration of each)" if scope == "configuration" else ""
            yield f"{factor}: not distinguishable from {baseline} in {words.label_of(metric)}{cells}: {levels}{caveat}."


def name_unit(reason: str | None, unit: str) -> str:
    """Return the reason why a contrast has no interval, with the unit of its scores."""
    if reason in (NO_RECORDING, ONE_RECORDING, NO_SPREAD):
        return reason.replace("recording", unit)
    # The other reasons have names of arms in them.
    return reason or ""


def _format_signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _describe_cells(contrast: Contrast) -> str:
    """Return where the levels are compared: at fixed levels of the other factors, or averaged over cells."""
    if contrast.at:
        return " at " + ", ".join(f"{name}={value}" for name, value in contrast.at.items())
    return f", on average over {contrast.num_cells} cells" if contrast.num_cells > 1 else ""


def _is_better(contrast: Contrast, mode: str) -> bool:
    return (contrast.difference > 0) == (mode == "max")


def _name_levels(contrast: Contrast) -> tuple[str, str]:
    """Return the names of level and baseline, which say so if one configuration stands for each arm."""
    if contrast.scope == "configuration":
        return f"this configuration of {contrast.level}", f"this one of {contrast.baseline}"
    return contrast.level, contrast.baseline


def _sample_size(contrast: Contrast, unit: str) -> str:
    trainings = words.amount(contrast.num_seeds, "seed")
    if contrast.num_configurations > 1:
        trainings = f"{contrast.num_configurations} configurations × {trainings}"
    return f"n = {trainings} × {words.amount(contrast.num_recordings, unit)}"


def _describe_p(contrast: Contrast) -> str:
    """Return the p of a contrast, or why it was not tested."""
    if contrast.p_adjusted is not None:
        return f"Holm-adjusted p {_format_p(contrast.p_adjusted)}"
    if contrast.p_repeated is not None:
        # It is not valid if the plain p was used at an earlier look: that one had spent all of ALPHA.
        p = _format_p(contrast.p_repeated)
        return f"{contrast.why_untested}; p for repeated looks {p}, valid if it alone is used at every look"
    untested = contrast.why_untested if contrast.is_planned else None
    return untested or "descriptive, not tested"


def _format_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"

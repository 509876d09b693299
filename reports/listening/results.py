"""What the answers of a listening test say: of each system, each pair and each listener, in lines and as metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reports import vocabulary as words
from reports.listening.answers import Given
from reports.listening.design import MOS, REFERENCE, Design
from reports.listening.statistics import Estimate, agreement, holm, mean_opinion, p_guessing, share_right

REFERENCE_FLOOR = 3.5
"""Who rates the hidden original lower on average is left out of means, as ITU-R BS.1534 has it with its own scale."""


@dataclass(frozen=True)
class Row:
    """A line of results: a system that was rated, or a pair that was to be told apart.

    Attributes:
        p: of guessing so well or better, adjusted for the number of pairs; None of ratings.
    """

    name: str
    estimate: Estimate | None
    p: float | None = None


@dataclass(frozen=True)
class Results:
    """Of one test.

    Attributes:
        listeners: how many answers each has given, of how many.
        left_out: why some listeners are not in the rows, a line each.
        metrics: by run.
    """

    design: Design
    rows: tuple[Row, ...]
    listeners: dict[str, int]
    left_out: tuple[str, ...] = ()
    agreement: float | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)


def summarize(design: Design, answers: Sequence[Given]) -> Results:
    """The results so far."""
    counts = {listener: 0 for listener in dict.fromkeys(answer.listener for answer in answers)}
    for answer in answers:
        counts[answer.listener] += 1
    return _opinions(design, answers, counts) if design.method == MOS else _told_apart(design, answers, counts)


def lines_of(results: Results) -> list[str]:
    """The results as a terminal shows them."""
    design = results.design
    if not results.listeners:
        return [f"{design.id}: no answers yet"]
    total = len(design.items)
    who = ", ".join(f"{name} {count} of {total}" for name, count in results.listeners.items())
    noun = "ratings" if design.method == MOS else "answers"
    lines = [f"{design.id}, sweep {design.sweep}; {noun} of {who}"]
    width = max(len(row.name) for row in results.rows)
    lines += [f"  {row.name:<{width}}  {value_of(row, design)}" for row in results.rows]
    lines += [f"  {remark}" for remark in remarks_of(results)]
    return lines


def value_of(row: Row, design: Design) -> str:
    """`3.42 [3.01, 3.83], 24 ratings`."""
    estimate = row.estimate
    if estimate is None:
        return "no ratings yet" if design.method == MOS else "no answers yet"
    if design.method == MOS:
        interval = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if estimate.low is not None else ""
        return f"{estimate.value:.2f}{interval}, {words.amount(estimate.count, 'rating')}"
    interval = f" [{100 * (estimate.low or 0):.0f}, {100 * (estimate.high or 0):.0f}]"
    verdict = "told apart" if row.p is not None and row.p < 0.05 else "may be guessing"
    return f"{100 * estimate.value:.0f} %{interval} right of {estimate.count}, p = {row.p:.2g}: {verdict}"


def remarks_of(results: Results) -> list[str]:
    """What has to be known to read the rows: agreement, listeners left out, and clips that differ."""
    remarks = list(results.left_out)
    if results.agreement is not None:
        remarks.append(
            f"agreement of listeners: Krippendorff's alpha {results.agreement:.2f} (ordinal; 1 is full, 0 is chance)"
        )
    if results.design.method == MOS:
        remarks.append("intervals: 95 %, Student's t over ratings, one for each listener and clip")
    else:
        remarks.append("intervals: 95 %, Wilson; p: one-sided binomial test, Holm's adjustment for all pairs")
    return remarks + list(results.design.notes)


def _opinions(design: Design, answers: Sequence[Given], counts: dict[str, int]) -> Results:
    left_out = _unreliable(answers)
    kept = [answer for answer in answers if answer.listener not in left_out]
    estimates = {key: _mean_of(key, kept) for key in design.systems}
    metrics = {
        judged.run_id: _metrics(words.MOS, estimates[key], "ratings")
        for key, judged in design.systems.items()
        if judged.run_id and any(answer.systems == (key,) for answer in answers)
    }
    rows = tuple(Row(judged.name, estimates[key]) for key, judged in design.systems.items())
    lines = tuple(
        f"left out: {listener} rated the hidden original {mean:.1f} on average, below {REFERENCE_FLOOR}; "
        "whoever does so did not hear, or did not take the scale as meant"
        for listener, mean in left_out.items()
    )
    alpha = _agreement(design, kept)
    if alpha is not None:
        metrics[design.run_id] = {words.MOS_AGREEMENT: alpha}
    return Results(design, rows, counts, lines, alpha, metrics)


def _told_apart(design: Design, answers: Sequence[Given], counts: dict[str, int]) -> Results:
    pairs = list(dict.fromkeys(item.systems for item in design.items))
    answers_by_pair = {pair: [answer for answer in answers if set(answer.systems) == set(pair)] for pair in pairs}
    answered_pairs = [pair for pair in pairs if answers_by_pair[pair]]
    chances = [p_guessing(_right(answers_by_pair[pair]), len(answers_by_pair[pair])) for pair in answered_pairs]
    p_values = dict(zip(answered_pairs, holm(chances) if answered_pairs else [], strict=True))
    rows = tuple(
        Row(" vs ".join(design.systems[key].name for key in pair), _share_of(answers_by_pair[pair]), p_values.get(pair))
        for pair in pairs
    )
    name = words.ABX_ORIGINAL if REFERENCE in design.systems else words.ABX_ACCURACY
    metrics = {
        judged.run_id: _metrics(name, share, "answers")
        for key, judged in design.systems.items()
        if judged.run_id and (share := _share_of([answer for answer in answers if key in answer.systems]))
    }
    return Results(design, rows, counts, metrics=metrics)


def _unreliable(answers: Sequence[Given]) -> dict[str, float]:
    """Listeners who rate the hidden original low, and how low."""
    ratings: dict[str, list[int]] = {}
    for answer in answers:
        if answer.systems == (REFERENCE,):
            ratings.setdefault(answer.listener, []).append(int(answer.answer))
    means = {listener: sum(values) / len(values) for listener, values in ratings.items()}
    return {listener: mean for listener, mean in means.items() if mean < REFERENCE_FLOOR}


def _agreement(design: Design, answers: Sequence[Given]) -> float | None:
    listeners = list(dict.fromkeys(answer.listener for answer in answers))
    items = {item.id: column for column, item in enumerate(design.items)}
    ratings = np.full((len(listeners), len(items)), np.nan)
    for answer in answers:
        ratings[listeners.index(answer.listener), items[answer.item]] = int(answer.answer)
    return agreement(ratings) if len(listeners) > 1 else None


def _mean_of(key: str, answers: Sequence[Given]) -> Estimate | None:
    ratings = [float(answer.answer) for answer in answers if answer.systems == (key,)]
    return mean_opinion(ratings) if ratings else None


def _share_of(answers: Sequence[Given]) -> Estimate | None:
    return share_right(_right(answers), len(answers)) if answers else None


def _right(answers: Sequence[Given]) -> int:
    return sum(answer.right is True for answer in answers)


def _metrics(name: str, estimate: Estimate | None, noun: str) -> dict[str, float]:
    """NaN where there is no value any more, since a listener was left out: what was written before can't be deleted."""
    estimate = estimate or Estimate(math.nan, None, None, 0)
    low, high = (math.nan if end is None else end for end in (estimate.low, estimate.high))
    stem = name.removesuffix("_accuracy")
    return {name: estimate.value, f"{name}_low": low, f"{name}_high": high, f"{stem}_{noun}": float(estimate.count)}

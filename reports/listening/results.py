"""The results of a listening test from its answers: estimates for systems or pairs, as text and as MLflow metrics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reports import vocabulary as words
from reports.listening.answers import StoredAnswer
from reports.listening.design import MOS, REFERENCE, Design
from reports.listening.statistics import Estimate, agreement, holm, mean_opinion, p_guessing, share_right

REFERENCE_FLOOR = 3.5
"""Listeners whose mean rating of the hidden original is lower are excluded (post-screening as in ITU-R BS.1534)."""


@dataclass(frozen=True)
class Row:
    """A line of the results: the ratings of a system, or the ABX answers about a pair.

    Attributes:
        name: name of the system, or of both.
        estimate: mean rating or share of right answers; None without answers.
        p: probability of so many right answers by guessing, adjusted over all pairs; None for ratings.
    """

    name: str
    estimate: Estimate | None
    p: float | None = None


@dataclass(frozen=True)
class Results:
    """The results of one test.

    Attributes:
        design: the test.
        rows: one row per system (MOS) or pair (ABX).
        listeners: number of answers of each listener.
        left_out: one line for each excluded listener, with the reason.
        agreement: Krippendorff's alpha of the ratings; None for ABX tests or without enough ratings.
        metrics: MLflow metrics, by run id and name.
    """

    design: Design
    rows: tuple[Row, ...]
    listeners: dict[str, int]
    left_out: tuple[str, ...] = ()
    agreement: float | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)


def summarize(design: Design, answers: Sequence[StoredAnswer]) -> Results:
    """Return the results of the answers so far."""
    counts = dict(Counter(answer.listener for answer in answers))
    summarize_answers = _summarize_ratings if design.method == MOS else _summarize_abx
    return summarize_answers(design, answers, counts)


def lines_of(results: Results) -> list[str]:
    """Return the results as lines for a terminal."""
    design = results.design
    if not results.listeners:
        return [f"{design.id}: no answers yet"]
    total = len(design.items)
    listeners = ", ".join(f"{name} {count} of {total}" for name, count in results.listeners.items())
    noun = "ratings" if design.method == MOS else "answers"
    lines = [f"{design.id}, sweep {design.sweep}; {noun} of {listeners}"]
    width = max(len(row.name) for row in results.rows)
    lines += [f"  {row.name:<{width}}  {value_of(row, design)}" for row in results.rows]
    lines += [f"  {remark}" for remark in remarks_of(results)]
    return lines


def value_of(row: Row, design: Design) -> str:
    """Return a row's estimate as text, such as `3.42 [3.01, 3.83], 24 ratings`."""
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
    """Return the notes on the results: excluded listeners, agreement, methods, and the notes of the test."""
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


def _summarize_ratings(design: Design, answers: Sequence[StoredAnswer], counts: dict[str, int]) -> Results:
    left_out = _find_unreliable(answers)
    kept = [answer for answer in answers if answer.listener not in left_out]
    estimates = {key: _mean_of(key, kept) for key in design.systems}
    metrics = {
        judged.run_id: _metrics(words.MOS, estimates[key], "ratings")
        for key, judged in design.systems.items()
        if judged.run_id and any(answer.systems == (key,) for answer in answers)
    }
    rows = tuple(Row(judged.name, estimates[key]) for key, judged in design.systems.items())
    lines = tuple(
        f"left out: {listener} rated the hidden original {mean:.1f} on average, below {REFERENCE_FLOOR}: "
        "such ratings don't follow the scale"
        for listener, mean in left_out.items()
    )
    alpha = _agreement(design, kept)
    if alpha is not None:
        metrics[design.run_id] = {words.MOS_AGREEMENT: alpha}
    return Results(design, rows, counts, lines, alpha, metrics)


def _summarize_abx(design: Design, answers: Sequence[StoredAnswer], counts: dict[str, int]) -> Results:
    pairs = list(dict.fromkeys(item.systems for item in design.items))
    answers_by_pair = {pair: [answer for answer in answers if set(answer.systems) == set(pair)] for pair in pairs}
    answered_pairs = [pair for pair in pairs if answers_by_pair[pair]]
    p_values = [p_guessing(_num_right(answers_by_pair[pair]), len(answers_by_pair[pair])) for pair in answered_pairs]
    p_by_pair = dict(zip(answered_pairs, holm(p_values) if answered_pairs else [], strict=True))
    name_by_pair = {pair: " vs ".join(design.systems[key].name for key in pair) for pair in pairs}
    rows = tuple(Row(name_by_pair[pair], _share_of(answers_by_pair[pair]), p_by_pair.get(pair)) for pair in pairs)
    name = words.ABX_ORIGINAL if REFERENCE in design.systems else words.ABX_ACCURACY
    metrics = {
        judged.run_id: _metrics(name, share, "answers")
        for key, judged in design.systems.items()
        if judged.run_id and (share := _share_of([answer for answer in answers if key in answer.systems]))
    }
    return Results(design, rows, counts, metrics=metrics)


def _find_unreliable(answers: Sequence[StoredAnswer]) -> dict[str, float]:
    """Return the listeners whose mean rating of the hidden original is below `REFERENCE_FLOOR`, with that mean."""
    ratings: dict[str, list[int]] = {}
    for answer in answers:
        if answer.systems == (REFERENCE,):
            ratings.setdefault(answer.listener, []).append(int(answer.answer))
    means = {listener: sum(values) / len(values) for listener, values in ratings.items()}
    return {listener: mean for listener, mean in means.items() if mean < REFERENCE_FLOOR}


def _agreement(design: Design, answers: Sequence[StoredAnswer]) -> float | None:
    listeners = list(dict.fromkeys(answer.listener for answer in answers))
    items = {item.id: column for column, item in enumerate(design.items)}
    ratings = np.full((len(listeners), len(items)), np.nan)
    for answer in answers:
        ratings[listeners.index(answer.listener), items[answer.item]] = int(answer.answer)
    return agreement(ratings) if len(listeners) > 1 else None


def _mean_of(key: str, answers: Sequence[StoredAnswer]) -> Estimate | None:
    ratings = [float(answer.answer) for answer in answers if answer.systems == (key,)]
    return mean_opinion(ratings) if ratings else None


def _share_of(answers: Sequence[StoredAnswer]) -> Estimate | None:
    return share_right(_num_right(answers), len(answers)) if answers else None


def _num_right(answers: Sequence[StoredAnswer]) -> int:
    return sum(answer.right is True for answer in answers)


def _metrics(name: str, estimate: Estimate | None, noun: str) -> dict[str, float]:
    """Return the metrics of an estimate.

    They are NaN without an estimate: when a listener is excluded, a value that was logged before can't be deleted.
    """
    estimate = estimate or Estimate(math.nan, None, None, 0)
    low, high = (math.nan if end is None else end for end in (estimate.low, estimate.high))
    stem = name.removesuffix("_accuracy")
    return {name: estimate.value, f"{name}_low": low, f"{name}_high": high, f"{stem}_{noun}": float(estimate.count)}

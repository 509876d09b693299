"""The results of a listening test from its answers: estimates for systems or pairs, as text and as MLflow metrics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from reports import vocabulary as words
from reports.listening.answers import StoredAnswer
from reports.listening.bootstrap import bootstrap_means, collect_ratings
from reports.listening.design import ABX, MOS, MUSHRA, PREFER, REFERENCE, Design
from reports.listening.metric_agreement import compare_metrics
from reports.listening.mushra import summarize_mushra
from reports.listening.preferences import summarize_preferences
from reports.listening.preparation import ListeningTest
from reports.listening.statistics import Estimate, agreement, holm, mean_opinion, p_guessing, share_right
from reports.listening.tables import MetricAgreement, Results, Row, estimate_metrics
from reports.listening.votes import PairVote, earlier_votes

EXPLANATIONS = {
    MOS: "intervals: 95 %, Student's t over ratings, one for each listener and clip",
    ABX: "intervals: 95 %, Wilson; p: one-sided binomial test, Holm's adjustment for all pairs",
    MUSHRA: "intervals and p: 95 %, bootstrap over listeners and clips; Holm's adjustment for all pairs",
    PREFER: "strengths: Bradley and Terry with Davidson's ties; a system that is 1 stronger is preferred 2.7 times as "
    "often; intervals: 95 %, as if votes were independent; p: Holm's adjustment for all pairs",
}
"""How intervals and p values are computed, for each method."""
REFERENCE_FLOOR = 3.5
"""Listeners whose mean rating of the hidden original is lower are excluded (post-screening as in ITU-R BS.1534)."""


def summarize(design: Design, answers: Sequence[StoredAnswer], earlier: Sequence[PairVote] = ()) -> Results:
    """Return the results of the answers so far.

    Args:
        design: the test.
        answers: its answers.
        earlier: votes of earlier preference tests about the same trials.
    """
    counts = dict(Counter(answer.listener for answer in answers))
    if design.method == PREFER:
        return summarize_preferences(design, answers, counts, earlier)
    summarize_answers = {MOS: _summarize_ratings, ABX: _summarize_abx, MUSHRA: summarize_mushra}[design.method]
    return summarize_answers(design, answers, counts)


def summarize_test(test: ListeningTest, answers: Sequence[StoredAnswer]) -> Results:
    """Return the results of a test, which in a preference test include votes of the sweep's other preference tests."""
    is_preference = test.design.method == PREFER
    return summarize(test.design, answers, earlier_votes(test.folder.parent, test.design) if is_preference else ())


def lines_of(results: Results) -> list[str]:
    """Return the results as lines for a terminal."""
    design = results.design
    if not results.listeners and not any(row.estimate for row in results.rows):
        return [f"{design.id}: no answers yet"]
    total = design.num_answers
    listeners = ", ".join(f"{name} {count} of {total}" for name, count in results.listeners.items())
    noun = {MOS: "ratings", ABX: "answers", MUSHRA: "pages", PREFER: "votes"}[design.method]
    lines = [f"{design.id}, sweep {design.sweep}; {noun} of {listeners}"]
    width = max(len(row.name) for row in results.rows)
    lines += [f"  {row.name:<{width}}  {value_of(row, design)}" for row in results.rows]
    lines += [f"  {sentence}" for sentence in contrasts_of(results)]
    lines += [f"  {one.metric} and the listeners: {agreement_text(one)}" for one in results.metric_agreements]
    return lines + [f"  {remark}" for remark in remarks_of(results)]


def value_of(row: Row, design: Design) -> str:
    """Return a row's estimate as text, such as `3.42 [3.01, 3.83], 24 ratings`."""
    estimate = row.estimate
    if estimate is None:
        return {ABX: "no answers yet", PREFER: "no votes yet"}.get(design.method, "no ratings yet")
    if design.method == ABX:
        interval = f" [{100 * (estimate.low or 0):.0f}, {100 * (estimate.high or 0):.0f}]"
        verdict = "told apart" if row.p is not None and row.p < 0.05 else "may be guessing"
        return f"{100 * estimate.value:.0f} %{interval} right of {estimate.count}, p = {row.p:.2g}: {verdict}"
    digits = "+.2f" if design.method == PREFER else ".1f" if design.method == MUSHRA else ".2f"
    interval = f" [{estimate.low:{digits}}, {estimate.high:{digits}}]" if estimate.low is not None else ""
    value = f"{estimate.value:{digits}}{interval}"
    if design.method == PREFER:
        return f"{value}, preferred in {100 * (row.share or 0):.0f} % of {words.amount(estimate.count, 'vote')}"
    median = f", median {row.median:.0f}" if row.median is not None else ""
    return f"{value}{median}, {words.amount(estimate.count, 'rating')}"


def contrasts_of(results: Results) -> list[str]:
    """Return the differences between systems as lines, those that are certain first."""
    digits = "+.2f" if results.design.method == PREFER else "+.1f"
    ordered = sorted(results.contrasts, key=lambda contrast: contrast.p)
    return [
        f"{one.name}: {one.difference:{digits}} [{one.low:{digits}}, {one.high:{digits}}], p = {one.p:.2g}"
        + ("" if one.p < 0.05 else ": may be chance")
        for one in ordered
    ]


def agreement_text(agreement: MetricAgreement) -> str:
    """Return the agreement of a metric with the listeners, such as `Kendall's τ 0.80 [0.60, 1.00] over 5 systems`."""
    interval = f"[{agreement.low:.2f}, {agreement.high:.2f}]"
    return f"Kendall's τ {agreement.tau:.2f} {interval} over {words.amount(agreement.count, 'system')}"


def remarks_of(results: Results) -> list[str]:
    """Return the notes on the results: excluded listeners, agreement, methods, and the notes of the test."""
    remarks = [*results.left_out, *results.remarks]
    if results.agreement is not None:
        remarks.append(
            f"agreement of listeners: Krippendorff's alpha {results.agreement:.2f} (ordinal; 1 is full, 0 is chance)"
        )
    if results.metric_agreements:
        count = max(one.count for one in results.metric_agreements)
        remarks.append(
            f"intervals of Kendall's τ are about other listeners and clips; a metric that has nothing to do with the "
            f"sounds has the listeners' order of {count} systems in one of {math.factorial(count):,} cases"
        )
    return [*remarks, EXPLANATIONS[results.design.method], *results.design.notes]


def _summarize_ratings(design: Design, answers: Sequence[StoredAnswer], counts: dict[str, int]) -> Results:
    left_out = _find_unreliable(answers)
    kept = [answer for answer in answers if answer.listener not in left_out]
    estimates = {key: _mean_of(key, kept) for key in design.systems}
    metrics = {
        judged.run_id: estimate_metrics(words.MOS, estimates[key], "ratings")
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
    agreements = _compare_metrics(design, kept)
    return Results(design, rows, counts, lines, alpha, metrics, metric_agreements=agreements)


def _compare_metrics(design: Design, answers: Sequence[StoredAnswer]) -> tuple[MetricAgreement, ...]:
    """Return how each metric agrees with the mean opinion scores, once every system has one."""
    keys = [key for key, judged in design.systems.items() if judged.run_id]
    if not set(keys) <= {key for answer in answers for key in answer.systems}:
        return ()
    rated = bootstrap_means(collect_ratings(design, answers, keys), keys)
    return compare_metrics(design.metrics, keys, rated.means, rated.replicates)


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
        judged.run_id: estimate_metrics(name, share, "answers")
        for key, judged in design.systems.items()
        if judged.run_id and (share := _share_of([answer for answer in answers if key in answer.systems]))
    }
    return Results(design, rows, counts, metrics=metrics)


def _find_unreliable(answers: Sequence[StoredAnswer]) -> dict[str, float]:
    """Return the listeners whose mean rating of the hidden original is below `REFERENCE_FLOOR`, with that mean."""
    ratings: dict[str, list[int]] = {}
    for answer in answers:
        if answer.systems == (REFERENCE,):
            ratings.setdefault(answer.listener, []).append(answer.rating)
    means = {listener: sum(values) / len(values) for listener, values in ratings.items()}
    return {listener: mean for listener, mean in means.items() if mean < REFERENCE_FLOOR}


def _agreement(design: Design, answers: Sequence[StoredAnswer]) -> float | None:
    listeners = list(dict.fromkeys(answer.listener for answer in answers))
    items = {item.id: column for column, item in enumerate(design.items)}
    ratings = np.full((len(listeners), len(items)), np.nan)
    for answer in answers:
        ratings[listeners.index(answer.listener), items[answer.item]] = answer.rating
    return agreement(ratings) if len(listeners) > 1 else None


def _mean_of(key: str, answers: Sequence[StoredAnswer]) -> Estimate | None:
    ratings = [float(answer.rating) for answer in answers if answer.systems == (key,)]
    return mean_opinion(ratings) if ratings else None


def _share_of(answers: Sequence[StoredAnswer]) -> Estimate | None:
    return share_right(_num_right(answers), len(answers)) if answers else None


def _num_right(answers: Sequence[StoredAnswer]) -> int:
    return sum(answer.right is True for answer in answers)

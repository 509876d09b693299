"""The results of a MUSHRA test (ITU-R BS.1534-3): post-screening, means and medians, and paired contrasts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from reports import vocabulary as words
from reports.listening.answers import StoredAnswer
from reports.listening.bootstrap import REPLICATES, TAILS, Array, RatedSystems, bootstrap_means, collect_ratings
from reports.listening.design import ANCHOR, MID_ANCHOR, REFERENCE, Design
from reports.listening.metric_agreement import compare_metrics
from reports.listening.statistics import holm, p_guessing
from reports.listening.tables import PairContrast, Results, Row, estimate_metrics

HIGH_RATING = 90
"""The hidden original has to be rated at least as high, and the anchor of medium quality not higher."""
MAX_SHARE = 0.15
"""A listener may miss `HIGH_RATING` on this share of the pages."""
EASY_SHARE = 0.25
"""If more listeners than this rate the anchor of medium quality too high on a clip, it can't be told apart there."""
FEW_LISTENERS = 5
"""With fewer listeners the results say so. ITU-R BS.1534-3 finds 20 often enough."""


def summarize_mushra(design: Design, answers: Sequence[StoredAnswer], counts: dict[str, int]) -> Results:
    """Return the results of the answers so far, without those of listeners whom the post-screening excludes."""
    left_out = screen_listeners(answers)
    kept = [answer for answer in answers if answer.listener not in left_out]
    lines = tuple(f"left out: {listener} {reason}" for listener, reason in left_out.items())
    run_ids = [judged.run_id for judged in design.systems.values() if judged.run_id]
    if not kept:
        rows = tuple(Row(judged.name, None) for judged in design.systems.values())
        # A value that was logged before can't be deleted.
        metrics = {run_id: estimate_metrics(words.MUSHRA, None, "ratings") for run_id in run_ids if answers}
        return Results(design, rows, counts, lines, metrics=metrics)
    rated = bootstrap_means(collect_ratings(design, kept, list(design.systems)), list(design.systems))
    medians = dict(zip(rated.keys, np.nanmedian(rated.ratings, axis=(0, 1)), strict=True))
    rows = tuple(
        Row(judged.name, rated.estimate(key), median=float(medians[key])) for key, judged in design.systems.items()
    )
    metrics = {
        judged.run_id: estimate_metrics(words.MUSHRA, rated.estimate(key), "ratings")
        for key, judged in design.systems.items()
        if judged.run_id
    }
    tested = [key for key, judged in design.systems.items() if judged.run_id]
    columns = [rated.keys.index(key) for key in tested]
    agreements = compare_metrics(design.metrics, tested, rated.means[columns], rated.replicates[:, columns])
    contrasts = _compare_pairs(design, rated, tested)
    remarks = few_listeners(len({answer.listener for answer in kept}))
    return Results(design, rows, counts, lines, None, metrics, contrasts, agreements, remarks)


def few_listeners(number: int) -> tuple[str, ...]:
    """Return a caveat about intervals of one or few listeners; empty if there are enough."""
    if number == 1:
        return ("one listener: the intervals are about these clips, and say nothing about other listeners",)
    if number < FEW_LISTENERS:
        return (f"{number} listeners: too few for intervals about other listeners; take them as about these",)
    return ()


def screen_listeners(answers: Sequence[StoredAnswer]) -> dict[str, str]:
    """Return the listeners whom ITU-R BS.1534-3 excludes, each with the reason."""
    pages: dict[str, list[tuple[str, dict[str, int]]]] = {}
    for answer in answers:
        assert isinstance(answer.answer, dict)
        pages.setdefault(answer.listener, []).append((answer.clip, answer.answer))
    hard_clips = _clips_where_anchor_is_heard(pages)
    excluded = {}
    for listener, rated in pages.items():
        low = sum(ratings[REFERENCE] < HIGH_RATING for _, ratings in rated)
        high = [ratings[MID_ANCHOR] > HIGH_RATING for clip, ratings in rated if clip in hard_clips]
        if low > MAX_SHARE * len(rated):
            excluded[listener] = (
                f"rated the hidden original below {HIGH_RATING} on {low} of {words.amount(len(rated), 'page')}"
                f"{_describe_guessing([ratings for _, ratings in rated])}"
            )
        elif sum(high) > MAX_SHARE * len(rated):
            excluded[listener] = (
                f"rated the 7 kHz anchor above {HIGH_RATING} on {sum(high)} of {words.amount(len(rated), 'page')}"
            )
    return excluded


def _clips_where_anchor_is_heard(pages: dict[str, list[tuple[str, dict[str, int]]]]) -> set[str]:
    """Return the clips whose anchor of medium quality at most `EASY_SHARE` of the listeners rate too high."""
    is_high: dict[str, list[bool]] = {}
    for rated in pages.values():
        for clip, ratings in rated:
            is_high.setdefault(clip, []).append(ratings[MID_ANCHOR] > HIGH_RATING)
    # With fewer than four listeners, one of them would decide alone.
    return {clip for clip, high in is_high.items() if len(high) < 4 or sum(high) <= EASY_SHARE * len(high)}


def _describe_guessing(pages: Sequence[dict[str, int]]) -> str:
    """Return a remark if a listener does not rate the original above its low anchor more often than by chance."""
    above = sum(ratings[REFERENCE] > ratings[ANCHOR] for ratings in pages)
    if above == len(pages) or p_guessing(above, len(pages)) < 0.05:
        return ""
    return f", and above the 3.5 kHz anchor on {above}: as ratings at random would be"


def _compare_pairs(design: Design, rated: RatedSystems, tested: Sequence[str]) -> tuple[PairContrast, ...]:
    """Return the difference of each pair of the tested systems, by the same replicates as the means."""
    if np.isfinite(rated.ratings).all(axis=2).sum() < 2:
        return ()
    pairs = list(itertools.combinations([rated.keys.index(key) for key in tested], 2))
    replicates = np.stack([rated.replicates[:, first] - rated.replicates[:, second] for first, second in pairs], axis=1)
    p_values = holm([_two_sided_p(replicates[:, column]) for column in range(len(pairs))])
    intervals = np.percentile(replicates, TAILS, axis=0).T
    return tuple(
        PairContrast(
            " − ".join(design.systems[rated.keys[index]].name for index in pair),
            float(rated.means[pair[0]] - rated.means[pair[1]]),
            float(low),
            float(high),
            p,
        )
        for pair, (low, high), p in zip(pairs, intervals, p_values, strict=True)
    )


def _two_sided_p(replicates: Array) -> float:
    """Return the p value of a difference: twice the smaller share of replicates on one side of 0."""
    below, above = float((replicates <= 0).sum()), float((replicates >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (REPLICATES + 1))

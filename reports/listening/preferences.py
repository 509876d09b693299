"""The results of a preference test: attention checks, Bradley–Terry strengths, and paired contrasts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from reports import vocabulary as words
from reports.listening.answers import ANSWERS, StoredAnswer, read_answers
from reports.listening.bootstrap import REPLICATES, SEED
from reports.listening.bradley_terry import Array, PairVotes, Strengths, fit_strengths, outcome_probabilities
from reports.listening.design import ANCHOR, PREFER, REFERENCE, Design
from reports.listening.metric_agreement import compare_metrics
from reports.listening.mushra import few_listeners
from reports.listening.preparation import load_test, tests_of
from reports.listening.statistics import CONFIDENCE, Estimate, holm, p_guessing
from reports.listening.tables import PairContrast, Results, Row, estimate_metrics
from reports.listening.votes import PairVote, count_votes, votes_of

LEAST_CHECKS = 3
"""Number of answered attention checks from which on a listener can be excluded."""
MAX_WRONG = 0.25
"""A listener may fail this share of the attention checks; by chance, a third or a half of the answers are right."""
LEAST_DECISIONS = 15
"""Number of votes without ties from which on a listener is compared with the others."""
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))


@dataclass(frozen=True)
class TrialScores:
    """Strengths of trials from the votes of all preference tests of a sweep.

    Attributes:
        scores: the Bradley–Terry strength of each trial, by its number.
        votes: the number of votes about each trial.
    """

    scores: dict[int, float]
    votes: dict[int, int]


def summarize_preferences(
    design: Design, answers: Sequence[StoredAnswer], counts: dict[str, int], earlier: Sequence[PairVote]
) -> Results:
    """Return the results of the answers so far, without those of listeners who fail the attention checks.

    Args:
        design: the test.
        answers: its answers.
        counts: number of answers of each listener.
        earlier: votes of earlier tests about these systems; they are votes of the same listeners, or of others.
    """
    left_out = screen_listeners(votes_of(answers))
    keys = [key for key, judged in design.systems.items() if judged.run_id]
    votes = [
        vote
        for vote in [*votes_of(answers), *earlier]
        if vote.listener not in left_out and {vote.first, vote.second} <= set(keys)
    ]
    pair_votes = count_votes(votes, keys)
    per_system = pair_votes.wins.sum(axis=1) + pair_votes.wins.sum(axis=0) + pair_votes.ties.sum(axis=1)
    strengths = fit_strengths(pair_votes)
    estimates = dict(zip(keys, _estimates(strengths, per_system), strict=True))
    shares = (pair_votes.wins.sum(axis=1) + pair_votes.ties.sum(axis=1) / 2) / np.maximum(per_system, 1)
    rows = [
        Row(design.systems[key].name, estimates[key], share=float(share))
        for key, share in zip(keys, shares, strict=True)
    ]
    rows.sort(key=lambda row: -row.estimate.value if row.estimate else np.inf)
    metrics = {
        design.systems[key].run_id or "": estimate_metrics(words.PREFERENCE, estimates[key], "votes")
        for key in keys
        if answers
    }
    generator = np.random.default_rng(SEED)
    replicates = generator.multivariate_normal(strengths.values, strengths.covariance, REPLICATES)
    agreements = compare_metrics(design.metrics, keys, strengths.values, replicates) if per_system.all() else ()
    remarks = [*_compare_with_others(votes, keys), *few_listeners(len({vote.listener for vote in votes}))]
    if earlier:
        remarks.append(f"{words.amount(len(earlier), 'vote')} of earlier tests of these trials count, too")
    contrasts = _compare_pairs(design, keys, strengths, pair_votes)
    lines = tuple(f"left out: {listener} {reason}" for listener, reason in left_out.items())
    return Results(design, tuple(rows), counts, lines, None, metrics, contrasts, agreements, tuple(remarks))


def screen_listeners(votes: Sequence[PairVote]) -> dict[str, str]:
    """Return the listeners who fail attention checks (the original against its low anchor), each with the reason."""
    checks: dict[str, list[bool]] = {}
    for vote in votes:
        if {vote.first, vote.second} == {REFERENCE, ANCHOR}:
            checks.setdefault(vote.listener, []).append(vote.preferred == REFERENCE)
    return {
        listener: f"did not prefer the original to its 3.5 kHz anchor in {right.count(False)} of {len(right)} "
        "attention checks: as votes at random would be"
        for listener, right in checks.items()
        if len(right) >= LEAST_CHECKS and right.count(False) > MAX_WRONG * len(right)
    }


def score_trials(folder: Path) -> TrialScores:
    """Estimate the strengths of trials from all preference tests of a sweep, without listeners who fail its checks.

    Args:
        folder: the folder with all tests of the sweep.

    Raises:
        ReportError: a test or its answers can't be read.

    Returns:
        The strength and the number of votes of each trial that has votes.
    """
    votes: list[PairVote] = []
    for test_id in tests_of(folder):
        if not test_id.startswith(PREFER):
            continue
        design = load_test(folder / test_id).design
        # The original and the anchor have no trial: their votes are attention checks only. Renderings have none either.
        trial_by_key = {key: str(judged.trial) for key, judged in design.systems.items() if judged.trial is not None}
        test_votes = votes_of(read_answers(folder / test_id / ANSWERS))
        excluded = screen_listeners(test_votes)
        for vote in test_votes:
            if vote.listener not in excluded and {vote.first, vote.second} <= trial_by_key.keys():
                # None is a tie.
                preferred = None if vote.preferred is None else trial_by_key[vote.preferred]
                votes.append(PairVote(vote.listener, trial_by_key[vote.first], trial_by_key[vote.second], preferred))
    counts = Counter(trial for vote in votes for trial in (vote.first, vote.second))
    trials = sorted(counts, key=int)
    strengths: Sequence[float] = fit_strengths(count_votes(votes, trials)).values.tolist() if trials else []
    strength_by_trial = {int(trial): strength for trial, strength in zip(trials, strengths, strict=True)}
    return TrialScores(strength_by_trial, {int(trial): count for trial, count in counts.items()})


def _estimates(strengths: Strengths, per_system: Array) -> list[Estimate | None]:
    """Return each strength, relative to the mean of all, with its interval; None for systems without votes."""
    centring = np.eye(len(strengths.values)) - 1 / len(strengths.values)
    halves = Z * np.sqrt(np.diag(centring @ strengths.covariance @ centring))
    return [
        Estimate(float(value), float(value - half), float(value + half), int(count)) if count else None
        for value, half, count in zip(strengths.values, halves, per_system, strict=True)
    ]


def _compare_pairs(
    design: Design, keys: Sequence[str], strengths: Strengths, pair_votes: PairVotes
) -> tuple[PairContrast, ...]:
    """Return the differences between all pairs of systems that have votes."""
    has_votes = (pair_votes.wins + pair_votes.wins.T + pair_votes.ties).sum(axis=1) > 0
    pairs = [pair for pair in itertools.combinations(range(len(keys)), 2) if has_votes[list(pair)].all()]
    if not pairs:
        return ()
    covariance = strengths.covariance
    differences = [float(strengths.values[first] - strengths.values[second]) for first, second in pairs]
    spreads = [
        float(np.sqrt(covariance[first, first] + covariance[second, second] - 2 * covariance[first, second]))
        for first, second in pairs
    ]
    p_values = holm([float(2 * stats.norm.sf(abs(gap) / sd)) for gap, sd in zip(differences, spreads, strict=True)])
    return tuple(
        PairContrast(" − ".join(design.systems[keys[i]].name for i in pair), gap, gap - Z * sd, gap + Z * sd, p)
        for pair, gap, sd, p in zip(pairs, differences, spreads, p_values, strict=True)
    )


def _compare_with_others(votes: Sequence[PairVote], keys: Sequence[str]) -> list[str]:
    """Return a note about each listener who agrees with the others' strengths no more than guesses would."""
    notes = []
    for listener in dict.fromkeys(vote.listener for vote in votes):
        decisions = [vote for vote in votes if vote.listener == listener and vote.preferred is not None]
        others = [vote for vote in votes if vote.listener != listener]
        if len(decisions) < LEAST_DECISIONS or len(others) < LEAST_DECISIONS:
            continue
        strengths = fit_strengths(count_votes(others, keys))
        gaps = np.array([_gap(vote, keys, strengths) for vote in decisions])
        probabilities = outcome_probabilities(np.abs(gaps), float(strengths.log_tie))
        expected = (probabilities[:, 0] / (probabilities[:, 0] + probabilities[:, 2])).sum()
        agreeing = int((gaps > 0).sum())
        if p_guessing(agreeing, len(decisions)) >= 0.05 > p_guessing(round(float(expected)), len(decisions)):
            notes.append(
                f"{listener} agrees with the other listeners in {agreeing} of {len(decisions)} votes, where "
                f"{expected:.0f} are expected: this may be another taste, or votes at random"
            )
    return notes


def _gap(vote: PairVote, keys: Sequence[str], strengths: Strengths) -> float:
    """Return the others' strength of the preferred system minus that of the other one."""
    gap = float(strengths.values[keys.index(vote.first)] - strengths.values[keys.index(vote.second)])
    return gap if vote.preferred == vote.first else -gap

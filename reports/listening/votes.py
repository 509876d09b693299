"""The votes of a preference test, with those of earlier tests of the same trials."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reports.listening.answers import ANSWERS, StoredAnswer, read_answers
from reports.listening.bradley_terry import PairVotes
from reports.listening.design import PREFER, TIE, Design
from reports.listening.preparation import load_test, tests_of


@dataclass(frozen=True)
class PairVote:
    """A listener's vote about two systems.

    Attributes:
        listener: code of the listener.
        first: key of the system that was played as A.
        second: key of the system that was played as B.
        preferred: key of the better one; None if neither was better.
    """

    listener: str
    first: str
    second: str
    preferred: str | None


def votes_of(answers: Sequence[StoredAnswer]) -> list[PairVote]:
    """Return the votes that the answers of a preference test are, attention checks included."""
    votes = []
    for answer in answers:
        first, second = answer.systems
        preferred = None if answer.answer == TIE else {"a": first, "b": second}[str(answer.answer)]
        votes.append(PairVote(answer.listener, first, second, preferred))
    return votes


def earlier_votes(folder: Path, design: Design) -> list[PairVote]:
    """Return the votes of the sweep's other preference tests about trials of this one, with this one's keys.

    A trial that is in two tests links them: so the strengths of trials that are never in one test are comparable, too.

    Args:
        folder: the folder with all tests of the sweep.
        design: this test.

    Raises:
        ReportError: another test or its answers can't be read.
    """
    key_by_trial = {judged.trial: key for key, judged in design.systems.items() if judged.trial is not None}
    votes: list[PairVote] = []
    for test_id in tests_of(folder):
        if test_id == design.id or not test_id.startswith(PREFER):
            continue
        other = load_test(folder / test_id).design
        keys = {
            key: key_by_trial.get(judged.trial) for key, judged in other.systems.items() if judged.trial is not None
        }
        for vote in votes_of(read_answers(folder / test_id / ANSWERS)):
            first, second = keys.get(vote.first), keys.get(vote.second)
            if first is not None and second is not None:
                preferred = None if vote.preferred is None else keys[vote.preferred]
                votes.append(PairVote(vote.listener, first, second, preferred))
    return votes


def count_votes(votes: Sequence[PairVote], keys: Collection[str]) -> PairVotes:
    """Count the votes about the systems with these keys, in the order of the keys; other votes are left out."""
    index: Mapping[str, int] = {key: position for position, key in enumerate(keys)}
    wins, ties = np.zeros((len(index), len(index))), np.zeros((len(index), len(index)))
    for vote in votes:
        if vote.first not in index or vote.second not in index:
            continue
        first, second = index[vote.first], index[vote.second]
        if vote.preferred is None:
            ties[first, second] += 1
            ties[second, first] += 1
        else:
            loser = vote.second if vote.preferred == vote.first else vote.first
            wins[index[vote.preferred], index[loser]] += 1
    return PairVotes(wins, ties)

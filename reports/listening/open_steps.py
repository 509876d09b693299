"""The next steps of a listener: a fixed list, but in a preference test they depend on all votes so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reports.listening.answers import ANSWERS, Answers, StoredAnswer, read_answers
from reports.listening.bradley_terry import Array, plan_pairs
from reports.listening.design import CATCH_ITEMS, PREFER, Design, Step, file_session, is_catch, page_session
from reports.listening.preparation import ListeningTest
from reports.listening.votes import count_votes, earlier_votes, votes_of


def open_steps(test: ListeningTest, answers: Answers, listener: str) -> tuple[list[Step], int]:
    """Return the steps that a listener is asked next, and how many the listener has answered.

    For a preference test it is one step, because the answer changes the next one.

    Args:
        test: the test.
        answers: its stored answers.
        listener: code of the listener.
    """
    steps = test.plan(page_session(listener))
    still_open = [step for step in steps if answers.answer_of(listener, step.item.id) is None]
    done = len(steps) - len(still_open)
    if test.design.method != PREFER:
        return still_open, done
    if done >= test.design.num_answers:
        return [], done
    catches = [step for step in still_open if is_catch(step.item)]
    catches_done = sum(is_catch(step.item) for step in steps) - len(catches)
    if catches and catches_done < CATCH_ITEMS and done >= _catch_position(test.design, catches_done):
        return catches[:1], done
    pairs = [step for step in still_open if not is_catch(step.item)]
    return _choose(test, answers.stored, pairs, 1) or catches[:1], done


def steps_of_copy(test: ListeningTest, copy: str) -> list[Step]:
    """Return the steps of an exported page; a preference test's are those that say most after the votes so far.

    Args:
        test: the test.
        copy: random id of the page.
    """
    steps = test.plan(file_session(copy))
    if test.design.method != PREFER:
        return steps
    catches = [step for step in steps if is_catch(step.item)][:CATCH_ITEMS]
    pairs = [step for step in steps if not is_catch(step.item)]
    stored = read_answers(test.folder / ANSWERS)
    return _choose(test, stored, pairs, test.design.num_answers - len(catches)) + catches


def _catch_position(design: Design, catches_done: int) -> int:
    """Return after how many answers the next attention check comes: at equal distances, the first one early."""
    distance = design.num_answers / CATCH_ITEMS
    return round(distance * (catches_done + 0.5))


def _choose(test: ListeningTest, stored: Sequence[StoredAnswer], steps: Sequence[Step], number: int) -> list[Step]:
    """Choose the steps whose answers are expected to say most about the order of the systems."""
    keys = [key for key, judged in test.design.systems.items() if judged.run_id is not None]
    votes = votes_of(stored) + earlier_votes(test.folder.parent, test.design)
    index = {key: position for position, key in enumerate(keys)}
    steps_by_pair: dict[tuple[int, int], list[Step]] = {}
    for step in steps:
        first, second = sorted(index[key] for key in step.item.systems)
        steps_by_pair.setdefault((first, second), []).append(step)
    pairs = plan_pairs(count_votes(votes, keys), _available(steps_by_pair, len(keys)), number)
    return [steps_by_pair[pair].pop(0) for pair in pairs]


def _available(steps_by_pair: dict[tuple[int, int], list[Step]], num_systems: int) -> Array:
    """Return how many steps of each pair are left; shape (systems, systems), above the diagonal."""
    available = np.zeros((num_systems, num_systems))
    for (first, second), steps in steps_by_pair.items():
        available[first, second] = len(steps)
    return available

"""Promises: single properties that must hold, each with its check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Subject = TypeVar("Subject")


class Broken(Exception):
    """The error of a promise that does not hold; the message says what was found instead."""


@dataclass(frozen=True)
class Promise(Generic[Subject]):
    """One property that every subject of a kind must have.

    Attributes:
        says: the property, as a sentence.
        check: raises `Broken`, or any error of the subject itself, if a subject does not have it.
    """

    says: str
    check: Callable[[Subject], None]

    def __str__(self) -> str:
        return self.says


@dataclass(frozen=True)
class Outcome:
    """The result of checking one promise of one subject.

    Attributes:
        subject: the subject's name.
        promise: the property, as a sentence.
        problem: what was found instead; empty if the promise holds.
    """

    subject: str
    promise: str
    problem: str

    @property
    def holds(self) -> bool:
        """Whether the promise holds."""
        return not self.problem


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """A promise of a subject that has not been checked yet.

    Attributes:
        name: the subject's name in the outcome.
        subject: what is checked.
        promise: the property.
        number: the place of the promise among those of the subject, from 1 on.
        total: the number of these.
    """

    name: str
    subject: Subject
    promise: Promise[Subject]
    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.name}, {self.number} of {self.total}: {self.promise}"

    def run(self) -> Outcome:
        """Check the promise."""
        problem = ""
        try:
            self.promise.check(self.subject)
        except Broken as error:
            problem = str(error)
        except Exception as error:
            # The user's code may raise any error. The other checks still run.
            problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Outcome(self.name, self.promise.says, problem)


def list_checks(name: str, subject: Subject, promises: Sequence[Promise[Subject]]) -> list[Check[Subject]]:
    """Return the checks of promises, which run one after the other.

    Args:
        name: the subject's name in the outcomes.
        subject: what is checked.
        promises: the properties to check.
    """
    return [Check(name, subject, promise, number, len(promises)) for number, promise in enumerate(promises, start=1)]


def difference(one: Any, other: Any, path: str = "state") -> str | None:
    """Return where two nested states differ first, such as `state['epoch']`; None if they are equal.

    Tensors must have the same shape and values, to the last bit.

    Args:
        one: a tensor, a number, a string, or a dict, list or tuple of them.
        other: the state to compare it with.
        path: the name of the states in the result.
    """
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return None if torch.equal(one, other) else path
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return path
        by_key = (difference(one[key], other[key], f"{path}[{key!r}]") for key in one)
        return next(filter(None, by_key), None)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return path
        pairs = enumerate(zip(one, other, strict=True))
        by_index = (difference(*pair, f"{path}[{index}]") for index, pair in pairs)
        return next(filter(None, by_index), None)
    return None if one == other else path

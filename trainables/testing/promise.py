"""A promise: one thing that must hold, and how to find out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Subject = TypeVar("Subject")


class Broken(Exception):
    """A promise does not hold; the message says what was seen instead."""


@dataclass(frozen=True)
class Promise(Generic[Subject]):
    """One thing that must hold of every subject of a kind.

    Attributes:
        says: what holds, as a sentence.
        check: raises whatever tells that it does not: `Broken`, or what the subject itself raises.
    """

    says: str
    check: Callable[[Subject], None]

    def __str__(self) -> str:
        return self.says


@dataclass(frozen=True)
class Outcome:
    """Whether a promise holds of a subject.

    Attributes:
        subject: its name.
        promise: what was looked at.
        problem: what was seen instead; empty if it holds.
    """

    subject: str
    promise: str
    problem: str

    @property
    def holds(self) -> bool:
        return not self.problem


def outcomes(name: str, subject: Subject, promises: Sequence[Promise[Subject]]) -> Iterator[Outcome]:
    """Yield what became of each promise, one after the other."""
    for promise in promises:
        problem = ""
        try:
            promise.check(subject)
        except Broken as error:
            problem = str(error)
        except Exception as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
        yield Outcome(name, promise.says, problem)


def difference(one: Any, other: Any, path: str = "state") -> str | None:
    """Say where two nested states differ, tensors compared bit by bit; None if they are the same."""
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return None if torch.equal(one, other) else path
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return path
        return next(filter(None, (difference(one[key], other[key], f"{path}[{key!r}]") for key in one)), None)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return path
        pairs = enumerate(zip(one, other, strict=True))
        return next(filter(None, (difference(*pair, f"{path}[{index}]") for index, pair in pairs)), None)
    return None if one == other else path

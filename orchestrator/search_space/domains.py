"""The domains of searched parameters; both bounds of a domain are included.

In YAML a domain is a mapping with one key, its kind: `{loguniform: [1e-4, 3e-3]}`.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Any, ClassVar, Self, TypeGuard

from pydantic import BaseModel, ConfigDict

from orchestrator.messages import quote_value
from orchestrator.search_space.scalars import Value

LARGEST_INT = 2**53
"""The largest integer up to which floats, with which samplers compute, distinguish neighbouring integers."""


class Domain(BaseModel, ABC):
    """The values that a searched parameter can take.

    Attributes:
        kind: the key of the domain in YAML.
        form: what has to follow the key, as text for messages.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[str]
    form: ClassVar[str]

    @classmethod
    @abstractmethod
    def parse(cls, arguments: Any) -> Self | None:
        """Return the domain that a list in YAML describes; None if the list has the wrong form."""

    @abstractmethod
    def at(self, u: float) -> Value:
        """Return the value at quantile `u` in [0, 1)."""

    @abstractmethod
    def edges(self) -> tuple[Value, ...]:
        """Return the extreme values: both bounds, or each option."""

    @abstractmethod
    def takes(self, value: Value) -> bool:
        """Return whether a trial can have exactly this value; False for continuous domains."""


class Choice(Domain):
    """One of some options, all equally likely."""

    kind: ClassVar[str] = "choice"
    form: ClassVar[str] = "a list of different values"

    options: tuple[Value, ...]

    @classmethod
    def parse(cls, arguments: Any) -> Self | None:
        """Return the choice from a list of different values; None for anything else."""
        if not isinstance(arguments, list | tuple) or not arguments or not all(map(is_value, arguments)):
            return None
        return cls(options=tuple(arguments)) if len(set(arguments)) == len(arguments) else None

    def at(self, u: float) -> Value:
        """Return the option at quantile `u`."""
        return self.options[int(u * len(self.options))]

    def edges(self) -> tuple[Value, ...]:
        """Return all options."""
        return self.options

    def takes(self, value: Value) -> bool:
        """Return whether the value is an option."""
        return value in self.options

    def __str__(self) -> str:
        return f"choice {quote_value(list(self.options))}"


class _Interval(Domain):
    """Numbers from `low` to `high`."""

    form: ClassVar[str] = "[low, high] with low < high"

    low: float
    high: float

    @classmethod
    def parse(cls, arguments: Any) -> Self | None:
        if not isinstance(arguments, list | tuple) or len(arguments) != 2 or not all(map(is_number, arguments)):
            return None
        return cls(low=arguments[0], high=arguments[1]) if cls._allows(*arguments) else None

    @classmethod
    def _allows(cls, low: float, high: float) -> bool:
        return low < high

    def edges(self) -> tuple[Value, ...]:
        return self.low, self.high

    def takes(self, value: Value) -> bool:
        return False

    def __str__(self) -> str:
        return f"{self.kind} [{self.low:g}, {self.high:g}]"


class Uniform(_Interval):
    """Every number between the bounds is equally likely."""

    kind: ClassVar[str] = "uniform"

    def at(self, u: float) -> Value:
        """Return the number at quantile `u`."""
        return self.low + u * (self.high - self.low)


class LogUniform(_Interval):
    """Every order of magnitude between the bounds is equally likely."""

    kind: ClassVar[str] = "loguniform"
    form: ClassVar[str] = "[low, high] with 0 < low < high"

    @classmethod
    def _allows(cls, low: float, high: float) -> bool:
        return 0 < low < high

    def at(self, u: float) -> Value:
        """Return the number at quantile `u`."""
        return _log_between(self.low, self.high, u)


class QUniform(_Interval):
    """`low`, `low + q`, …, `high`, all equally likely."""

    kind: ClassVar[str] = "quniform"
    form: ClassVar[str] = "[low, high, q] with low < high and a whole number of steps q between them"

    q: float

    @classmethod
    def parse(cls, arguments: Any) -> Self | None:
        """Return the domain from two bounds and a step that divides their difference; None for anything else."""
        if not isinstance(arguments, list | tuple) or len(arguments) != 3 or not all(map(is_number, arguments)):
            return None
        low, high, q = (Decimal(repr(argument)) for argument in arguments)
        if not (low < high and 0 < q and (high - low) % q == 0):
            return None
        return cls(low=arguments[0], high=arguments[1], q=arguments[2])

    def at(self, u: float) -> Value:
        """Return the number of the grid at quantile `u`."""
        # Computed in decimals, so that the result is 0.3 and not 0.30000000000000004.
        low, high, q = (Decimal(repr(number)) for number in (self.low, self.high, self.q))
        return float(low + int(u * (int((high - low) / q) + 1)) * q)

    def takes(self, value: Value) -> bool:
        """Return whether the value is on the grid, within the bounds."""
        return is_number(value) and self.low <= value <= self.high and self._is_on_grid(value)

    def _is_on_grid(self, value: float) -> bool:
        return (Decimal(repr(value)) - Decimal(repr(self.low))) % Decimal(repr(self.q)) == 0

    def __str__(self) -> str:
        return f"{self.kind} [{self.low:g}, {self.high:g}, {self.q:g}]"


class _WholeInterval(Domain):
    """Whole numbers from `low` to `high`."""

    form: ClassVar[str] = "[low, high], whole numbers with low < high"

    low: int
    high: int

    @classmethod
    def parse(cls, arguments: Any) -> Self | None:
        if not isinstance(arguments, list | tuple) or len(arguments) != 2 or not all(map(_is_whole, arguments)):
            return None
        low, high = map(int, arguments)
        return cls(low=low, high=high) if cls._allows(low, high) else None

    @classmethod
    def _allows(cls, low: int, high: int) -> bool:
        return low < high

    def edges(self) -> tuple[Value, ...]:
        return self.low, self.high

    def takes(self, value: Value) -> bool:
        return _is_whole(value) and self.low <= int(value) <= self.high

    def __str__(self) -> str:
        return f"{self.kind} [{self.low}, {self.high}]"


class Int(_WholeInterval):
    """Every whole number between the bounds is equally likely."""

    kind: ClassVar[str] = "int"

    def at(self, u: float) -> Value:
        """Return the integer at quantile `u`."""
        return self.low + int(u * (self.high - self.low + 1))


class LogInt(_WholeInterval):
    """Whole numbers, every order of magnitude equally likely."""

    kind: ClassVar[str] = "logint"
    form: ClassVar[str] = "[low, high], whole numbers with 0 < low < high"

    @classmethod
    def _allows(cls, low: int, high: int) -> bool:
        return 0 < low < high

    def at(self, u: float) -> Value:
        """Return the integer at quantile `u`."""
        # Half a step more on both sides, so that the bounds are as likely as other values after rounding.
        rounded = math.floor(_log_between(self.low - 0.5, self.high + 0.5, u) + 0.5)
        return min(max(rounded, self.low), self.high)


KINDS: dict[str, type[Domain]] = {cls.kind: cls for cls in (Choice, Uniform, LogUniform, QUniform, Int, LogInt)}


def is_value(candidate: Any) -> TypeGuard[Value]:
    """Return whether an object is a string, a bool or a finite number."""
    return isinstance(candidate, str | bool) or is_number(candidate)


def is_number(candidate: Any) -> TypeGuard[float]:
    """Return whether an object is a finite number; bools are not."""
    is_numeric = isinstance(candidate, int | float) and not isinstance(candidate, bool)
    return is_numeric and abs(candidate) <= sys.float_info.max


def _is_whole(candidate: Any) -> bool:
    return is_number(candidate) and abs(candidate) <= LARGEST_INT and candidate == int(candidate)


def _log_between(low: float, high: float, u: float) -> float:
    """Return the quantile `u` of the log-uniform distribution between two bounds."""
    return min(max(math.exp(math.log(low) + u * (math.log(high) - math.log(low))), low), high)

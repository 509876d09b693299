"""Mistakes in what a user wrote: where, what was given, what is allowed, what is nearest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import SearchSpaceError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

KeyPath = tuple[str | int, ...]
"""Keys and list indices that lead from the top of a file to a value: `("arms", 0, "params", "lr")`."""


@dataclass(frozen=True)
class Place:
    """Where something was written.

    Attributes:
        source: the file as the user named it, or the option (`--set budget.hours=2`).
        line: from 1 on; 0 in an option.
        column: from 1 on; 0 in an option.
        folder: what relative paths written here are relative to.
        preset: the preset that it belongs to.
    """

    source: str
    line: int
    column: int
    folder: Path
    preset: str | None = None

    @property
    def is_laid_over(self) -> bool:
        """Whether a preset or an option wrote it, not the file itself."""
        return not self.line or self.preset is not None

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Mistake:
    """One line for the user; `key` is the path within the file."""

    place: Place
    key: str
    message: str

    def __str__(self) -> str:
        # An option shows its key already.
        key = f"{self.key}: " if self.key and self.place.line else ""
        return f"{self.place}: {key}{self.message}"


class Complain(Protocol):
    """How a check says what is wrong with the value at a path, or with its key."""

    def __call__(self, path: KeyPath, message: str, *, at_key: bool = False) -> None: ...


@dataclass
class Mistakes:
    """All that is wrong with a search space, each thing once, said together."""

    found: set[Mistake] = field(default_factory=set)

    def raise_if_any(self) -> None:
        if self.found:
            raise SearchSpaceError([str(mistake) for mistake in sorted(self.found, key=_by_place)])


def _by_place(mistake: Mistake) -> tuple[bool, str, int, int, str, str]:
    place = mistake.place
    return not place.line, place.source, place.line, place.column, mistake.key, mistake.message


def dotted(path: KeyPath) -> str:
    """A path as `--set` and messages write it: `arms.0.params.lr`."""
    return ".".join(map(str, path))


def nearest(misspelling: object, allowed: Iterable[object]) -> str:
    """` (did you mean 'x'?)` for what may have been meant, else nothing."""
    close = difflib.get_close_matches(str(misspelling), [str(option) for option in allowed], n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def nearest_file(path: Path) -> str:
    """` (did you mean 'x.yaml'?)` for a file beside the one that is missing, of the same kind; else nothing.

    The suffix, which all of them have, makes no name more alike.
    """
    stems = sorted(neighbour.stem for neighbour in path.parent.glob(f"*{path.suffix}"))
    close = difflib.get_close_matches(path.stem, stems, n=1)
    return f" (did you mean {close[0] + path.suffix!r}?)" if close else ""


def shown(value: object, limit: int = 80) -> str:
    """A value as a message quotes it: on one line, shortened."""
    words = {True: "true", False: "false", None: "nothing"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


RULES = {
    "int_type": "needs a whole number",
    "int_parsing": "needs a whole number",
    "int_from_float": "needs a whole number",
    "float_type": "needs a number",
    "float_parsing": "needs a number",
    "finite_number": "needs a finite number",
    "bool_type": "needs true or false",
    "bool_parsing": "needs true or false",
    "string_type": "needs text",
    "dict_type": "needs a mapping {{key: value, …}}",
    "model_type": "needs a mapping {{key: value, …}}",
    "model_attributes_type": "needs a mapping {{key: value, …}}",
    "tuple_type": "needs a list",
    "list_type": "needs a list",
    "string_pattern_mismatch": "needs text that matches {pattern}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}
"""Pydantic's error types in our words."""


def describe(error: ErrorDetails) -> str:
    """One of pydantic's errors in our words: the rule, what was given, the nearest match."""
    context = error.get("ctx", {})
    if error["type"] == "missing":
        return f"{error['loc'][-1]!r} is missing"
    if "error" in context:  # raised by a validator, which says it all
        return str(context["error"])
    limits = {key: f"{value:g}" if isinstance(value, float) else value for key, value in context.items()}
    rule = RULES[error["type"]].format(**limits) if error["type"] in RULES else error["msg"]
    options = re.findall(r"'([^']*)'", context.get("expected", ""))
    return f"{rule}, got {shown(error['input'])}{nearest(error['input'], options)}"

"""Messages about mistakes in a user's input: where it is, what was given, what is allowed, the nearest match."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import SearchSpaceError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

KeyPath = tuple[str | int, ...]
"""The keys and list indices from the top of a file to a value: `("arms", 0, "params", "lr")`."""


@dataclass(frozen=True)
class Place:
    """The place in a file, or the option of a command, where a user wrote a value.

    Attributes:
        source: the file as the user named it, or the option (`--set budget.hours=2`).
        line: the line, from 1 on; 0 in an option.
        column: the column, from 1 on; 0 in an option.
        folder: the folder to which a relative path at this place is relative.
        preset: the preset that the value belongs to, if any.
    """

    source: str
    line: int
    column: int
    folder: Path
    preset: str | None = None

    @property
    def is_override(self) -> bool:
        """Whether the value comes from a preset or an option that overrides the file."""
        return not self.line or self.preset is not None

    def __str__(self) -> str:
        """Return `file:line:column`, or the option."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Mistake:
    """One mistake in a search space.

    Attributes:
        place: where it is.
        key: the path of the value within the file, with dots.
        message: what is wrong.
    """

    place: Place
    key: str
    message: str

    def __str__(self) -> str:
        """Return the mistake as one line for the user."""
        # The text of an option contains the key.
        key = f"{self.key}: " if self.key and self.place.line else ""
        return f"{self.place}: {key}{self.message}"


class Complain(Protocol):
    """A function with which a check records a mistake."""

    def __call__(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Record a mistake.

        Args:
            path: the path of the wrong value.
            message: what is wrong with it.
            at_key: whether the key is wrong, not the value.
        """


@dataclass
class Mistakes:
    """All mistakes of a search space, collected so that one error reports them together, each once.

    Attributes:
        entries: the mistakes.
    """

    entries: set[Mistake] = field(default_factory=set)

    def raise_if_any(self) -> None:
        """Raise a `SearchSpaceError` with all mistakes, sorted by place, if there are any."""
        if self.entries:
            raise SearchSpaceError([str(mistake) for mistake in sorted(self.entries, key=_sort_key)])


def _sort_key(mistake: Mistake) -> tuple[bool, str, int, int, str, str]:
    """Return a key that sorts mistakes by place, those in options last."""
    place = mistake.place
    return not place.line, place.source, place.line, place.column, mistake.key, mistake.message


def join_path(path: KeyPath) -> str:
    """Return a path as `--set` and messages write it: `arms.0.params.lr`."""
    return ".".join(map(str, path))


def suggest_option(misspelling: object, allowed: Iterable[object]) -> str:
    """Return ` (did you mean 'x'?)` with the allowed value that is most like the given one; "" if none is like it."""
    close = find_similar(misspelling, allowed)
    return f" (did you mean {close!r}?)" if close else ""


def find_similar(misspelling: object, allowed: Iterable[object]) -> str:
    """Return the allowed value that is most like the given one; "" if none is like it."""
    close = difflib.get_close_matches(str(misspelling), [str(option) for option in allowed], n=1, cutoff=0.5)
    return close[0] if close else ""


MAX_LISTED = 12
"""A message lists at most this many names; if there are more, only those most like the given one."""
MAX_NEAREST = 5


def find_nearest(misspelling: str, descriptions: Mapping[str, str]) -> list[str]:
    """Return the names that may have been meant, the likeliest first: by their spelling, or by their descriptions.

    Args:
        misspelling: what was given, such as `learning_rate`.
        descriptions: the description of each allowed name; it may be empty.
    """
    words = misspelling.replace("_", " ").lower()
    described = {name: text.lower().find(words) for name, text in descriptions.items() if words in text.lower()}
    longer = [name for name in descriptions if misspelling in name]
    alike = [difflib.get_close_matches(misspelling, descriptions, MAX_NEAREST, cutoff) for cutoff in (0.75, 0.5)]
    by_words = sorted(described, key=described.__getitem__)
    return list(dict.fromkeys([*alike[0], *longer, *by_words, *alike[1]]))[:MAX_NEAREST]


def suggest_name(misspelling: str, descriptions: Mapping[str, str], heading: str, place: str) -> str:
    """Return the part of a message that says which names are allowed: all, or if they are many, the nearest.

    Args:
        misspelling: what was given.
        descriptions: the description of each allowed name; it may be empty.
        heading: the text before the list, such as `it has`.
        place: where all of them are listed.
    """
    nearest = find_nearest(misspelling, descriptions)
    meant = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    if len(descriptions) <= MAX_LISTED:
        return f"{meant}; {heading}: {', '.join(descriptions) or 'none'}"
    others = f"; also near: {', '.join(nearest[1:])}" if len(nearest) > 1 else ""
    return f"{meant}{others}; all {len(descriptions)}: {place}"


YAML_SUFFIXES = (".yaml", ".yml")


def suggest_file(path: Path) -> str:
    """Return ` (did you mean 'x.yaml'?)` with the file whose name is most like a missing one's; "" if there is none.

    Only files in the same folder with the same suffix are considered; `.yml` and `.yaml` count as one.
    """
    suffixes = YAML_SUFFIXES if path.suffix in YAML_SUFFIXES else (path.suffix,)
    # Stems are compared, because the common suffix would make all names alike.
    names = {neighbour.stem: neighbour.name for suffix in suffixes for neighbour in path.parent.glob(f"*{suffix}")}
    close = difflib.get_close_matches(path.stem, sorted(names), n=1)
    return f" (did you mean {names[close[0]]!r}?)" if close else ""


def quote_value(value: object, limit: int = 80) -> str:
    """Return a value as text for a message: on one line, with at most `limit` characters."""
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
"""The rule that each of pydantic's error types stands for, with pydantic's names of limits in braces."""


def describe(error: ErrorDetails) -> str:
    """Return the message for one of pydantic's errors: the rule, what was given, the nearest match."""
    context = error.get("ctx", {})
    if error["type"] == "missing":
        return f"{error['loc'][-1]!r} is missing"
    if "error" in context:
        # A validator of ours raised it, with a complete message.
        return str(context["error"])
    limits = dict(context)
    for key, value in context.items():
        if isinstance(value, float):
            limits[key] = f"{value:g}"
    rule = RULES[error["type"]].format(**limits) if error["type"] in RULES else error["msg"]
    options = re.findall(r"'([^']*)'", context.get("expected", ""))
    return f"{rule}, got {quote_value(error['input'])}{suggest_option(error['input'], options)}"

"""The valid parts of a search space with mistakes, which can be checked further."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from orchestrator.messages import KeyPath
from orchestrator.search_space.schema import SearchSpace

STAND_INS: dict[str, Any] = {
    "name": "unnamed",
    "trainable": "unknown",
    "objective": {"metric": "unknown", "mode": "min"},
    "budget": {"trials_per_arm": 1, "max_epochs": 2**31},
}
"""Values of required keys for a file that lacks them, so that its other keys can be checked too."""


@dataclass(frozen=True)
class ValidParts:
    """The valid parts of a file.

    Attributes:
        space: their models, with `STAND_INS` for required keys that are missing or wrong.
        skipped_sections: top-level keys that are missing or have a wrong form; wrong entries of `params` and `compare`
            are left out one by one instead.
        skipped_params: names of parameters whose entry has a wrong form and was left out.
    """

    space: SearchSpace
    skipped_sections: set[str]
    skipped_params: set[str | int]


def keep_valid_parts(tree: dict[str, Any], wrong_paths: Iterable[KeyPath]) -> ValidParts:
    """Remove the parts of a file that have a wrong form, and return the models of the others.

    Args:
        tree: the file as plain mappings, lists and scalars; it is changed.
        wrong_paths: the paths in it of all values that the models refuse.
    """
    skipped_sections: set[str] = set()
    skipped_params: set[str | int] = set()
    for path in wrong_paths:
        part = removable_part(path)
        _remove(tree, part)
        if len(part) > 1 and part[0] in ("params", "compare"):
            skipped_params.update(part[1:])
        else:
            skipped_sections.update(part[:1])
    try:
        return ValidParts(_fill_in(tree, skipped_sections), skipped_sections, skipped_params)
    except ValidationError as error:
        # A section without a required key is left out as a whole.
        sections = {str(details["loc"][0]) for details in error.errors()}
    skipped_sections |= sections
    rest = {key: value for key, value in tree.items() if key not in sections}
    return ValidParts(_fill_in(rest, skipped_sections), skipped_sections, skipped_params)


def _fill_in(tree: dict[str, Any], skipped_sections: set[str]) -> SearchSpace:
    """Return the models of a file with `STAND_INS` for missing required keys; add these to `skipped_sections`."""
    skipped_sections |= STAND_INS.keys() - tree.keys()
    return SearchSpace.model_validate({**STAND_INS, **tree})


def removable_part(path: KeyPath) -> tuple[str, ...]:
    """Return the path of the smallest part of a file that can be removed because of a mistake at `path`.

    That is a whole parameter, a whole list (the indices of other items must not change), or a whole comparison (with an
    arm less there would be other mistakes).
    """
    names = tuple(str(part) for part in itertools.takewhile(lambda part: isinstance(part, str), path))
    match names:
        case ("params", name, *_):
            return ("params", name)
        case ("compare", key, bundle, name, *_):
            return ("compare", key, bundle, name)
        case ("compare", key, *_):
            return ("compare", key)
    return names


def _remove(tree: dict[str, Any], path: tuple[str, ...]) -> None:
    """Remove the value at a path from a tree, if it is still there."""
    for key in path[:-1]:
        tree = tree.get(key, {})
    if path:
        tree.pop(path[-1], None)

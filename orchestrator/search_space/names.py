"""Which names a search space may give: to its sweep, which names a folder, and to parameters, which MLflow stores."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from orchestrator.messages import Complain, KeyPath, quote_value
from reports.vocabulary import PARAM_SEED

if TYPE_CHECKING:
    from orchestrator.search_space.schema import SearchSpace

SWEEP_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
MAX_SWEEP_CHARACTERS = 100
"""A sweep's name is part of file names, for which file systems have 255 bytes."""
TAKEN = ("artifacts", "cache", "corpora", "listening", "mlflow.db", "reports", "ui.log")
"""What a home keeps beside the folders of its sweeps."""
MAX_PARAM_CHARACTERS = 250
"""MLflow's MAX_ENTITY_KEY_LENGTH."""


def check_sweep_name(name: str) -> str:
    """Return the name of a sweep, if it can name a folder beside the others of a home.

    Raises:
        ValueError: it can't; the message says why.
    """
    if not re.fullmatch(SWEEP_NAME, name):
        raise ValueError(
            f"needs letters, digits, '.', '_' and '-' only, a letter or digit first, got {quote_value(name)}"
        )
    if len(name) > MAX_SWEEP_CHARACTERS:
        raise ValueError(f"needs at most {MAX_SWEEP_CHARACTERS} characters, got {len(name)}: {quote_value(name)}")
    # Some file systems don't tell capitals from small letters, and sqlite has files named mlflow.db-….
    if name.lower() in TAKEN or name.lower().startswith("mlflow.db-"):
        raise ValueError(f"{name!r} is taken by the home itself, as are {', '.join(TAKEN)}; choose another name")
    return name


def param_problem(name: str) -> str | None:
    """Say why MLflow can't store a param of this name; None if it can.

    The rules are those of `mlflow.utils.validation`, which takes a second to import.
    """
    if name == PARAM_SEED:
        return f"{name!r} is the seed that every trial has in MLflow; choose another name"
    # Windows forbids the colon too, but the server may run elsewhere.
    if not re.fullmatch(r"[/\w.\- :]+", name):
        return (
            f"MLflow stores no param named {quote_value(name)}; a name has letters, digits, spaces and _ - . : / only"
        )
    if posixpath.normpath(name) != name or name == "." or name.startswith(("/", "..")):
        return f"MLflow stores no param named {quote_value(name)}; between slashes a name needs more than dots"
    if len(name) > MAX_PARAM_CHARACTERS:
        return f"MLflow stores names of at most {MAX_PARAM_CHARACTERS} characters, got {len(name)}: {quote_value(name)}"
    return None


def check_params(space: SearchSpace, complain: Complain) -> set[str]:
    """Check the name of everything that a trial has in MLflow as a param; return the names that are refused."""
    bundled = [
        ("compare", key, bundle, name)
        for key, comparison in space.compare.items()
        if isinstance(comparison, dict)
        for bundle, parameters in comparison.items()
        for name in parameters
    ]
    changed = [("arms", index, "params", name) for index, change in enumerate(space.arms) for name in change.params]
    sections = (("compare", space.compare), ("params", space.params), ("evaluate", space.evaluate))
    paths: list[KeyPath] = [(section, name) for section, names in sections for name in names]
    refused = set()
    for path in (*paths, *bundled, *changed):
        name = str(path[-1])
        if problem := param_problem(name):
            complain(path, problem, at_key=True)
            refused.add(name)
    return refused

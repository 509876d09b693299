"""Checks of the names in a search space: of the sweep, which names a folder, and of parameters, which MLflow stores."""

from __future__ import annotations

import posixpath
import re

from orchestrator.messages import quote_value
from reports.vocabulary import PARAM_SEED

SWEEP_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
MAX_SWEEP_CHARACTERS = 100
"""A sweep's name is a part of file names, which may have 255 bytes on most file systems."""
RESERVED = ("artifacts", "cache", "code", "corpora", "listening", "mlflow.db", "reports", "shared", "ui.log")
"""Names of other files and folders in a home, and of what all sweeps of an object store share."""
MAX_PARAM_CHARACTERS = 250
"""MLflow's MAX_ENTITY_KEY_LENGTH."""


def check_sweep_name(name: str) -> str:
    """Return the name of a sweep if it can name a folder.

    Raises:
        ValueError: it can't; the message says why.
    """
    if not re.fullmatch(SWEEP_NAME, name):
        raise ValueError(
            f"needs letters, digits, '.', '_' and '-' only, a letter or digit first, got {quote_value(name)}"
        )
    if len(name) > MAX_SWEEP_CHARACTERS:
        raise ValueError(f"needs at most {MAX_SWEEP_CHARACTERS} characters, got {len(name)}: {quote_value(name)}")
    return name


def reservation_problem(name: str) -> str | None:
    """Return why a new sweep can't have a name that can name a folder; None if it can."""
    # Some file systems ignore case, and SQLite makes files named mlflow.db-….
    if name.lower() in RESERVED or name.lower().startswith("mlflow.db-"):
        return (
            f"{name!r} is reserved for files of the home or the store, as are {', '.join(RESERVED)}; choose another "
            "name"
        )
    return None


def param_problem(name: str) -> str | None:
    """Return why MLflow can't store a param of this name; None if it can.

    The rules are copied from `mlflow.utils.validation`, which takes a second to import.
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

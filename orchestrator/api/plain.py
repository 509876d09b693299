"""Values from Python as the plain values that a search space in YAML can have."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import UserError


def to_plain(value: Any) -> Any:
    """Return a value with lists for tuples, text for paths, Python's numbers for numpy's, and files for classes.

    Raises:
        UserError: a class is not defined in a file.
    """
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, type):
        return _file_of(value)
    # Scalars of numpy are no numbers of Python.
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 else value


def _file_of(trainable: type) -> str:
    """Return the file that defines a class, which the workers import."""
    # A worker that imported the script of this session would start the sweep once more.
    file = None if trainable.__module__ == "__main__" else inspect.getsourcefile(trainable)
    if file is None:
        raise UserError(
            f"{trainable.__name__}: is defined in this session, and the processes of the trials import a file; write "
            f"the class into one, such as {trainable.__name__.lower()}.py, and import it from there"
        )
    return str(Path(file).resolve())

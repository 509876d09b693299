"""Values from Python as the plain values that a search space in YAML can have."""

from __future__ import annotations

import contextlib
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
        return _find_source_path(value)
    # A numpy scalar is not a Python number, so it is converted.
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 else value


def _find_source_path(trainable: type) -> str:
    """Return the absolute path of the file that defines a class: workers import it."""
    # A worker that imported the script of this session would start the sweep once more.
    file = None
    if trainable.__module__ != "__main__":
        # A built-in class has no file.
        with contextlib.suppress(TypeError):
            file = inspect.getsourcefile(trainable)
    if file is None:
        raise UserError(
            f"{trainable.__name__}: is not defined in a file, but each trial imports its trainable from one; write the "
            f"class into a file, such as {trainable.__name__.lower()}.py, and import it from there"
        )
    return str(Path(file).resolve())

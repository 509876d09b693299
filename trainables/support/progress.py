"""The progress callback."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""A callback that work of more than a second calls as `progress(what, done, total)`."""


def silent(what: str, done: int, total: int) -> None:
    """Ignore the progress of work that nobody watches."""

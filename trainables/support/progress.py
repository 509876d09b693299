"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)` by work that takes longer than a second."""


def silent(what: str, done: int, total: int) -> None:
    """The progress of work that nobody watches."""

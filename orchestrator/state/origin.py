"""The trial of another sweep from which a trial has its epochs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from reports import vocabulary as words


@dataclass(frozen=True)
class Origin:
    """The trial of another sweep from which a trial has its epochs; the event `Linked` describes the attributes."""

    sweep: str
    number: int
    ids: tuple[str, ...]
    run: str | None
    epochs: int

    @property
    def name(self) -> str:
        """The sweep and the number, such as `vae/7`."""
        return f"{self.sweep}/{self.number}"


def linked_line(origins: Collection[Origin | None]) -> str | None:
    """Return a sentence about the trials that have their epochs from other sweeps; None if there are none.

    Args:
        origins: the origin of every trial of a sweep; None for one that was trained.
    """
    linked = [origin for origin in origins if origin is not None]
    if not linked:
        return None
    sweeps = ", ".join(dict.fromkeys(origin.sweep for origin in linked))
    verb = "was" if len(linked) == 1 else "were"
    spared = words.amount(sum(origin.epochs for origin in linked), "epoch")
    return f"{len(linked)} of {words.amount(len(origins), 'trial')} {verb} reused from {sweeps}: {spared} spared."

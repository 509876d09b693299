"""What a decoder returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Decoded:
    """The items of a recording, such as clips, or the reason why there are none.

    Attributes:
        items: the items; the first axis is over them.
        starts_s: the start of each item in the recording's file.
        problem: why there are no items; empty if there are some.
        is_passing: whether the problem may be gone next time, such as a file server that does not answer.
    """

    items: NDArray[Any]
    starts_s: tuple[float, ...]
    problem: str = ""
    is_passing: bool = False


def can_be_read(path: Path) -> bool:
    """Return whether the bytes of a file can be read; if not, the disk or a permission is at fault, and may change."""
    try:
        with path.open("rb") as file:
            while file.read(CHUNK_BYTES):
                pass
    except OSError:
        return False
    return True

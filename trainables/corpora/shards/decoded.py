"""What a decoder returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Decoded:
    """The items of a recording, such as clips, or the reason why there are none.

    Attributes:
        items: the items; the first axis is over them.
        starts_s: the start of each item in the recording's file.
        problem: why there are no items; empty if there are some.
    """

    items: NDArray[Any]
    starts_s: tuple[float, ...]
    problem: str = ""

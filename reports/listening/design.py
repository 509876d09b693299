"""What a listening test consists of, and what each listener gets: the order, the roles of A, B and X, the tokens.

All of that follows from the test's secret, so that nothing has to be remembered of a listener but the answers, and a
token that nobody gave out can't be made up.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

Method = Literal["mos", "abx"]
MOS: Final = "mos"
"""Absolute category rating by ITU-T P.800: one sound at a time, from 1 to 5."""
ABX: Final = "abx"
"""X is A or B: can two systems be told apart?"""

REFERENCE: Final = "reference"
"""Key of the original among the systems."""
ANCHOR: Final = "anchor"
"""Key of the low anchor among the systems."""
SCALE: Final = {1: "Bad", 2: "Poor", 3: "Fair", 4: "Good", 5: "Excellent"}
"""The words of ITU-T P.800."""
ABX_ANSWERS: Final = ("a", "b")
MAX_ITEMS = {MOS: 100, ABX: 80}
"""Answers of one listener, about a quarter of an hour; with more systems there are fewer clips."""
ENOUGH_ABX = 40
"""Answers of one listener: fewer clips than that are heard several times."""
ROLES = (("a", "a"), ("a", "b"), ("b", "a"), ("b", "b"))
"""Which slot the first system of a pair has, and which slot X repeats; each as often as the others."""


class Judged(BaseModel):
    """A system as the test knows it; the original and the anchor have no run."""

    model_config = ConfigDict(frozen=True)
    name: str
    run_id: str | None = None


class Item(BaseModel):
    """One question: a system to be rated, or a pair of them to be told apart.

    Attributes:
        id: says nothing of clip and systems.
        systems: keys.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    clip: str
    systems: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """An item as one listener gets it.

    Attributes:
        slots: the system that is heard as `sound`, or as `a`, `b` and `x`.
        token: proves that this test asked this listener.
    """

    item: Item
    slots: dict[str, str]
    token: str

    @property
    def right(self) -> str | None:
        """The slot that X repeats; None where nothing is right or wrong."""
        return (
            next((slot for slot in ABX_ANSWERS if self.slots[slot] == self.slots["x"]), None) if self.is_abx else None
        )

    @property
    def is_abx(self) -> bool:
        return "x" in self.slots


class Design(BaseModel):
    """A listening test without its secret.

    Attributes:
        id: follows from method, systems and sounds: the same question gives the same test.
        run_id: of the sweep's own run.
        systems: by key.
        sounds: names of files, by clip and key.
        notes: what a reader of the results has to know, a line each.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    method: Method
    sweep: str
    run_id: str
    systems: dict[str, Judged]
    clips: tuple[str, ...]
    items: tuple[Item, ...]
    sounds: dict[str, dict[str, str]]
    notes: tuple[str, ...] = ()

    def item(self, item_id: str) -> Item | None:
        return next((item for item in self.items if item.id == item_id), None)


def page_session(listener: str) -> str:
    """What the tokens are bound to that a listener gets from the server."""
    return f"listener {listener}"


def file_session(copy: str) -> str:
    """What the tokens are bound to that an exported file carries; whoever gets it chooses the code."""
    return f"copy {copy}"


def plan(design: Design, secret: bytes, session: str) -> list[Step]:
    """All items in the order and the roles of one listener, or of one exported file."""
    items = sorted(design.items, key=lambda item: _digest(secret, "order", session, item.id))
    roles = _roles(design, secret, session) if design.method == ABX else {}
    return [
        Step(
            item,
            _abx_slots(item, roles[item.id]) if roles else {"sound": item.systems[0]},
            token_of(design, secret, session, item.id),
        )
        for item in items
    ]


def token_of(design: Design, secret: bytes, session: str, item_id: str) -> str:
    """What only who knows the secret can make: the proof that this item was asked in this session."""
    return _digest(secret, "token", design.id, session, item_id)


def make_items(method: Method, secret: bytes, clips: Sequence[str], groups: Sequence[tuple[str, ...]]) -> list[Item]:
    """An item for each clip and each system, or pair of systems; pairs of few clips come several times."""
    rounds = max(1, round(ENOUGH_ABX / (len(clips) * len(groups)))) if method == ABX else 1
    return [
        Item(id=_digest(secret, "item", clip, *keys, str(number))[:16], clip=clip, systems=keys)
        for number, clip, keys in itertools.product(range(rounds), clips, groups)
    ]


def choose_clips(method: Method, clips: Sequence[str], groups: int) -> list[str]:
    """As many clips as a listener has patience for, spread evenly, since neighbours are of one class."""
    number = min(len(clips), max(1, MAX_ITEMS[method] // groups))
    return [clips[index * len(clips) // number] for index in range(number)]


def _roles(design: Design, secret: bytes, session: str) -> dict[str, tuple[str, str]]:
    """Balanced within every pair: what differs between listeners is which clips get which roles."""
    roles: dict[str, tuple[str, str]] = {}
    for keys in dict.fromkeys(item.systems for item in design.items):
        of_pair = [item.id for item in design.items if item.systems == keys]
        of_pair.sort(key=lambda item_id: _digest(secret, "role", session, item_id))
        first = int(_digest(secret, "first", session, *keys), 16)
        roles |= {item_id: ROLES[(first + index) % len(ROLES)] for index, item_id in enumerate(of_pair)}
    return roles


def _abx_slots(item: Item, role: tuple[str, str]) -> dict[str, str]:
    place, repeated = role
    slots = dict(zip(ABX_ANSWERS, item.systems if place == "a" else item.systems[::-1], strict=True))
    return slots | {"x": slots[repeated]}


def _digest(secret: bytes, *parts: str) -> str:
    return hmac.new(secret, json.dumps(parts).encode(), hashlib.sha256).hexdigest()

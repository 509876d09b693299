"""The items of a listening test, and each listener's session: order of items, roles of A, B and X, and tokens.

A session is computed from the test's secret. So only answers have to be stored, and tokens can't be forged.
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
"""Absolute category rating (ITU-T P.800): one sound at a time is rated from 1 to 5."""
ABX: Final = "abx"
"""ABX test: the listener decides whether X is A or B, to see whether two systems are distinguishable."""

REFERENCE: Final = "reference"
"""Key of the original among the systems."""
ANCHOR: Final = "anchor"
"""Key of the low anchor among the systems."""
SCALE: Final = {1: "Bad", 2: "Poor", 3: "Fair", 4: "Good", 5: "Excellent"}
"""The rating scale of ITU-T P.800."""
ABX_ANSWERS: Final = ("a", "b")
MAX_ITEMS = {MOS: 100, ABX: 80}
"""Maximum number of answers of one listener, about 15 minutes; with more systems the test has fewer clips."""
ENOUGH_ABX = 40
"""Number of ABX answers that a listener should give; with fewer clips, items are repeated."""
ROLES = (("a", "a"), ("a", "b"), ("b", "a"), ("b", "b"))
"""The slot of a pair's first system, and the slot that X repeats; all four are used equally often."""


class RatedSystem(BaseModel):
    """A system in a listening test.

    Attributes:
        name: its name in the results.
        run_id: its MLflow run; None for the original and the anchor.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    run_id: str | None = None


class Item(BaseModel):
    """One question of a test: a system to be rated, or a pair of systems to be distinguished.

    Attributes:
        id: keyed hash, from which listeners can't see clip or systems.
        clip: name of the clip.
        systems: keys of one system, or of two.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    clip: str
    systems: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """An item in the session of one listener.

    Attributes:
        item: the item.
        slots: key of the system that is played in each slot: `sound`, or `a`, `b` and `x`.
        token: proof that this item belongs to this session; it comes back with the answer.
    """

    item: Item
    slots: dict[str, str]
    token: str

    @property
    def right(self) -> str | None:
        """The right answer, which is the slot that X repeats; None for a rating."""
        if not self.is_abx:
            return None
        return next((slot for slot in ABX_ANSWERS if self.slots[slot] == self.slots["x"]), None)

    @property
    def is_abx(self) -> bool:
        """Whether it is a step of an ABX test."""
        return "x" in self.slots


class Design(BaseModel):
    """A listening test without its secret.

    Attributes:
        id: hash of method, systems and sounds, so that the same options give the same test again.
        method: `mos` or `abx`.
        sweep: name of the sweep.
        run_id: the sweep's parent run.
        systems: the systems by key.
        clips: names of the clips.
        items: all items.
        sounds: names of the sound files without suffix, by clip and by key of the system.
        notes: caveats for the results, one line each.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    method: Method
    sweep: str
    run_id: str
    systems: dict[str, RatedSystem]
    clips: tuple[str, ...]
    items: tuple[Item, ...]
    sounds: dict[str, dict[str, str]]
    notes: tuple[str, ...] = ()

    def find_item(self, item_id: str) -> Item | None:
        """Return the item with this id, or None."""
        return next((item for item in self.items if item.id == item_id), None)


def page_session(listener: str) -> str:
    """Return the name of the session of a listener at the server."""
    return f"listener {listener}"


def file_session(copy: str) -> str:
    """Return the name of the session of an exported file; `copy` is the file's random id."""
    return f"copy {copy}"


def plan(design: Design, secret: bytes, session: str) -> list[Step]:
    """Return all steps of a session in its random order.

    Args:
        design: the test.
        secret: its secret.
        session: name of the session (`page_session` or `file_session`).
    """
    items = sorted(design.items, key=lambda item: _digest(secret, "order", session, item.id))
    roles = _roles(design, secret, session) if design.method == ABX else {}
    steps = []
    for item in items:
        slots = _abx_slots(item, roles[item.id]) if roles else {"sound": item.systems[0]}
        steps.append(Step(item, slots, token_of(design, secret, session, item.id)))
    return steps


def token_of(design: Design, secret: bytes, session: str, item_id: str) -> str:
    """Return the proof that an item belongs to a session; it can't be computed without the secret."""
    return _digest(secret, "token", design.id, session, item_id)


def make_items(method: Method, secret: bytes, clips: Sequence[str], groups: Sequence[tuple[str, ...]]) -> list[Item]:
    """Return an item for each clip and each group of systems; ABX items are repeated if there are few clips.

    Args:
        method: `mos` or `abx`.
        secret: the test's secret, from which the ids are made.
        clips: names of the clips.
        groups: keys of one system (MOS) or of a pair (ABX), for each group.
    """
    rounds = max(1, round(ENOUGH_ABX / (len(clips) * len(groups)))) if method == ABX else 1
    return [
        Item(id=_digest(secret, "item", clip, *keys, str(number))[:16], clip=clip, systems=keys)
        for number, clip, keys in itertools.product(range(rounds), clips, groups)
    ]


def choose_clips(method: Method, clips: Sequence[str], groups: int) -> list[str]:
    """Return as many clips as fit into a test of `MAX_ITEMS` items, at equal distances in the list.

    The list is ordered by class, so equal distances give different classes.

    Args:
        method: `mos` or `abx`.
        clips: names of all clips.
        groups: number of systems (MOS) or pairs (ABX) that are rated with each clip.
    """
    number = min(len(clips), max(1, MAX_ITEMS[method] // groups))
    return [clips[index * len(clips) // number] for index in range(number)]


def _roles(design: Design, secret: bytes, session: str) -> dict[str, tuple[str, str]]:
    """Return one of `ROLES` for each item, by its id; equally often within each pair, in random order for a session."""
    roles: dict[str, tuple[str, str]] = {}
    for keys in dict.fromkeys(item.systems for item in design.items):
        of_pair = [item.id for item in design.items if item.systems == keys]
        of_pair.sort(key=lambda item_id: _digest(secret, "role", session, item_id))
        first = int(_digest(secret, "first", session, *keys), 16)
        roles |= {item_id: ROLES[(first + index) % len(ROLES)] for index, item_id in enumerate(of_pair)}
    return roles


def _abx_slots(item: Item, role: tuple[str, str]) -> dict[str, str]:
    first_slot, repeated_slot = role
    systems = item.systems if first_slot == "a" else item.systems[::-1]
    slots = dict(zip(ABX_ANSWERS, systems, strict=True))
    return slots | {"x": slots[repeated_slot]}


def _digest(secret: bytes, *parts: str) -> str:
    return hmac.new(secret, json.dumps(parts).encode(), hashlib.sha256).hexdigest()

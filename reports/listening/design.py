"""The items of a listening test, and each listener's session: order of items, roles of the sounds, and tokens.

A session is computed from the test's secret. So only answers have to be stored, and tokens can't be forged.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

Method = Literal["mos", "abx", "mushra", "prefer"]
MOS: Final = "mos"
"""Absolute category rating (ITU-T P.800): one sound at a time is rated from 1 to 5."""
ABX: Final = "abx"
"""ABX test: the listener decides whether X is A or B, to see whether two systems are distinguishable."""
MUSHRA: Final = "mushra"
"""Multiple stimuli with hidden reference and anchors (ITU-R BS.1534-3): all systems of a clip are rated at once."""
PREFER: Final = "prefer"
"""Paired comparison: the listener says which of two systems sounds better, or that neither does."""

REFERENCE: Final = "reference"
"""Key of the original among the systems."""
ANCHOR: Final = "anchor"
"""Key of the low anchor among the systems."""
MID_ANCHOR: Final = "mid_anchor"
"""Key of the anchor of medium quality among the systems."""
SCALE: Final = {1: "Bad", 2: "Poor", 3: "Fair", 4: "Good", 5: "Excellent"}
"""The rating scale of ITU-T P.800."""
QUALITY_SCALE: Final = {10: "Bad", 30: "Poor", 50: "Fair", 70: "Good", 90: "Excellent"}
"""The continuous scale of ITU-R BS.1534 from 0 to 100: the middle of each of its five intervals, and its label."""
MAX_QUALITY: Final = 100
ABX_ANSWERS: Final = ("a", "b")
TIE: Final = "tie"
PREFERENCES: Final = ("a", "b", TIE)
MAX_ITEMS = {MOS: 100, ABX: 80, MUSHRA: 12, PREFER: 50}
"""Maximum number of answers of one listener, about 15 minutes; with more systems the test has fewer clips. A MUSHRA
page is one answer, and ITU-R BS.1534-3 advises sessions of at most 20 to 30 minutes."""
MAX_MUSHRA_SYSTEMS = 9
"""With the hidden reference and two anchors, a page has at most the 12 sounds of ITU-R BS.1534-3."""
ENOUGH_ABX = 40
"""Number of ABX answers that a listener should give; with fewer clips, items are repeated."""
ENOUGH_PREFER = 12
"""How often a listener can be asked about each pair; with fewer clips, items are repeated."""
CATCH_ITEMS = 5
"""Number of pairs of the original and its low anchor among a listener's preferences, as checks of attention."""
ROLES = (("a", "a"), ("a", "b"), ("b", "a"), ("b", "b"))
"""The slot of a pair's first system, and the slot that X repeats; all four are used equally often."""


class RatedSystem(BaseModel):
    """A system in a listening test.

    Attributes:
        name: its name in the results.
        run_id: its MLflow run; None for the original and the anchors.
        trial: number of its trial; None for the original, the anchors and renderings.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    run_id: str | None = None
    trial: int | None = None


class ComparedMetric(BaseModel):
    """A metric of the systems, whose agreement with the listeners is computed.

    Attributes:
        mode: `min` or `max`, the better direction.
        values: its value for each system that has one, by key.
    """

    model_config = ConfigDict(frozen=True)
    mode: Literal["min", "max"]
    values: dict[str, float]


class Item(BaseModel):
    """One question of a test: systems to be rated, or a pair of systems to be distinguished or compared.

    Attributes:
        id: keyed hash, from which listeners can't see clip or systems.
        clip: name of the clip.
        systems: keys of one system (MOS), of two (ABX and preferences) or of all (MUSHRA).
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
        slots: key of the system that is played in each slot: `sound`, or `a`, `b` and `x`, or `reference`, `a`, `b`,
            `c` and so on.
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
        return self.slots.keys() == {*ABX_ANSWERS, "x"}

    @property
    def rated_slots(self) -> list[str]:
        """The slots that a listener judges."""
        return [slot for slot in self.slots if slot not in ("x", REFERENCE)]


class Design(BaseModel):
    """A listening test without its secret.

    Attributes:
        id: hash of method, systems and sounds, so that the same options give the same test again.
        method: one of the methods.
        sweep: name of the sweep.
        run_id: the sweep's parent run.
        systems: the systems by key.
        clips: names of the clips.
        items: all items.
        sounds: names of the sound files without suffix, by clip and by key of the system.
        notes: caveats for the results, one line each.
        metrics: metrics of the systems by name, for the agreement with the listeners.
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
    metrics: dict[str, ComparedMetric] = {}

    @property
    def num_answers(self) -> int:
        """The number of answers that a listener is asked for; a preference test has more items than that."""
        if self.method != PREFER:
            return len(self.items)
        num_checks = sum(is_catch(item) for item in self.items)
        return min(len(self.items) - num_checks + min(num_checks, CATCH_ITEMS), MAX_ITEMS[PREFER])

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
    roles = _roles(design, secret, session) if design.method in (ABX, PREFER) else {}
    steps = []
    for item in items:
        if design.method == MUSHRA:
            slots = _mushra_slots(item, secret, session)
        else:
            slots = _pair_slots(item, roles[item.id], design.method) if roles else {"sound": item.systems[0]}
        steps.append(Step(item, slots, token_of(design, secret, session, item.id)))
    return steps


def is_catch(item: Item) -> bool:
    """Return whether an item of a preference test compares the original with its low anchor."""
    return set(item.systems) == {REFERENCE, ANCHOR}


def token_of(design: Design, secret: bytes, session: str, item_id: str) -> str:
    """Return the proof that an item belongs to a session; it can't be computed without the secret."""
    return _digest(secret, "token", design.id, session, item_id)


def make_items(method: Method, secret: bytes, clips: Sequence[str], groups: Sequence[tuple[str, ...]]) -> list[Item]:
    """Return an item for each clip and each group of systems; pairs are repeated if there are few clips.

    Args:
        method: the method.
        secret: the test's secret, from which the ids are made.
        clips: names of the clips.
        groups: keys of one system (MOS), of a pair (ABX and preferences) or of all systems (MUSHRA), for each group.
    """
    rounds = 1
    if method == ABX:
        rounds = max(1, round(ENOUGH_ABX / (len(clips) * len(groups))))
    elif method == PREFER:
        rounds = -(-ENOUGH_PREFER // len(clips))
    return [
        Item(id=_digest(secret, "item", clip, *keys, str(number))[:16], clip=clip, systems=keys)
        for number, clip, keys in itertools.product(range(rounds), clips, groups)
    ]


def choose_clips(method: Method, clips: Sequence[str], groups: int) -> list[str]:
    """Return as many clips as fit into a test of `MAX_ITEMS` items, at equal distances in the list.

    The list is ordered by class, so equal distances give different classes.

    Args:
        method: the method.
        clips: names of all clips.
        groups: number of items of each clip.
    """
    if method == PREFER:
        # A listener is not asked about every pair of every clip.
        groups = 1
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


def _pair_slots(item: Item, role: tuple[str, str], method: Method) -> dict[str, str]:
    first_slot, repeated_slot = role
    systems = item.systems if first_slot == "a" else item.systems[::-1]
    slots = dict(zip(ABX_ANSWERS, systems, strict=True))
    return slots | {"x": slots[repeated_slot]} if method == ABX else slots


def _mushra_slots(item: Item, secret: bytes, session: str) -> dict[str, str]:
    """Return the open reference and, in random order, all systems with the hidden reference and the anchors."""
    systems = sorted(item.systems, key=lambda key: _digest(secret, "slot", session, item.id, key))
    return {REFERENCE: REFERENCE} | dict(zip(string.ascii_lowercase, systems, strict=False))


def _digest(secret: bytes, *parts: str) -> str:
    return hmac.new(secret, json.dumps(parts).encode(), hashlib.sha256).hexdigest()

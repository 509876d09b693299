"""Sending of notices: each to each address once, also after a kill; what failed is tried again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.notices.addresses import open_address
from orchestrator.notices.occasions import Happening
from orchestrator.search_space.section import Notice
from orchestrator.state.paths import NOTICES
from orchestrator.state.timekeeper import now_ms
from orchestrator.storage import json_lines

LEVELS = ("info", "warning", "error")
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 300.0
"""The pauses before an address that failed is tried again; they double with each failure."""
WANTED, BEGUN, FAILED, SENT = "wanted", "begun", "failed", "sent"
"""The states of a notice in the memory."""
SINCE = "since"
"""In the memory: when an address was first in the search space; what happened before is not sent there."""


@dataclass
class Address:
    """An address and what is to be sent to it.

    Attributes:
        notice: its entry in the search space.
        id: identifies it in the memory, without its text.
        since_ms: when it was first in the search space.
        known_keys: all happenings that were ever to be sent to it.
        waiting: those that have not arrived, the oldest first.
        failures: failed attempts in a row.
        next_try_s: when the next attempt is due, by `time.monotonic`.
    """

    notice: Notice
    id: str
    since_ms: int = 0
    known_keys: set[str] = field(default_factory=set)
    waiting: dict[str, Happening] = field(default_factory=dict)
    failures: int = 0
    next_try_s: float = 0.0

    def wants(self, happening: Happening) -> bool:
        """Return whether a happening is to be sent to this address."""
        is_bad_enough = LEVELS.index(happening.level) >= LEVELS.index(self.notice.at_least)
        is_new = happening.ts >= self.since_ms and happening.key not in self.known_keys
        return is_bad_enough and is_new and happening.occasion in self.notice.when


class Deliveries:
    """The addresses of a sweep, and what has to be sent to them; one process at a time."""

    def __init__(self, folder: Path, notices: Sequence[Notice]) -> None:
        """Read what earlier processes have sent, and what they have left.

        Args:
            folder: the sweep's folder.
            notices: the section `notify`.
        """
        self._log = json_lines.Log(folder / NOTICES)
        by_id = {_identify(notice): notice for notice in notices}
        self.addresses = [Address(notice, identity) for identity, notice in by_id.items()]
        lines = self._log.take_lines()
        for address in self.addresses:
            self._restore(address, [line for line in lines if line["address"] == address.id])

    def _restore(self, address: Address, lines: Sequence[json_lines.Line]) -> None:
        for line in lines:
            if line["state"] == SINCE:
                address.since_ms = line["ts"]
            elif line["state"] == WANTED:
                happening = Happening(**line["happening"])
                address.known_keys.add(happening.key)
                address.waiting[happening.key] = happening
            elif line["state"] in (BEGUN, SENT):
                # A process that was killed after it had begun may have sent it: it is never sent twice.
                address.waiting.pop(line["key"], None)
            elif line["state"] == FAILED:
                address.waiting[line["key"]] = Happening(**line["happening"])
        address.waiting = dict(sorted(address.waiting.items(), key=lambda entry: entry[1].ts))
        if not address.since_ms:
            address.since_ms = now_ms()
            self._log.append({"address": address.id, "state": SINCE, "ts": address.since_ms})

    @property
    def are_complete(self) -> bool:
        """Whether everything has arrived."""
        return not any(address.waiting for address in self.addresses)

    def add(self, happening: Happening, address: Address) -> None:
        """Let a happening be sent to an address, if it is to have it and has not had it."""
        if address.wants(happening):
            self._log.append({"address": address.id, "state": WANTED, "happening": asdict(happening)})
            address.known_keys.add(happening.key)
            address.waiting[happening.key] = happening

    def send(self) -> None:
        """Send what is due, one notice to each address that does not fail."""
        for address in self.addresses:
            if address.waiting and time.monotonic() >= address.next_try_s:
                self._send(address, next(iter(address.waiting.values())))

    def _send(self, address: Address, happening: Happening) -> None:
        self._log.append({"address": address.id, "state": BEGUN, "key": happening.key})
        has_arrived = _post(address.notice.url, happening)
        if has_arrived:
            del address.waiting[happening.key]
            address.failures = 0
            self._log.append({"address": address.id, "state": SENT, "key": happening.key})
            return
        pause_s = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2.0**address.failures)
        address.failures += 1
        address.next_try_s = time.monotonic() + pause_s
        self._log.append({"address": address.id, "state": FAILED, "key": happening.key, "happening": asdict(happening)})


def _identify(notice: Notice) -> str:
    """Return what identifies an entry of the section in the memory; its other settings may change."""
    return hashlib.sha256(" ".join([notice.url, *sorted(notice.when)]).encode()).hexdigest()[:12]


def _post(url: str, happening: Happening) -> bool:
    """Send a notice; return whether it has arrived. Errors of a service are apprise's, which says no more than that."""
    from apprise import NotifyType

    kinds = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "error": NotifyType.FAILURE}
    moment = datetime.fromtimestamp(happening.ts / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
    try:
        address = open_address(url)
    except UserError:
        # The variable may be set in the next driver's environment.
        return False
    return bool(
        address.notify(title=happening.title, body=f"{happening.text}\n{moment}", notify_type=kinds[happening.level])
    )

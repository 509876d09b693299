"""A thread beside the driver that fetches what trials have written, one trial after the other."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.exchange.snapshots import Damaged, GivenUp
from orchestrator.storage.objects import StoreError

TURN_S = 1.0
"""The longest time from one turn of the thread to the next."""
LATE_S, MAX_LATE_S = 3.0, 240.0
"""The times after which a trial is fetched again of which something is still on its way; they double."""
LOOK_EVERY_S = 0.2
"""The time between two looks at whether the user wants to stop."""
HURRIED_S = 3.0
"""How long is waited for the thread, and for the store, once the user wants to stop."""


@dataclass(frozen=True)
class Late:
    """A trial of which something is on its way, or lost: when it is due again, and how long after the last time."""

    due_s: float
    pause_s: float


class Follower:
    """Fetches trials by their numbers; one that could not be fetched is tried again."""

    def __init__(self, fetch: Callable[[int, bool], bool], say: Callable[[str], None]) -> None:
        """Start no thread yet.

        Args:
            fetch: fetches what a trial has written, and returns whether that is all; it is called with the number of
                the trial, and whether it is the last time.
            say: prints a line when the store does not answer.
        """
        self._fetch = fetch
        self._say = say
        self._waiting: queue.Queue[int] = queue.Queue()
        self._late: dict[int, Late] = {}
        self._ended = threading.Event()
        self._troubles: dict[str, str] = {}

    def put(self, number: int) -> None:
        """Let the thread fetch a trial."""
        self._waiting.put(number)

    @contextlib.contextmanager
    def run(self, in_each_turn: Callable[[], None], is_hurried: Callable[[], bool]) -> Iterator[None]:
        """Fetch in a thread during the block, and the rest at its end.

        Args:
            in_each_turn: is called in each turn of the thread.
            is_hurried: returns whether the user wants to stop soon; the rest is then not fetched.
        """
        thread = threading.Thread(target=self._work, args=[in_each_turn, is_hurried], daemon=True, name="follower")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            while thread.is_alive() and not is_hurried():
                thread.join(LOOK_EVERY_S)
            thread.join(HURRIED_S)

    def _work(self, in_each_turn: Callable[[], None], is_hurried: Callable[[], bool]) -> None:
        numbers: set[int] = set()
        while not self._ended.is_set():
            self.attempt("send", in_each_turn)
            numbers |= self._take(TURN_S)
            numbers |= {number for number, late in self._late.items() if late.due_s < time.monotonic()}
            self._fetch_all(numbers, is_hurried)
        numbers |= self._take(0.0) | self._late.keys()
        self._fetch_all(numbers, is_hurried, is_last=True)

    def _take(self, wait_s: float) -> set[int]:
        numbers: set[int] = set()
        with contextlib.suppress(queue.Empty):
            numbers.add(self._waiting.get(timeout=wait_s) if wait_s else self._waiting.get_nowait())
            while True:
                numbers.add(self._waiting.get_nowait())
        return numbers

    def _fetch_all(self, numbers: set[int], is_hurried: Callable[[], bool], *, is_last: bool = False) -> None:
        """Fetch trials, and remove them from the set; stop if the user wants that, or the store does not answer."""
        for number in sorted(numbers):
            if is_hurried() or not self.attempt("fetch", functools.partial(self._fetch_one, number, is_last)):
                return
            numbers.discard(number)

    def _fetch_one(self, number: int, is_last: bool) -> None:
        try:
            is_whole = self._fetch(number, is_last)
            self._troubles.pop(str(number), None)
        except GivenUp:
            return
        except (Damaged, ValueError) as error:
            # The store answers: the other trials can be fetched. A ValueError comes of what nobody has written so.
            self._note_trouble(str(number), str(error), "The sweep goes on without, and looks for it again later.")
            is_whole = False
        late = self._late.pop(number, None)
        if not is_whole:
            pause_s = LATE_S if late is None else min(2 * late.pause_s, MAX_LATE_S)
            self._late[number] = Late(time.monotonic() + pause_s, pause_s)

    def attempt(self, kind: str, work: Callable[[], None]) -> bool:
        """Do something that is done again later if it fails; say once why it fails, and return whether it succeeded.

        Args:
            kind: what is done; the success of another kind does not end its trouble.
            work: does it.
        """
        try:
            work()
        except (StoreError, OSError) as error:
            self._note_trouble(
                kind, str(error), "What is missing in the home is fetched later, at the latest by the next resume."
            )
            return False
        self._troubles.pop(kind, None)
        return True

    def _note_trouble(self, kind: str, reason: str, what_follows: str) -> None:
        if kind not in self._troubles and reason not in self._troubles.values():
            self._say(f"{reason}. {what_follows}")
        self._troubles[kind] = reason

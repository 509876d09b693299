"""A thread beside the driver that fetches what trials have written, one trial after the other."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator

from orchestrator.exchange.snapshots import Damaged
from orchestrator.storage.objects import StoreError

TURN_S = 1.0
"""The longest time from one turn of the thread to the next."""
LATE_S = 3.0
"""The time after which a trial is fetched again of which something is still on its way."""
LOOK_EVERY_S = 0.2
"""The time between two looks at whether the user wants to stop."""
HURRIED_S = 3.0
"""How long is waited for the thread, and for the store, once the user wants to stop."""


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
        self._late: set[int] = set()
        self._late_since_s = 0.0
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
            if time.monotonic() > self._late_since_s + LATE_S:
                numbers |= self._late
                self._late.clear()
                self._late_since_s = time.monotonic()
            self._fetch_all(numbers, is_hurried)
        numbers |= self._take(0.0) | self._late
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
        except Damaged as error:
            # The store answers: the other trials can be fetched.
            self._note_trouble(str(number), str(error))
            is_whole = False
        if not is_whole:
            self._late.add(number)

    def attempt(self, kind: str, work: Callable[[], None]) -> bool:
        """Do something that is done again later if it fails; say once why it fails, and return whether it succeeded.

        Args:
            kind: what is done; the success of another kind does not end its trouble.
            work: does it.
        """
        try:
            work()
        except (StoreError, OSError) as error:
            self._note_trouble(kind, str(error))
            return False
        self._troubles.pop(kind, None)
        return True

    def _note_trouble(self, kind: str, reason: str) -> None:
        if kind not in self._troubles and reason not in self._troubles.values():
            self._say(f"{reason}. What is missing in the home is fetched later, at the latest by the next resume.")
        self._troubles[kind] = reason

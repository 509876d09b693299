"""A thread beside the driver that fetches what trials have written, one trial after the other."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator

from orchestrator.storage.objects import StoreError

TURN_S = 1.0
"""The longest time from one turn of the thread to the next."""
LATE_S = 3.0
"""The time after which a trial is fetched again of which something is still on its way."""
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
        self._trouble = ""

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
            thread.join(HURRIED_S if is_hurried() else None)

    def _work(self, in_each_turn: Callable[[], None], is_hurried: Callable[[], bool]) -> None:
        numbers: set[int] = set()
        while not self._ended.is_set():
            self.attempt(in_each_turn)
            numbers |= self._take(TURN_S)
            if time.monotonic() > self._late_since_s + LATE_S:
                numbers |= self._late
                self._late.clear()
                self._late_since_s = time.monotonic()
            self._fetch_all(numbers)
        numbers |= self._take(0.0) | self._late
        if not is_hurried():
            self._fetch_all(numbers, is_last=True)

    def _take(self, wait_s: float) -> set[int]:
        numbers: set[int] = set()
        with contextlib.suppress(queue.Empty):
            numbers.add(self._waiting.get(timeout=wait_s) if wait_s else self._waiting.get_nowait())
            while True:
                numbers.add(self._waiting.get_nowait())
        return numbers

    def _fetch_all(self, numbers: set[int], *, is_last: bool = False) -> None:
        """Fetch trials, and remove them from the set; stop at the first one that can't be fetched."""
        for number in sorted(numbers):
            if not self.attempt(functools.partial(self._fetch_one, number, is_last)):
                return
            numbers.discard(number)

    def _fetch_one(self, number: int, is_last: bool) -> None:
        if not self._fetch(number, is_last):
            self._late.add(number)

    def attempt(self, work: Callable[[], None]) -> bool:
        """Do something that is done again later if it fails; say once why it fails, and return whether it succeeded."""
        try:
            work()
        except (StoreError, OSError) as error:
            if not self._trouble:
                self._say(f"{error}. What is missing in the home is fetched later, at the latest by the next resume.")
            self._trouble = str(error)
            return False
        self._trouble = ""
        return True

"""The thread that fetches: what it says, and when it stops."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from orchestrator.exchange import follower
from orchestrator.exchange.follower import Follower
from orchestrator.exchange.snapshots import Damaged
from orchestrator.storage.objects import StoreError


def test_a_trial_that_can_not_be_fetched_is_said_once_while_sending_succeeds() -> None:
    said: list[str] = []
    tries: list[int] = []

    def fetch(number: int, is_last: bool) -> bool:
        tries.append(number)
        raise StoreError("the store does not answer")

    thread = Follower(fetch, said.append)
    thread.put(1)
    with thread.run(lambda: None, lambda: False):
        while len(tries) < 3:
            time.sleep(0.01)
    assert len(said) == 1, said


def test_who_wants_to_stop_waits_for_one_trial_at_most() -> None:
    wants_to_stop = threading.Event()
    fetched: list[int] = []

    def fetch(number: int, is_last: bool) -> bool:
        fetched.append(number)
        wants_to_stop.set()
        return True

    thread = Follower(fetch, print)
    for number in (1, 2, 3):
        thread.put(number)
    with thread.run(lambda: None, wants_to_stop.is_set):
        wants_to_stop.wait()
    assert fetched == [1]


def test_who_wants_to_stop_does_not_wait_for_a_store_that_hangs() -> None:
    wants_to_stop, goes_on = threading.Event(), threading.Event()

    def fetch(number: int, is_last: bool) -> bool:
        threading.Timer(0.5, wants_to_stop.set).start()
        return goes_on.wait(30)

    thread = Follower(fetch, print)
    with thread.run(lambda: None, wants_to_stop.is_set):
        thread.put(1)
    is_still_fetched = any(each.name == "follower" for each in threading.enumerate())
    goes_on.set()
    assert is_still_fetched


@pytest.mark.parametrize("error", [Damaged("lost"), ValueError("embedded null byte")])
def test_a_damaged_trial_is_tried_again_after_pauses_that_double_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(follower, "TURN_S", 0.01)
    monkeypatch.setattr(follower, "LATE_S", 0.1)
    said: list[str] = []
    tries: list[float] = []
    others: list[int] = []

    def fetch(number: int, is_last: bool) -> bool:
        if number > 1:
            others.append(number)
            return True
        tries.append(time.monotonic())
        raise error

    thread = Follower(fetch, said.append)
    thread.put(1)
    with thread.run(lambda: None, lambda: False):
        deadline_s = time.monotonic() + 30
        while len(tries) < 4 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        thread.put(2)
        while not others and time.monotonic() < deadline_s:
            time.sleep(0.01)
    gaps = [after - before for before, after in itertools.pairwise(tries[:4])]
    assert all(gap > pause for gap, pause in zip(gaps, (0.1, 0.2, 0.4), strict=True)), gaps
    assert said == [f"{error}. The sweep goes on without, and looks for it again later."]

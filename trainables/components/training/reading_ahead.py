"""Reading the data of the next steps in a thread, while the present one is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 3
"""The number of results that wait at most: one hides a steady delay, more of them hide one that varies."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    read: Callable[[Item], Result], items: Iterable[Item], ahead: int = AHEAD
) -> Generator[Result, None, None]:
    """Yield what a function returns for each item, in their order; a thread calls it for the next ones meanwhile.

    The thread ends with the iterator, also if that is closed before its end.

    Args:
        read: is called in the thread, for one item after the other.
        items: are taken in the thread of the caller.
        ahead: the number of results that wait at most.

    Raises:
        BaseException: what the function raised, with its traceback; later items are not read.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(1, "read_ahead") as thread:
        try:
            for item in items:
                waiting.append(thread.submit(read, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for result in waiting:
                result.cancel()

"""The same work for many files, in as many processes as pay off."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from trainables.support.progress import Progress

FILES_PER_PROCESS = 16
"""Below this it takes longer to start a process than to decode."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def each_in_parallel(
    make: Callable[[Given], Made], inputs: Sequence[Given], what: str, progress: Progress
) -> Iterator[Made]:
    """What a function of a module makes of each, in order."""
    workers = min(len(os.sched_getaffinity(0)), len(inputs) // FILES_PER_PROCESS)
    if workers < 2:
        yield from _counted(map(make, inputs), len(inputs), what, progress)
        return
    # Spawned, because a fork would copy the threads of torch and of Ray in the state they are in.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from _counted(pool.map(make, inputs, chunksize=4), len(inputs), what, progress)


def _counted(outputs: Iterator[Made], total: int, what: str, progress: Progress) -> Iterator[Made]:
    for done, item in enumerate(outputs, start=1):
        yield item
        progress(what, done, total)

"""A parallel map over files, in as many processes as pay off."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from trainables.support.processes import without_interrupts
from trainables.support.progress import Progress

FILES_PER_PROCESS = 16
"""With fewer files, starting a process takes longer than decoding them."""

Input = TypeVar("Input")
Output = TypeVar("Output")


def map_in_parallel(
    make: Callable[[Input], Output], inputs: Sequence[Input], what: str, progress: Progress
) -> Iterator[Output]:
    """Yield `make` of each input in order, computed in several processes if there are enough inputs.

    Args:
        make: a function that can be pickled.
        inputs: such as the paths of files.
        what: the name of the work, for the progress display.
        progress: is called after each output.
    """
    workers = min(len(os.sched_getaffinity(0)), len(inputs) // FILES_PER_PROCESS)
    if workers < 2:
        yield from _report_progress(map(make, inputs), len(inputs), what, progress)
        return
    # Spawned, because a fork would copy locks that threads of torch and of Ray hold at that moment.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        with without_interrupts():
            outputs = pool.map(make, inputs, chunksize=4)
        yield from _report_progress(outputs, len(inputs), what, progress)


def _report_progress(outputs: Iterator[Output], total: int, what: str, progress: Progress) -> Iterator[Output]:
    for done, item in enumerate(outputs, start=1):
        yield item
        progress(what, done, total)

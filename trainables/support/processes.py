"""A map over files in processes that may die: a file that kills its process is reported, and the others go on."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import pickle
import resource
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

FILES_PER_PROCESS = 4
"""With fewer files for each, another process costs more than it saves."""
MEMORY_BYTES = 3 << 30
"""What a process may allocate for one file; more raises a MemoryError there, before the machine runs out."""
ATTEMPTS = 2
"""A file is tried again in a fresh process, because memory may have been short for another reason."""
IN_HAND = 2
"""The number of inputs that a process has: it goes on with the second while the first answer is read."""
PIPE_BYTES = 1 << 20
"""The buffer for answers, the largest that Linux gives to everybody: a process need not wait until its answer is read.

The clips of 20 s of sound fit."""
PATIENCE_S = 2.0
"""How long a process may take to end after its last file."""
PRELOADED = ("trainables.corpora.recordings", "trainables.corpora.pictures", "scipy.signal")
"""What the process imports once that the others are forked from."""

Input = TypeVar("Input")
Output = TypeVar("Output")


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back in this thread, and from the processes that are started in the block, for as long as they live.

    Ctrl-C reaches the whole group, and a process that imports something at that moment would print a traceback.
    """
    # It would let Ctrl-C through again if it were started in the block.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class Failed:
    """What is returned for an input of which nothing could be made.

    Attributes:
        reason: the error, or how the process ended.
        has_killed: whether the process ended.
        is_passing: whether the input may work next time: the process was killed from outside, or could not start.
    """

    reason: str
    has_killed: bool = False
    is_passing: bool = False


def map_surviving(
    make: Callable[[Input], Output],
    inputs: Sequence[Input],
    *,
    num_processes: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Iterator[tuple[int, Output | Failed]]:
    """Yield the position of each input with `make` of it, in the order in which they are ready.

    Args:
        make: a function that can be pickled.
        inputs: such as recordings.
        num_processes: the number of processes; by default as many as pay off.
        memory_bytes: what a process may allocate.
    """
    most = num_processes or len(os.sched_getaffinity(0))
    waiting, attempts = deque(range(len(inputs))), [0] * len(inputs)
    workers = [
        _Worker(make, memory_bytes) for _ in range(min(most, -(-len(inputs) // FILES_PER_PROCESS))) if len(inputs)
    ]
    try:
        for worker in workers:
            _give(worker, waiting, inputs)
        while busy := [worker for worker in workers if worker.positions]:
            ready = wait([worker.connection for worker in busy])
            for worker in [worker for worker in busy if worker.connection in ready]:
                position, answer = worker.receive()
                if isinstance(answer, Failed) and answer.has_killed:
                    # What else it had in hand has not killed it.
                    waiting.extendleft(reversed(worker.positions))
                    worker.restart()
                    attempts[position] += 1
                    if attempts[position] < ATTEMPTS:
                        # The last of all: by then, the others may have freed memory.
                        waiting.append(position)
                        _give(worker, waiting, inputs)
                        continue
                _give(worker, waiting, inputs)
                yield position, answer
    finally:
        for worker in workers:
            worker.close()


def _give(worker: _Worker[Input, Output], waiting: deque[int], inputs: Sequence[Input]) -> None:
    while waiting and len(worker.positions) < IN_HAND:
        position = waiting.popleft()
        worker.send(position, inputs[position])


class _Worker(Generic[Input, Output]):
    """A process, and the positions of the inputs that it has in hand, the first of which it works on."""

    def __init__(self, make: Callable[[Input], Output], memory_bytes: int) -> None:
        self._make = make
        self._memory_bytes = memory_bytes
        self.positions: deque[int] = deque()
        self._start()

    def _start(self) -> None:
        # Forked from a process without threads: a fork of this one would copy locks that threads of torch and of Ray
        # hold at that moment, and a fresh interpreter takes seconds to import what a decoder needs.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOADED))
        inputs, self._inputs = context.Pipe(duplex=False)
        self.connection, answers = context.Pipe(duplex=False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(answers.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._process: BaseProcess = context.Process(
            target=_work, args=(inputs, answers, self._make, self._memory_bytes), daemon=True
        )
        with without_interrupts():
            self._process.start()
        inputs.close()
        answers.close()

    def send(self, position: int, value: Input) -> None:
        """Give the process an input."""
        self.positions.append(position)
        with contextlib.suppress(BrokenPipeError):  # a dead process is noticed by `receive`
            self._inputs.send(value)

    def receive(self) -> tuple[int, Output | Failed]:
        """Return the position of the input, and what was made of it."""
        position = self.positions.popleft()
        try:
            answer: Output | Failed = _receive(self.connection)
        except (EOFError, OSError):  # the second if it died within an answer
            self._process.join()
            exit_code = self._process.exitcode or 0
            is_passing = exit_code >= 0 or -exit_code in (signal.SIGKILL, signal.SIGTERM)
            answer = Failed(_describe(exit_code), has_killed=True, is_passing=is_passing)
        return position, answer

    def restart(self) -> None:
        """Replace the process."""
        self.positions.clear()
        self.close()
        self._start()

    def close(self) -> None:
        """End the process, which works on nothing that anybody waits for."""
        self._inputs.close()
        self.connection.close()
        if self.positions:
            self._process.terminate()
        self._process.join(PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _work(inputs: Connection, answers: Connection, make: Callable[[Input], Output], memory_bytes: int) -> None:
    """Answer each input with what was made of it, until the inputs end."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    # A decoder that dies leaves no core dump of gigabytes.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            _send(answers, _try(make, inputs.recv(), memory_bytes))


def _send(connection: Connection, value: object) -> None:
    """Send a value; the memory of its arrays is written as it is, where `send` would make two copies of it first."""
    arrays: list[pickle.PickleBuffer] = []
    content = pickle.dumps(value, protocol=5, buffer_callback=arrays.append)
    connection.send((content, len(arrays)))
    for array in arrays:
        connection.send_bytes(array.raw())


def _receive(connection: Connection) -> Any:
    """Return the value that `_send` has sent; its arrays can't be written."""
    content, num_arrays = connection.recv()
    return pickle.loads(content, buffers=[connection.recv_bytes() for _ in range(num_arrays)])


def _try(make: Callable[[Input], Output], value: Input, memory_bytes: int) -> Output | Failed:
    try:
        return make(value)
    except MemoryError as error:
        needed = f"needs more than {memory_bytes / (1 << 30):.3g} GiB of memory"
        return Failed("; ".join([needed, *getattr(error, "__notes__", ())]))
    except Exception as error:
        # A decoder may raise anything on a broken file, and the other files can be used.
        return Failed(" ".join(f"{type(error).__name__}: {error}".split()))


def _describe(exit_code: int) -> str:
    if exit_code >= 0:
        return f"its decoder ended (exit code {exit_code})"
    name = signal.Signals(-exit_code).name
    hint = ", as the kernel does when memory is short" if name == "SIGKILL" else ""
    return f"its decoder was killed ({name}{hint})"

"""SIGTERM at a worker: its epoch may still end, then its process ends, and the trial goes on in another one."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.worker.postmortem import END_SIGNAL


class ToldToEnd(BaseException):
    """Somebody sent SIGTERM to the process of a trial.

    Not an `Exception`, because a trainable's `except Exception` must not swallow it: it is raised wherever the code is.
    """


class EndSignal:
    """The handler of SIGTERM in a worker; it works in the main thread only.

    Ray's own handler ends the process in the middle of whatever it does, and the driver can't tell that from a crash.

    Attributes:
        has_come: whether the process was told to end, in this task or in one before.
    """

    def __init__(self) -> None:
        """Replace the handler of SIGTERM for as long as the process lives."""
        self.has_come = False
        self._log: Path | None = None
        self._attempt = 0
        self._grace_s = 0.0
        self._began_s: float | None = None
        self._last_step_s = 0.0
        signal.signal(signal.SIGTERM, self._handle)

    def begin_task(self, log: Path, attempt: int, grace_s: float) -> None:
        """Go over to the next task of the process.

        Args:
            log: the trial's log, where a line says that the signal came: SIGKILL may follow it at any time.
            attempt: the number of the trial's attempt.
            grace_s: how long a step may go on after the signal.
        """
        self._log, self._attempt, self._grace_s, self._last_step_s = log, attempt, grace_s, 0.0
        self.note_in_log()

    def end_task(self) -> None:
        """Write to no log from now on: Ray ends a worker without a task by the same signal."""
        self._log = None

    def note_in_log(self) -> None:
        """Write a line to the trial's log if the signal has come, from which the driver knows that after a SIGKILL."""
        if self.has_come and self._log is not None:
            with contextlib.suppress(OSError), self._log.open("a") as file:
                file.write(f"{END_SIGNAL}, attempt {self._attempt}\n")

    @contextlib.contextmanager
    def during_step(self) -> Iterator[None]:
        """Raise `ToldToEnd` in the block if the signal has come, or if it comes and the block does not end soon."""
        if self.has_come:
            raise ToldToEnd
        self._began_s = time.monotonic()
        try:
            yield
            self._last_step_s = time.monotonic() - self._began_s
        finally:
            self._began_s = None

    def _handle(self, number: int, frame: object) -> None:
        is_first, self.has_come = not self.has_come, True
        if is_first:
            # Between two steps, too: SIGKILL may come before the next one.
            self.note_in_log()
        if self._began_s is None:
            # The next step raises, which the driver can tell from a crash. An idle worker gets none: Ray ends it so.
            if not is_first:
                sys.exit(128 + number)
        elif not is_first or self._began_s + self._last_step_s > time.monotonic() + self._grace_s:
            raise ToldToEnd
        # A signal, because nothing else interrupts a wait of the main thread.
        end = threading.Timer(self._grace_s, signal.pthread_kill, (threading.get_ident(), number))
        end.daemon = True
        end.start()

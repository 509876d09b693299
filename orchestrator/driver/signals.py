"""Handle Ctrl-C, SIGTERM and SIGHUP: each of them ends a sweep cleanly."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from orchestrator.errors import SweepStopped

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(SweepStopped):
    """A signal ended the sweep; everything that it recorded is on the disk."""

    exit_code = 130


class SignalHandler:
    """Remembers the first signal and ends the process at the second.

    The handler itself raises nothing: during an import an exception would leave a module locked forever, and inside a
    library's `try` it could be swallowed.

    Attributes:
        reason: a sentence about the first signal; empty before it.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._callback: Callable[[str], None] | None = None

    def install(self) -> None:
        """Replace the current handlers of the signals: Python's, or those of Ray, which aborts at SIGTERM."""
        for number in SIGNALS:
            # Under `nohup` SIGHUP is ignored, and has to stay so.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def check(self) -> None:
        """Raise an exception if there was a signal.

        Raises:
            Interrupted: there was one.
        """
        if self.reason:
            raise Interrupted(f"{self.reason} What is finished is kept.")

    @contextlib.contextmanager
    def forward_to(self, callback: Callable[[str], None]) -> Iterator[None]:
        """Call a function with `reason` at the first signal during the block, or at once if it came before.

        Args:
            callback: the function; it is called from the signal handler, in the main thread.
        """
        self._callback = callback
        try:
            if self.reason:
                callback(self.reason)
            yield
        finally:
            self._callback = None

    def _handle(self, number: int, frame: object) -> None:
        if self.reason:
            os._exit(128 + number)
        self.reason = f"Stopped by {signal.Signals(number).name}."
        if self._callback is not None:
            self._callback(self.reason)


@contextlib.contextmanager
def handle_signals() -> Iterator[SignalHandler]:
    """Install a `SignalHandler` for the length of a block, and restore the previous handlers after it."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal_handler = SignalHandler()
    signal_handler.install()
    try:
        yield signal_handler
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

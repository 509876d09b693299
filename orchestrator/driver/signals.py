"""Ctrl-C, SIGTERM and SIGHUP end a sweep alike."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from orchestrator.errors import SweepStopped

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(SweepStopped):
    """A signal ended the sweep; all that it recorded is safe."""

    exit_code = 130


class OnSignal:
    """Keeps the first signal in mind and ends the process at the second.

    Nothing is raised from a handler: in the middle of an import that would leave a module locked for ever, and in the
    middle of a library's `try` it would be lost.

    Attributes:
        reason: what to say of the signal that came, or nothing.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._call: Callable[[str], None] | None = None

    def install(self) -> None:
        """Take the signals over, from Python's defaults or from Ray, whose C++ side aborts at SIGTERM once started."""
        for number in SIGNALS:
            # nohup has a driver ignore the end of its terminal.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def check(self) -> None:
        """Raise `Interrupted` if there was a signal."""
        if self.reason:
            raise Interrupted(f"{self.reason} What is finished is kept.")

    @contextlib.contextmanager
    def told_to(self, call: Callable[[str], None]) -> Iterator[None]:
        """Call with the reason as soon as there is a signal, at once if there was one already."""
        self._call = call
        try:
            if self.reason:
                call(self.reason)
            yield
        finally:
            self._call = None

    def _handle(self, number: int, frame: object) -> None:
        if self.reason:
            os._exit(128 + number)
        self.reason = f"Stopped by {signal.Signals(number).name}."
        if self._call is not None:
            self._call(self.reason)


@contextlib.contextmanager
def signals_kept() -> Iterator[OnSignal]:
    """Make every usual way to end a process end the sweep cleanly."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    on_signal = OnSignal()
    on_signal.install()
    try:
        yield on_signal
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Ctrl-C, SIGTERM and SIGHUP end a sweep alike."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from orchestrator.errors import SweepStopped

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IMPORT_S = 0.05
"""A signal that comes in the middle of an import is sent again after so long."""


class Interrupted(SweepStopped):
    """A signal ended the sweep; all that it recorded is safe."""

    exit_code = 130


class OnSignal:
    """What a signal does now: it raises, until `call` is set; the second time the process ends at once."""

    def __init__(self) -> None:
        self.call: Callable[[str], None] | None = None
        self.reason = ""

    def install(self) -> None:
        """Take the signals over, from Python's defaults or from Ray, whose C++ side aborts at SIGTERM once started."""
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.reason:
            os._exit(128 + number)
        if self.call is None and _imports(frame):
            # Raised here, it would leave the module locked for ever, and Ray's start in another thread may wait for it.
            threading.Timer(IMPORT_S, os.kill, (os.getpid(), number)).start()
            return
        self.reason = f"Stopped by {signal.Signals(number).name}."
        if self.call is None:
            raise Interrupted(f"{self.reason} What is finished is kept; the same command goes on.")
        self.call(self.reason)


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def signals_raise() -> Iterator[OnSignal]:
    """Make every usual way to end a process end the sweep cleanly."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    on_signal = OnSignal()
    on_signal.install()
    try:
        yield on_signal
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

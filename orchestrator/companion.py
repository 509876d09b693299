"""What the processes beside a driver share: that of MLflow, and that of notices."""

from __future__ import annotations

import os
import signal
import sys
import threading

NICENESS = 10
"""Trials have priority."""


def follow_driver() -> threading.Event:
    """Let this process outlive its driver, with a low priority; return an event that is set when the driver has ended.

    The driver holds the other end of standard input, which its death closes, too.
    """
    os.nice(NICENESS)
    for number in (signal.SIGINT, signal.SIGHUP):
        # These signals are for the driver, whose last lines and whose end are still to be read.
        signal.signal(number, signal.SIG_IGN)
    closed = threading.Event()

    def wait_for_end_of_input() -> None:
        # Not through sys.stdin, whose lock this thread would hold while the interpreter shuts down.
        while os.read(sys.stdin.fileno(), 1):
            pass
        closed.set()

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    return closed

"""What the companion processes of a driver share: that of MLflow, and that of notices."""

from __future__ import annotations

import os
import signal
import sys
import threading

NICENESS = 10
"""Trials have priority."""


def outlive_driver() -> threading.Event:
    """Keep this process alive when its driver is interrupted, and return an event for its end.

    The process gets a low priority. The driver holds the other end of standard input, which closes when it ends,
    also when it is killed.
    """
    os.nice(NICENESS)
    for number in (signal.SIGINT, signal.SIGHUP):
        # These signals are meant for the driver. This process still has to read what the driver writes last.
        signal.signal(number, signal.SIG_IGN)
    closed = threading.Event()

    def wait_for_end_of_input() -> None:
        # Not through sys.stdin, whose lock this thread would hold while the interpreter shuts down.
        while os.read(sys.stdin.fileno(), 1):
            pass
        closed.set()

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    return closed

"""The process between a worker and a trial's command: `python keeper.py OUTPUT GRACE_S COMMAND…`.

It pauses and stops the command with all processes that the command starts, and also does so when the worker is killed,
which closes the pipe between them. It imports the standard library only, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import IO

PAUSE, GO, STOP = b"p", b"g", b"s"
"""The orders, a byte each on standard input; the end of the input means `STOP` too."""
PAUSED = b"P"
"""The answer to `PAUSE` on standard output, after the command has come to a halt."""
CANT_RUN = 127
"""The exit code if the command could not be started, as a shell has it."""
LOCK_S = 60.0
"""How long processes of an earlier attempt may still have the output open."""
FIRST_PATIENCE_S = 0.2
"""How long a command may take to halt before it is let run for a moment; each time it may take twice as long."""
MOMENT_S = 0.005
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the command, obey orders, and exit with the command's exit code, or 128 + the number of its signal."""
    output, grace_s, *command = sys.argv[1:]
    with open(output, "ab") as log:
        if not _lock(log):
            log.write(b"\na process of an earlier attempt still writes here\n")
            sys.exit(CANT_RUN)
        try:
            # The lock goes over to the child: it ends with the last process that has this file open.
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            log.write(f"\n{command[0]}: {error.strerror}\n".encode())
            sys.exit(CANT_RUN)
    was_told_to_end = _obey(child, float(grace_s))
    # What the command left running would train on, unseen.
    _signal(child, signal.SIGKILL)
    if was_told_to_end:
        # What a command exits with that ends cleanly at SIGTERM would look like the end of its training.
        sys.exit(128 + signal.SIGTERM)
    sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)


def _lock(log: IO[bytes]) -> bool:
    """Lock the output, so that two attempts never run at once; return False if an earlier one does not end."""
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _die_with_parent() -> None:
    """Have the kernel kill this process if the keeper is killed (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _obey(child: subprocess.Popen[bytes], grace_s: float) -> bool:
    """Obey orders until the command has ended; return whether this process was told to end by SIGTERM.

    A batch system sends that to every process of a job, and so does who stops a machine.
    """
    orders = selectors.DefaultSelector()
    orders.register(sys.stdin, selectors.EVENT_READ)
    orders.register(os.pidfd_open(child.pid), selectors.EVENT_READ)
    end_signal, writer = os.pipe()
    orders.register(end_signal, selectors.EVENT_READ)
    signal.signal(signal.SIGTERM, lambda number, frame: os.write(writer, b"t"))
    while child.poll() is None:
        ready = {key.fileobj for key, _ in orders.select()}
        if end_signal in ready:
            _stop(child, grace_s)
            return True
        if sys.stdin in ready:
            order = os.read(sys.stdin.fileno(), 1)
            if order == PAUSE:
                _pause(child)
            elif order == GO:
                _signal(child, signal.SIGCONT)
            else:
                _stop(child, grace_s)
    return False


def _pause(child: subprocess.Popen[bytes]) -> None:
    """Halt the command, and say so once it has halted: a signal alone takes a while on a machine with much to do.

    A shell that is about to start a program halts only after the program has begun (vfork), which the same signal
    has halted before it could. So a command that does not halt is let run for a moment.
    """
    patience_s = FIRST_PATIENCE_S
    _signal(child, signal.SIGSTOP)
    while not _halts_within(child, patience_s):
        _signal(child, signal.SIGCONT)
        time.sleep(MOMENT_S)
        _signal(child, signal.SIGSTOP)
        patience_s *= 2
    os.write(sys.stdout.fileno(), PAUSED)


def _halts_within(child: subprocess.Popen[bytes], patience_s: float) -> bool:
    """Wait until the command is stopped or has ended; return False if it is neither after so many seconds."""
    deadline = time.monotonic() + patience_s
    while not os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG):
        if time.monotonic() > deadline:
            return False
        time.sleep(MOMENT_S)
    return True


def _stop(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask the command to end, and kill it if it has not ended after a while."""
    _signal(child, signal.SIGTERM)
    # A paused process gets the signal when it goes on.
    _signal(child, signal.SIGCONT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(grace_s)
    _signal(child, signal.SIGKILL)
    child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the command and to the processes that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    main()

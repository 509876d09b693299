"""Restart the driver after Ray has died: the process executes a fresh driver, which resumes the sweep."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

from orchestrator.driver.signals import Interrupted, SignalHandler
from orchestrator.overview.screen import Screen
from orchestrator.state.events.drivers import Closed, Restarted
from orchestrator.state.ledger import Ledger
from orchestrator.state.lock_note import LockNote
from reports import vocabulary as words

MAX_RESTARTS = 3
"""The most restarts without a report of a trial between them; then the driver gives up."""
UNRECORDED = "ORCHESTRATE_UNRECORDED_RESTARTS"
"""The environment variable with the number of restarts that a full disk kept out of the sweep log."""
SIGNAL_S = 0.5
"""The time in which a signal to every process of a job reaches all of them."""


@dataclass(frozen=True)
class Takeover:
    """Replaces this process with a fresh driver when Ray dies.

    Attributes:
        ledger: the state of the sweep.
        screen: the display.
        signal_handler: remembers whether a user asked for the end.
        resume_arguments: the arguments of `orchestrate` that resume the sweep.
        resume_line: a sentence for the user with the command that resumes the sweep.
        scratch: Ray's temporary folder; the processes of Ray that have it in their arguments are killed.
        note: the note of the sweep's lock; the fresh driver inherits the lock.
    """

    ledger: Ledger
    screen: Screen
    signal_handler: SignalHandler
    resume_arguments: Sequence[str]
    resume_line: str
    scratch: Path
    note: LockNote

    def __call__(self, what: str = "Ray has died") -> NoReturn:
        """Execute a fresh driver; exit instead after a signal, or after too many deaths of Ray.

        It never raises: it may run in another thread than the main one, which may wait for Ray forever.

        Args:
            what: what has happened, as the start of a sentence.
        """
        # A closed terminal and a batch system send their signal to every process of the job, also to Ray's, which may
        # die before this process receives it.
        time.sleep(SIGNAL_S)
        self.screen.release_terminal()
        if self.signal_handler.reason:
            self._give_up(self.signal_handler.reason, Interrupted.exit_code)
        unrecorded = int(os.environ.get(UNRECORDED, "0"))
        restarts = self.ledger.restarts + unrecorded + 1
        if restarts > MAX_RESTARTS:
            self._give_up(f"{what} {restarts} times without a report between; see driver.log in the sweep's folder", 1)
        # On a full disk this write fails; the fresh driver then waits for space.
        try:
            self.ledger.write(Restarted(reason=what))
        except OSError:
            os.environ[UNRECORDED] = str(unrecorded + 1)
        self.screen.say(f"{what}; continuing with a new one.")
        self._kill_ray_processes()
        sys.stdout.flush()
        sys.stderr.flush()
        self.note.hand_on()
        # The new program keeps the process id, the terminal and the lock, and nothing else.
        os.execv(sys.executable, [sys.executable, "-m", "orchestrator", *self.resume_arguments])

    def _give_up(self, why: str, exit_code: int) -> NoReturn:
        """Close the sweep as interrupted, print how to resume it, and end the process, from any thread."""
        with contextlib.suppress(OSError):
            self.ledger.write(Closed(outcome=words.OUTCOME_INTERRUPTED, reason=why))
        self.screen.say(why)
        self.screen.say(self.resume_line)
        self._kill_ray_processes()
        # Not `sys.exit`, which would only end this thread.
        os._exit(exit_code)

    def _kill_ray_processes(self) -> None:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if str(self.scratch) in " ".join(process.cmdline()):
                    process.kill()

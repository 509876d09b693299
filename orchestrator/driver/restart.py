"""What becomes of a driver whose Ray has died: a fresh one takes its place."""

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

from orchestrator.driver.signals import Interrupted, OnSignal
from orchestrator.overview.screen import Screen
from orchestrator.state import events
from orchestrator.state.ledger import Ledger
from orchestrator.state.lock_note import LockNote
from reports import vocabulary as words

MAX_RESTARTS = 3
"""Deaths of Ray without a trial's report between them after which it is left to a person."""
SIGNAL_S = 0.5
"""A signal to every process of a job reaches them within so long of each other."""


@dataclass(frozen=True)
class Takeover:
    """What is needed when Ray dies.

    Attributes:
        again: the arguments of `orchestrate` that go on with the sweep.
        resume_line: tells a person how to go on with it.
        scratch: Ray's temporary folder; what is left of its processes, which have it in their arguments, is ended.
        note: of the sweep's lock, which the fresh driver has from the first instant on.
    """

    ledger: Ledger
    screen: Screen
    on_signal: OnSignal
    again: Sequence[str]
    resume_line: str
    scratch: Path
    note: LockNote

    def __call__(self, what: str = "Ray has died") -> NoReturn:
        """Become a fresh driver, or end: if somebody asked for the end, or Ray dies each time.

        Nothing is raised here: this may not be the thread that would hear it, and that one may wait for Ray for ever.

        Args:
            what: has happened, in words.
        """
        # A terminal that closes and a batch system that cancels end every process of a job, Ray's as well.
        time.sleep(SIGNAL_S)
        self.screen.release_terminal()
        if self.on_signal.reason:
            self._end(self.on_signal.reason, Interrupted.exit_code)
        restarts = self.ledger.restarts + 1
        if restarts > MAX_RESTARTS:
            self._end(f"{what} {restarts} times without a report between; see driver.log in the sweep's folder", 1)
        # On a full disk nothing is written; the fresh driver waits for room.
        with contextlib.suppress(OSError):
            self.ledger.write(events.Restarted(reason=what))
        self.screen.say(f"{what}; going on with a new one.")
        self._end_rays_processes()
        sys.stdout.flush()
        sys.stderr.flush()
        self.note.hand_on()
        # The same process id and terminal, and the lock; nothing else of before.
        os.execv(sys.executable, [sys.executable, "-m", "orchestrator", *self.again])

    def _end(self, why: str, exit_code: int) -> NoReturn:
        with contextlib.suppress(OSError):
            self.ledger.write(events.Closed(outcome=words.OUTCOME_INTERRUPTED, reason=why))
        self.screen.say(why)
        self.screen.say(self.resume_line)
        self._end_rays_processes()
        os._exit(exit_code)

    def _end_rays_processes(self) -> None:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if str(self.scratch) in " ".join(process.cmdline()):
                    process.kill()

"""The process that sends a sweep to MLflow: `python -m orchestrator.tracking SWEEP_FOLDER`.

It reads the sweep's folder, and writes what MLflow has acknowledged into files named `mlflow.json`. So it can be killed
and started again at any time: it sends what is missing, and nothing twice. It ends when its standard input ends, which
the driver closes, also by its death. Its state is in `tracking.json`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import time
from pathlib import Path

from filelock import FileLock

from orchestrator.driver_child import outlive_driver
from orchestrator.state.history import History
from orchestrator.tracking.batches import describe_left_out
from orchestrator.tracking.client import Gone, Refused, Unreachable
from orchestrator.tracking.mirror import Mirror
from orchestrator.tracking.sender import STATUS_FILE

POLL_S = 0.5
"""The time between two looks at the sweep's folder."""
MAX_BACKOFF_S = 30.0
"""The longest time between two attempts to reach MLflow."""
LOOK_LATE_S = 5.0
"""The time between two looks for new files of ended trials."""
SWEEP_EVERY_S = 5.0
"""The time between two updates of the sweep's own run, with its table and its page of sounds."""
STATUS_EVERY_S = 1.0
"""The time between two writes of `tracking.json` while many trials are sent."""
PATIENCE_S = 30.0
"""How long to try to reach MLflow after the driver has ended."""


def follow(
    folder: Path, *, once: bool = False, closed: threading.Event | None = None, patience_s: float = PATIENCE_S
) -> None:
    """Send a sweep to MLflow until its driver has ended, and then send what is left.

    Args:
        folder: the sweep's folder; if another process sends it, wait for that one to end.
        once: send what is in the folder now, and return.
        closed: the event that the caller sets when the driver has ended.
        patience_s: how long to try to reach MLflow at the end.
    """
    with FileLock(folder / "tracking.lock"):
        follower = Follower(folder)
        closed = closed or threading.Event()
        while not (once or closed.wait(POLL_S)):
            follower.look()
            follower.send()
        follower.finish(patience_s)


class Follower:
    """The loop's state: it looks at a sweep's folder, sends what is new, and writes `tracking.json`."""

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet.

        Args:
            folder: the sweep's folder.
        """
        self._folder = folder
        self._history = History(folder)
        self._mirror: Mirror | None = None
        self._waiting: set[int] = set()
        self._sweep_waits = False
        self._looked_late_s = 0.0
        self._sweep_sent_s = 0.0
        self._failures = 0
        self._retry_s = 0.0
        self._unreachable_since: int | None = None
        self._error: str | None = None
        self._status = ""
        self._status_s = 0.0

    def look(self, *, everywhere: bool = False) -> None:
        """Read what was written since the last look; some of the ended trials are included every `LOOK_LATE_S`.

        Args:
            everywhere: look for new files of all trials.
        """
        before = self._history.started, self._history.closed
        is_late_look = time.monotonic() - self._looked_late_s > LOOK_LATE_S
        if is_late_look:
            self._looked_late_s = time.monotonic()
        changed = self._history.refresh(everywhere=everywhere, late=is_late_look)
        # A trial that the log has lost is there no more.
        self._waiting = (self._waiting | changed) & self._history.trials.keys()
        if self._history.closed is not before[1] and self._history.is_finished:
            # The notes of all trials then have their places.
            self._waiting |= set(self._history.trials)
        self._sweep_waits |= bool(changed) or before != (self._history.started, self._history.closed)

    def send(self) -> bool:
        """Send what is waiting, unless the last failure is recent.

        Returns:
            True if everything has been sent.
        """
        if not self._history.started:
            return True
        if time.monotonic() >= self._retry_s:
            self._mirror = self._mirror or Mirror(self._history)
            try:
                self._send(self._mirror)
                self._failures, self._unreachable_since, self._error = 0, None, None
            except Exception as error:
                if not isinstance(error, Unreachable | Refused | Gone):
                    logging.getLogger("orchestrator").exception("sending failed")
                self._mirror.close()
                self._failures += 1
                self._retry_s = time.monotonic() + min(MAX_BACKOFF_S, POLL_S * 2 ** (self._failures - 1))
                self._unreachable_since = self._unreachable_since or int(time.time() * 1000)
                self._error = str(error) or type(error).__name__
        self._write_status()
        return not (self._waiting or self._sweep_waits)

    def finish(self, patience_s: float) -> None:
        """Send what is left, and return when that is done or MLflow was not reachable for `patience_s`."""
        self.look(everywhere=True)
        self._note_death()
        deadline = time.monotonic() + patience_s
        self._retry_s = self._sweep_sent_s = 0.0
        while not self.send() and time.monotonic() < deadline:
            time.sleep(POLL_S)
            self._retry_s = min(self._retry_s, time.monotonic())

    def _note_death(self) -> None:
        """Note in the history if the driver was killed."""
        # The pipe of a killed driver may close a moment before its lock is released.
        patience_s = time.monotonic() + 1
        while self._history.started and not self._history.closed and time.monotonic() < patience_s:
            if self._history.driver_is_dead():
                self._waiting |= self._history.lose_driver()
                self._sweep_waits = True
            time.sleep(0.05)

    def _send(self, mirror: Mirror) -> None:
        """Send the waiting trials, then the sweep's own run if that is due."""
        if mirror.pages is None:
            mirror.open()
            # All trials, because their runs refer to the sweep's run, which may be a new one.
            self._waiting |= set(self._history.trials)
            self._sweep_waits = True
        fault = None
        for number in sorted(self._waiting):
            try:
                if mirror.send_trial(self._history.trials[number]):
                    self._waiting.discard(number)
            except (Unreachable, Refused, Gone):
                raise
            except Exception as error:
                # An error of one trial must not keep the others from being sent.
                fault = error
            if time.monotonic() - self._status_s > STATUS_EVERY_S:
                self._write_status()
        if self._sweep_waits and time.monotonic() - self._sweep_sent_s > SWEEP_EVERY_S:
            mirror.send_sweep()
            self._sweep_waits, self._sweep_sent_s = False, time.monotonic()
        if fault:
            raise fault

    def _write_status(self) -> None:
        """Write `tracking.json` if anything in it has changed."""
        mirror = self._mirror
        pages = mirror and mirror.pages
        is_complete = bool(pages) and not (self._waiting or self._sweep_waits)
        backlog, left_out = 0, ""
        links: dict[str, str] = {}
        if mirror:
            backlog = mirror.backlog(self._waiting)
            left_out = describe_left_out(mirror.left_out)
            links = mirror.links()
        status = json.dumps(
            {
                "backlog": backlog,
                "waiting": len(self._waiting),
                "complete_bytes": self._history.offset if is_complete else None,
                "unreachable_since": self._unreachable_since,
                "error": self._error,
                "remark": mirror and mirror.remark,
                "left_out": left_out,
                "tracking_uri": self._history.started["tracking_uri"],
                "experiment_id": pages and pages.experiment_id,
                "run_id": pages and pages.run_id,
                "links": links,
            }
        )
        self._status_s = time.monotonic()
        if status == self._status:
            return
        # On a full disk the file stays old until there is space again.
        with contextlib.suppress(OSError):
            temporary = self._folder / f"{STATUS_FILE}.tmp"
            temporary.write_text(status)
            temporary.replace(self._folder / STATUS_FILE)
            self._status = status


def main() -> None:
    """Follow the sweep whose folder is named on the command line until standard input ends."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    follow(Path(sys.argv[1]), closed=outlive_driver())


if __name__ == "__main__":
    main()

"""The process that sends a sweep to MLflow: `python -m orchestrator.tracking SWEEP_FOLDER`.

It only reads the sweep's folder, and remembers in `mlflow.json` files what MLflow has acknowledged, so that it can be
killed and started at any time: what is missing is sent, and nothing twice. It ends when its standard input does, which
is when the driver closes it or dies. How it stands is in `tracking.json`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from filelock import FileLock

from orchestrator.state.history import History
from orchestrator.tracking.batches import in_words
from orchestrator.tracking.client import Gone, Refused, Unreachable
from orchestrator.tracking.mirror import Mirror
from orchestrator.tracking.sender import STATUS_FILE

POLL_S = 0.5
MAX_BACKOFF_S = 30.0
LOOK_LATE_S = 5.0
"""How often ended trials are looked at for what they still get."""
NICENESS = 10
"""Trials go before it: importing MLflow alone keeps a processor busy for seconds, just when the first trial starts."""
SWEEP_EVERY_S = 5.0
"""How often the sweep's own run, with its table and its page of sounds, follows its trials."""
STATUS_EVERY_S = 1.0
PATIENCE_S = 30.0
"""How long an MLflow that doesn't answer is waited for once the driver has gone."""


def follow(
    folder: Path, *, once: bool = False, closed: threading.Event | None = None, patience_s: float = PATIENCE_S
) -> None:
    """Send a sweep to MLflow until its driver has gone, and then what is left.

    Args:
        folder: the sweep's folder; another process that follows it is waited for.
        once: send what is there now, and end.
        closed: set by the caller when the driver has gone.
        patience_s: how long an MLflow that doesn't answer is waited for at the end.
    """
    with FileLock(folder / "tracking.lock"):
        follower = Follower(folder)
        closed = closed or threading.Event()
        while not (once or closed.wait(POLL_S)):
            follower.look()
            follower.send()
        follower.finish(patience_s)


class Follower:
    """Looks at a sweep's folder, sends what is new, and says how that goes."""

    def __init__(self, folder: Path) -> None:
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
        """Take in what was written since the last look, at ended trials only now and then, and at some of them."""
        before = self._history.started, self._history.closed
        is_time = time.monotonic() - self._looked_late_s > LOOK_LATE_S
        if is_time:
            self._looked_late_s = time.monotonic()
        changed = self._history.refresh(everywhere=everywhere, late=is_time)
        self._waiting |= changed
        self._sweep_waits |= bool(changed) or before != (self._history.started, self._history.closed)

    def send(self) -> bool:
        """Send what waits, unless MLflow was found unreachable a moment ago.

        Returns:
            Whether nothing waits any more.
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
        self._tell()
        return not (self._waiting or self._sweep_waits)

    def finish(self, patience_s: float) -> None:
        """Send what is left."""
        self.look(everywhere=True)
        self._notice_death()
        deadline = time.monotonic() + patience_s
        self._retry_s = self._sweep_sent_s = 0.0
        while not self.send() and time.monotonic() < deadline:
            time.sleep(POLL_S)
            self._retry_s = min(self._retry_s, time.monotonic())

    def _notice_death(self) -> None:
        # A killed driver's end of the pipe may close a moment before its lock opens.
        patience_s = time.monotonic() + 1
        while self._history.started and not self._history.closed and time.monotonic() < patience_s:
            if self._history.driver_is_dead():
                self._waiting |= self._history.lose_driver()
                self._sweep_waits = True
            time.sleep(0.05)

    def _send(self, mirror: Mirror) -> None:
        if mirror.pages is None:
            mirror.open()
            # Their runs name the sweep's run, which may be a new one.
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
                # What is wrong with one trial must not keep back the others.
                fault = error
            if time.monotonic() - self._status_s > STATUS_EVERY_S:
                self._tell()
        if self._sweep_waits and time.monotonic() - self._sweep_sent_s > SWEEP_EVERY_S:
            mirror.send_sweep()
            self._sweep_waits, self._sweep_sent_s = False, time.monotonic()
        if fault:
            raise fault

    def _tell(self) -> None:
        mirror = self._mirror
        pages = mirror and mirror.pages
        is_complete = bool(pages) and not (self._waiting or self._sweep_waits)
        status = json.dumps(
            {
                "backlog": mirror.backlog(self._waiting) if mirror else 0,
                "complete_bytes": self._history.offset if is_complete else None,
                "unreachable_since": self._unreachable_since,
                "error": self._error,
                "remark": mirror and mirror.remark,
                "left_out": in_words(mirror.left_out) if mirror else "",
                "tracking_uri": self._history.started["tracking_uri"],
                "experiment_id": pages and pages.experiment_id,
                "run_id": pages and pages.run_id,
                "links": mirror.links() if mirror else {},
            }
        )
        self._status_s = time.monotonic()
        if status == self._status:
            return
        # On a full disk nobody is told, until there is room again.
        with contextlib.suppress(OSError):
            temporary = self._folder / f"{STATUS_FILE}.tmp"
            temporary.write_text(status)
            temporary.replace(self._folder / STATUS_FILE)
            self._status = status


def main() -> None:
    """Follow the sweep whose folder is named on the command line until standard input ends."""
    os.nice(NICENESS)
    for ignored in (signal.SIGINT, signal.SIGHUP):
        # They are meant for the driver, whose last words are still to be sent.
        signal.signal(ignored, signal.SIG_IGN)
    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    closed = threading.Event()

    def wait_for_the_end() -> None:
        # Not through sys.stdin, whose lock this thread would hold while the interpreter shuts down.
        while os.read(sys.stdin.fileno(), 1):
            pass
        closed.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    follow(Path(sys.argv[1]), closed=closed)


if __name__ == "__main__":
    main()

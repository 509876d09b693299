"""The process that sends the notices of a sweep: `python -m orchestrator.notices SWEEP_FOLDER`.

It reads the sweep's folder, and remembers in `notices.jsonl` what it has sent. So it can be killed and started again at
any time. It ends some time after its standard input has ended, which the driver closes, also by its death; the driver
does not wait for it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path

from filelock import FileLock
from ruamel.yaml import YAML

from orchestrator.driver_child import outlive_driver
from orchestrator.notices.delivery import Deliveries
from orchestrator.notices.occasions import Watch
from orchestrator.search_space.section import Notice
from orchestrator.state.home import SEARCH_SPACE

POLL_S = 1.0
"""The time between two looks at the sweep's folder."""
DEATH_S = 2.0
"""How long to wait at the end for the driver's last event, or for its lock."""
PATIENCE_S = 600.0
"""How long to try to send after the driver has ended; what is left then is sent by the next driver's process."""


def read_notices(folder: Path) -> list[Notice]:
    """Return the section `notify` of a sweep's search space, which its driver has checked."""
    # Not by the reader of search spaces, which would import the trainable.
    space = YAML(typ="safe", pure=True).load((folder / SEARCH_SPACE).read_text(encoding="utf-8"))
    return [Notice(**entry) for entry in space.get("notify") or ()]


def follow(folder: Path, closed: threading.Event, patience_s: float = PATIENCE_S) -> None:
    """Send notices of a sweep until its driver has ended, and then what is left.

    Args:
        folder: the sweep's folder; if another process sends its notices, wait for that one to end.
        closed: is set when the driver has ended.
        patience_s: how long to try to send at the end.
    """
    with FileLock(folder / "notices.lock"):
        watch, deliveries = Watch(folder), Deliveries(folder, read_notices(folder))
        while not closed.wait(POLL_S):
            _step(watch, deliveries)
        _step(watch, deliveries)
        # The pipe of a killed driver may close a moment before its lock is released.
        deadline = time.monotonic() + DEATH_S
        while watch.is_open and time.monotonic() < deadline:
            time.sleep(0.1)
            watch.note_death()
            _step(watch, deliveries)
        deadline = time.monotonic() + patience_s
        # If the sweep has started once more, its driver has a process of its own, which waits for this one.
        while not (deliveries.are_complete or watch.is_open) and time.monotonic() < deadline:
            time.sleep(POLL_S)
            _step(watch, deliveries)


def _step(watch: Watch, deliveries: Deliveries) -> None:
    # On a full disk nothing can be remembered, and so nothing is sent until there is space.
    with contextlib.suppress(OSError):
        for happening in watch.look():
            for address in deliveries.addresses:
                deliveries.add(happening, address)
        for address in deliveries.addresses:
            if stall := watch.find_stall(address.notice.stalled_minutes):
                deliveries.add(stall, address)
        deliveries.send()


def main() -> None:
    """Send the notices of the sweep whose folder is named on the command line until standard input ends."""
    follow(Path(sys.argv[1]), outlive_driver())


if __name__ == "__main__":
    main()

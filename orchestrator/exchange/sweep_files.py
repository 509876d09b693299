"""A sweep's own files in the store, such as its log: with them another home can go on with the sweep."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from uuid import uuid4

from orchestrator.exchange.writers import driver_prefix, generation
from orchestrator.state.home import SEARCH_SPACE
from orchestrator.state.paths import CONTROLS, NOTICES, PREFERENCES, SWEEP_LOG, TRY_NEXT
from orchestrator.storage import durable
from orchestrator.storage.objects import ObjectStore, StoreError

RECORD = "storage.json"
"""In a sweep's folder: the address of its store, and the name under which this home writes there."""
FILES = (SEARCH_SPACE, CONTROLS, PREFERENCES, TRY_NEXT, NOTICES, SWEEP_LOG)
"""What is sent, the log last."""
EVERY_S = 5.0
"""The shortest time between two looks at the files."""
LAST_WAIT_S = 1.0
"""How long the last files wait for those that a thread still sends: that was waited for before."""


def token_key(sweep: str) -> str:
    """Return the key of the object by which machines see that they use the driver's store."""
    return f"{sweep}/home.token"


def list_drivers(store: ObjectStore, sweep: str) -> list[str]:
    """Return the homes that have driven a sweep, the last one last."""
    prefix = driver_prefix(sweep, "")
    return sorted({key.removeprefix(prefix).partition("/")[0] for key in store.list(prefix.rstrip("/"))})


def read_driver(folder: Path, uri: str) -> str | None:
    """Return the name under which this home writes to a store; None if it has not yet."""
    try:
        record = json.loads((folder / RECORD).read_text())
    except FileNotFoundError:
        return None
    return str(record["driver"]) if record["uri"] == uri else None


def name_driver(folder: Path, uri: str, earlier: list[str]) -> str:
    """Choose the name under which this home writes, keep it in the sweep's folder, and return it.

    Args:
        folder: the sweep's folder.
        uri: the address of the store.
        earlier: the homes that have driven the sweep before.
    """
    number = generation(earlier[-1]) + 1 if earlier else 1
    driver = f"{number:04d}-{uuid4().hex[:4]}"
    durable.write_whole(folder / RECORD, json.dumps({"uri": uri, "driver": driver}))
    return driver


class SweepFiles:
    """Sends a sweep's files whenever they have changed."""

    def __init__(self, store: ObjectStore, folder: Path, driver: str) -> None:
        """Send nothing yet.

        Args:
            store: the store.
            folder: the sweep's folder.
            driver: the name under which this home writes.
        """
        self._store = store
        self._folder = folder
        self._prefix = driver_prefix(folder.name, driver)
        self._sent: dict[str, tuple[int, int]] = {}
        self._evaluation = 0
        self._lock = threading.RLock()
        self._next_look_s = float("-inf")

    def number_evaluation(self) -> int:
        """Return a number for an evaluation that is higher than those of all before it, also of an earlier driver.

        It comes from the log, which grows with each start of a driver, since machines' clocks may differ.
        """
        self._evaluation = max(self._evaluation + 1, (self._folder / SWEEP_LOG).stat().st_size)
        return self._evaluation

    def send(self) -> None:
        """Send what has changed.

        Raises:
            StoreError: the store could not be written.
        """
        with self._lock:
            for name in FILES:
                path = self._folder / name
                if not path.exists():
                    continue
                status = path.stat()
                signature = status.st_size, status.st_mtime_ns
                if self._sent.get(name) != signature:
                    content = path.read_bytes()
                    # A line that is being written is sent when it is whole.
                    whole = content[: content.rfind(b"\n") + 1] if name.endswith(".jsonl") else content
                    self._store.put(f"{self._prefix}/{name}", whole)
                    self._sent[name] = signature

    def send_rest(self) -> None:
        """Send what has changed, unless the store still does not take what another thread sends.

        Raises:
            StoreError: the store could not be written, or does not take that.
        """
        if not self._lock.acquire(timeout=LAST_WAIT_S):
            raise StoreError(f"{self._store.uri}: does not take the end of the sweep's log")
        try:
            self.send()
        finally:
            self._lock.release()

    def send_sometimes(self) -> None:
        """Send what has changed, unless that was done a moment ago; a long log takes a twentieth of the time at most.

        Raises:
            StoreError: the store could not be written.
        """
        if time.monotonic() > self._next_look_s:
            began = time.monotonic()
            self.send()
            self._next_look_s = began + max(EVERY_S, 20 * (time.monotonic() - began))

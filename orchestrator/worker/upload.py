"""What is written to the store while the next epoch trains."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestrator.storage.objects import StoreError


class Upload:
    """A thread that writes once; whoever waits for it gets its error."""

    def __init__(self, write: Callable[[], None]) -> None:
        """Begin to write.

        Args:
            write: writes to the store, or raises a `StoreError` or an `OSError`.
        """
        self._write = write
        self._error: StoreError | OSError | None = None
        self._is_written = False
        # A process that is to end does not wait for a store that does not answer.
        self._thread = threading.Thread(target=self._run, daemon=True, name="upload")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._write()
            self._is_written = True
        except (StoreError, OSError) as error:
            self._error = error

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return not self._thread.is_alive()

    def wait(self, patience_s: float | None = None) -> None:
        """Wait until everything is written.

        Args:
            patience_s: how long to wait for that; None for as long as it takes.

        Raises:
            StoreError: it could not be written.
            OSError: the disk of the store is full.
        """
        self._thread.join(patience_s)
        if self._error is not None:
            raise self._error
        if self.is_over and not self._is_written:
            raise RuntimeError("the upload to the store ended with an error, whose traceback is above")

"""The driver's side of the process that sends notices."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.search_space.section import Notice


@contextlib.contextmanager
def send_notices(folder: Path, notices: Sequence[Notice]) -> Iterator[None]:
    """Send notices of a sweep in another process while the block runs; what is left at its end is not waited for.

    Args:
        folder: the sweep's folder.
        notices: the section `notify`; without entries no process is started.
    """
    if not notices:
        yield
        return
    with open(folder / "driver.log", "a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.notices", str(folder)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            # Ctrl-C is for the driver; this process still has to send that the sweep was interrupted.
            start_new_session=True,
        )
    try:
        yield
    finally:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()

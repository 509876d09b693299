"""Whether Ray is still there, and a fresh driver if it is not.

A Ray whose raylet has died does not say so: `Tuner.fit` returns as if every trial had failed, or never returns.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

LOOK_EVERY_S = 0.5


class RayDaemons:
    """The raylet that this process talks to and, where it was started here, its GCS server."""

    def __init__(self) -> None:
        import ray

        socket = ray._private.worker._global_node.raylet_socket_name
        raylets = [each for each in psutil.process_iter() if _argument(each, "--raylet_socket_name") == socket]
        # A driver that started again is the parent of those that died, too.
        own = [each for each in psutil.Process().children() if _status(each) != psutil.STATUS_ZOMBIE]
        self._started_here = [each for each in raylets if each in own]
        self._processes = [*raylets, *(each for each in own if _name(each) == "gcs_server")]

    def are_alive(self) -> bool:
        """Whether all of them run."""
        return all(each.is_running() and _status(each) != psutil.STATUS_ZOMBIE for each in self._processes)

    def end_workers(self) -> None:
        """End every trial at once, where nobody else's work runs: each goes on from its last epoch the next time.

        Tune would wait ten seconds for what is in the middle of an epoch.
        """
        for raylet in self._started_here:
            with contextlib.suppress(psutil.Error):
                for each in raylet.children():
                    if (title := " ".join(each.cmdline()).strip()).startswith("ray::") and not title.endswith("Agent"):
                        each.kill()

    @contextlib.contextmanager
    def watched(self, on_death: Callable[[], None]) -> Iterator[None]:
        """Call `on_death`, from a thread of its own, as soon as one of them dies in the block."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(LOOK_EVERY_S):
                if not self.are_alive():
                    on_death()
                    return

        thread = threading.Thread(target=watch, daemon=True, name="watch over Ray")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def start_again(arguments: Sequence[str], scratch: Path) -> None:
    """Become a fresh driver: the same process id and terminal, nothing else of before. Never returns.

    Args:
        arguments: of `orchestrate`.
        scratch: Ray's temporary folder; what is left of its processes, which have it in their arguments, is ended.
    """
    for each in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if str(scratch) in " ".join(each.cmdline()):
                each.kill()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "orchestrator", *arguments])


def _argument(process: psutil.Process, name: str) -> str | None:
    try:
        found = (each.partition("=") for each in process.cmdline())
        return next((value for key, _, value in found if key == name), None) if _name(process) == "raylet" else None
    except psutil.Error:
        return None


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return ""


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.Error:
        return str(psutil.STATUS_ZOMBIE)

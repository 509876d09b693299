"""Whether Ray is still there.

A Ray whose raylet has died does not say so: `Tuner.fit` returns as if every trial had failed, or never returns.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterator

import psutil


class RayDaemons:
    """The raylet that this process talks to and, where it was started here, its GCS server."""

    def __init__(self) -> None:
        import ray

        socket = ray._private.worker._global_node.raylet_socket_name
        raylets = [process for process in psutil.process_iter() if _argument(process, "--raylet_socket_name") == socket]
        # A driver that started again is the parent of those that died, too.
        own = [process for process in psutil.Process().children() if _status(process) != psutil.STATUS_ZOMBIE]
        self._started_here = [process for process in raylets if process in own]
        self._processes = [*raylets, *(process for process in own if _name(process) == "gcs_server")]

    def are_alive(self) -> bool:
        """Whether all of them run."""
        return all(process.is_running() and _status(process) != psutil.STATUS_ZOMBIE for process in self._processes)

    def end_workers(self) -> None:
        """End every trial at once, where nobody else's work runs: each goes on from its last epoch the next time.

        Tune would wait ten seconds for what is in the middle of an epoch.
        """
        for raylet in self._started_here:
            with contextlib.suppress(psutil.Error):
                for child in raylet.children():
                    if (title := " ".join(child.cmdline()).strip()).startswith("ray::") and not title.endswith("Agent"):
                        child.kill()

    @contextlib.contextmanager
    def watched(self, on_death: Callable[[], None]) -> Iterator[None]:
        """Call `on_death`, from a thread of its own, at the instant when one of them dies in the block.

        It is in a hurry: whichever thread asks Ray for something first makes it end the whole process.
        """
        with contextlib.ExitStack() as open_files:
            over = os.eventfd(0)
            open_files.callback(os.close, over)
            daemons = []
            for process in self._processes:
                # One that died before is noticed by `are_alive`.
                with contextlib.suppress(ProcessLookupError):
                    daemons.append(os.pidfd_open(process.pid))
                    open_files.callback(os.close, daemons[-1])

            def watch() -> None:
                died, _, _ = select.select([over, *daemons], [], []) if self.are_alive() else ([], [], [])
                if over not in died:
                    on_death()

            thread = threading.Thread(target=watch, daemon=True, name="watch over Ray")
            thread.start()
            try:
                yield
            finally:
                os.eventfd_write(over, 1)
                thread.join()


def _argument(process: psutil.Process, name: str) -> str | None:
    try:
        arguments = (argument.partition("=") for argument in process.cmdline())
        return next((value for key, _, value in arguments if key == name), None) if _name(process) == "raylet" else None
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

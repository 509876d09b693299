"""Watch Ray's processes, and end them.

If the raylet dies, Ray reports no error: `Tuner.fit` returns as if every trial had failed, or never returns.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections.abc import Callable, Iterator

import psutil


class RayDaemons:
    """The raylet to which this process is connected and, if this process started it, its GCS server."""

    def __init__(self) -> None:
        """Find the processes; Ray must have started."""
        import ray

        socket = ray._private.worker._global_node.raylet_socket_name
        raylets = [process for process in psutil.process_iter() if _argument(process, "--raylet_socket_name") == socket]
        # After a restart this process is also the parent of the dead processes of the Ray before.
        own = [process for process in psutil.Process().children() if _status(process) != psutil.STATUS_ZOMBIE]
        self._started_here = [process for process in raylets if process in own]
        self._processes = [*raylets, *(process for process in own if _name(process) == "gcs_server")]

    def are_alive(self) -> bool:
        """Return whether all of them run."""
        return all(process.is_running() and _status(process) != psutil.STATUS_ZOMBIE for process in self._processes)

    def end_workers(self) -> None:
        """Kill the workers of a raylet that this process started; their trials can resume from their last epoch.

        Tune would wait ten seconds for a worker in the middle of an epoch. On a cluster that others use nothing is
        killed.
        """
        for raylet in self._started_here:
            with contextlib.suppress(psutil.Error):
                for child in raylet.children():
                    title = " ".join(child.cmdline()).strip()
                    # The raylet's agents are its children, too.
                    if title.startswith("ray::") and not title.endswith("Agent"):
                        child.kill()

    @contextlib.contextmanager
    def call_on_death(self, on_death: Callable[[], None]) -> Iterator[None]:
        """Call a function from a thread of its own as soon as one of the processes dies during the block.

        The function must act at once: if another thread calls Ray before it, Ray ends the whole process.

        Args:
            on_death: the function.
        """
        with contextlib.ExitStack() as open_files:
            block_ended = os.eventfd(0)
            open_files.callback(os.close, block_ended)
            daemons = []
            for process in self._processes:
                # If it has died already, `are_alive` is False below.
                with contextlib.suppress(ProcessLookupError):
                    daemons.append(os.pidfd_open(process.pid))
                    open_files.callback(os.close, daemons[-1])

            def watch() -> None:
                # A pidfd becomes readable when its process ends.
                if not self.are_alive() or block_ended not in _wait_for_any(block_ended, *daemons):
                    on_death()

            thread = threading.Thread(target=watch, daemon=True, name="watch over Ray")
            thread.start()
            try:
                yield
            finally:
                os.eventfd_write(block_ended, 1)
                thread.join()


def _wait_for_any(*files: int) -> list[int]:
    """Wait until files can be read, and return which; `select.select` refuses numbers above 1023."""
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        return [key.fd for key, _ in selector.select()]


def _argument(process: psutil.Process, name: str) -> str | None:
    """Return the value of an argument of a raylet; None for other processes."""
    try:
        if _name(process) != "raylet":
            return None
        arguments = (argument.partition("=") for argument in process.cmdline())
        return next((value for key, _, value in arguments if key == name), None)
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

"""The load of this machine: of its CPU, its memory and its GPUs."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass

import psutil

EVERY_S = 2.0
"""Time between two measurements."""
PATIENCE_S = 10.0
"""How long `nvidia-smi` may take."""
GIB = 2**30
QUERY = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"]


@dataclass(frozen=True)
class Load:
    """How busy one part of the machine is.

    Attributes:
        name: the part.
        share: from 0 to 1.
        detail: the total of the share.
    """

    name: str
    share: float
    detail: str


class Machine:
    """Measures the load at most every `EVERY_S` seconds; GPUs in a thread, since asking them takes long."""

    def __init__(self) -> None:
        self._loads: list[Load] = []
        self._cards: list[Load] = []
        self._measured_s = float("-inf")
        self._thread: threading.Thread | None = None
        self._has_cards = shutil.which(QUERY[0]) is not None

    def measure(self) -> list[Load]:
        """Return the load of the CPU, of the memory, and of each GPU with its memory."""
        if time.monotonic() - self._measured_s >= EVERY_S:
            self._measured_s = time.monotonic()
            memory = psutil.virtual_memory()
            used = memory.total - memory.available
            self._loads = [
                Load("CPU", psutil.cpu_percent() / 100, f"of {psutil.cpu_count()} cores"),
                Load("memory", used / memory.total, f"{used / GIB:.1f} of {memory.total / GIB:.1f} GiB"),
            ]
            if self._has_cards and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._ask_cards, daemon=True)
                self._thread.start()
        return [*self._loads, *self._cards]

    def _ask_cards(self) -> None:
        try:
            answer = subprocess.run(QUERY, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
            self._cards = parse_cards(answer.stdout)
        except (OSError, ValueError, subprocess.SubprocessError):
            # A driver that does not answer must not disturb the display.
            self._cards = []


def parse_cards(text: str) -> list[Load]:
    """Return the load and the memory of each GPU in an answer to `QUERY`.

    Raises:
        ValueError: a GPU does not tell its load.
    """
    loads = []
    for index, line in enumerate(text.splitlines()):
        busy, used_mib, total_mib = (float(value) for value in line.split(","))
        memory = f"{used_mib / 1024:.1f} of {total_mib / 1024:.1f} GiB"
        loads += [Load(f"GPU {index}", busy / 100, "busy"), Load(f"GPU {index}", used_mib / total_mib, memory)]
    return loads

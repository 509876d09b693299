"""Why a trial's process died, as far as its log and the kernel can tell."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from reports import vocabulary as words

ATTEMPT = "--- attempt"
"""How the lines of an attempt begin in a trial's log."""
EXIT = "os._exit"
"""How a line begins that says that the code ended the process."""
TAIL_BYTES = 100_000
RECENT_S = 60.0
"""So long after a kill Ray has noticed it."""
OOM_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))


def last_attempt(path: Path) -> list[str]:
    """The lines of a trial's log since its last attempt began, at most the last 100 kB."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    begins = [number for number, line in enumerate(lines) if line.startswith(ATTEMPT)]
    return lines[begins[-1] :] if begins else lines


def cause_of_death(path: Path, attempt: int, *, out_of_memory: Callable[[], bool]) -> tuple[str, str]:
    """The cause and the reason of a process's death.

    Args:
        path: the trial's log, where a crash leaves its stack.
        attempt: the attempt that died; it may not have come to write anything.
        out_of_memory: whether a kill by the kernel for want of memory may be this one; asked where nothing else is
            known.
    """
    lines = last_attempt(path)
    # An attempt that said much has its first line beyond the tail.
    is_another = bool(lines) and lines[0].startswith(ATTEMPT) and not lines[0].startswith(f"{ATTEMPT} {attempt},")
    text = "" if is_another else "\n".join(lines)
    if re.search(r"^Timeout \(", text, re.MULTILINE):
        return words.CAUSE_TIMEOUT, "no epoch within limits.minutes_per_epoch, and nothing but its end could stop it"
    if crash := re.search(r"^Fatal Python error: (.+)$", text, re.MULTILINE):
        return words.CAUSE_NODE, f"its process crashed ({crash[1]}; the stack is in its log)"
    if exit_ := re.search(rf"^{re.escape(EXIT)}\((-?\d+)\)", text, re.MULTILINE):
        return words.CAUSE_NODE, f"its code ended the process, os._exit({exit_[1]}) (the stack is in its log)"
    if exit_ := re.search(r"^SystemExit(?:: (.*))?$", text, re.MULTILINE):
        return words.CAUSE_NODE, f"its code ended the process, sys.exit({exit_[1] or ''}) (the stack is in its log)"
    if out_of_memory():
        return words.CAUSE_OOM, "the machine had no memory left, and the kernel killed its process"
    return words.CAUSE_NODE, "its process was killed (signal 9)"


class MemoryKills:
    """The kernel's kills for want of memory, each of which explains one death soon after it."""

    def __init__(self) -> None:
        self._count = kills_for_memory()
        self._noticed_s: list[float] = []

    def look(self) -> None:
        """Notice new ones."""
        count = kills_for_memory()
        self._noticed_s += [time.monotonic()] * (count - self._count)
        self._count = count

    def take(self) -> bool:
        """Whether there is one that may explain a death just now; it explains no other."""
        self.look()
        self._noticed_s = [noticed_s for noticed_s in self._noticed_s if time.monotonic() - noticed_s < RECENT_S]
        return bool(self._noticed_s and self._noticed_s.pop())


def kills_for_memory() -> int:
    """How often the kernel has killed for memory: in this container where it counts that, else on this machine."""
    for path in OOM_COUNTERS:
        try:
            counter = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
        except OSError:
            continue
        if counter:
            return int(counter[1])
    return 0

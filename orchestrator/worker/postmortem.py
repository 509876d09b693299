"""Why a trial's process died, inferred from its log and from the kernel's counter of out-of-memory kills."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from reports import vocabulary as words

ATTEMPT = "--- attempt"
"""The beginning of the first line of each attempt in a trial's log."""
MACHINE = "--- machine"
"""The beginning of the line in a trial's log with Ray's id of the machine that works on it from there on."""
END_SIGNAL = "--- its process was told to end (SIGTERM)"
"""The beginning of the line in a trial's log that says that its process received SIGTERM."""
EXIT = "os._exit"
"""The beginning of the line in a trial's log that says that its code called `os._exit`."""
TAIL_BYTES = 100_000
"""How much of the end of a trial's log is read."""
NEVER_STARTED = ("an error raised in its creation task", "The actor never ran")
"""Phrases in Ray's errors about a process that could not be started, such as one that can't import this program."""
RECENT_S = 60.0
"""The longest time between a kill by the kernel and Ray's report of the death."""
OOM_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))
"""The files with the kernel's count of kills for lack of memory: of this container, and of this machine."""


def read_last_attempt(path: Path) -> list[str]:
    """Return the lines of a trial's log since its last attempt began, within the last 100 kB."""
    lines = _read_tail(path).splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith(ATTEMPT)]
    return lines[begins[-1] :] if begins else lines


def _read_tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def was_told_to_end(path: Path, attempt: int) -> bool:
    """Return whether the last process of an attempt received SIGTERM, according to the trial's log."""
    # An evaluation has the number of the trial's last attempt, and so have its repetitions, but each of their processes
    # names its machine first. The code may have printed half a line before that, and before the signal came.
    text_of_process = _read_tail(path).rpartition(f"{MACHINE} ")[2]
    return f"{END_SIGNAL}, attempt {attempt}\n" in text_of_process


def is_of_another(lines: list[str], attempt: int) -> bool:
    """Return whether the lines of a log's last attempt are of an earlier one: this one died before it wrote any."""
    # The first line of an attempt with much output is before the part of the log that is read.
    return bool(lines) and lines[0].startswith(ATTEMPT) and not lines[0].startswith(f"{ATTEMPT} {attempt},")


def read_machine(path: Path, attempt: int) -> str:
    """Return Ray's id of the machine that worked on an attempt last, according to its log; "" if it is not there."""
    lines = read_last_attempt(path)
    named = [] if is_of_another(lines, attempt) else [line for line in lines if line.startswith(MACHINE)]
    return named[-1].removeprefix(MACHINE).split()[0].rstrip(",") if named else ""


def has_run_on(path: Path, machine: str) -> bool:
    """Return whether a trial has run on a machine, by Ray's id, according to the end of its log."""
    return f"{MACHINE} {machine}," in _read_tail(path)


def explain_start(error: BaseException | None) -> str:
    """Return the last line of Ray's error if it says that a process could not be started; "" if it was started."""
    text = str(error or "").strip()
    return text.splitlines()[-1].strip() if any(phrase in text for phrase in NEVER_STARTED) else ""


def cause_of_death(path: Path, attempt: int, *, out_of_memory: Callable[[], bool]) -> tuple[str, str]:
    """Return the cause and the reason of the death of a trial's process.

    Args:
        path: the trial's log, to which a crash writes its stack.
        attempt: the number of the attempt that died; it may have died before it wrote anything.
        out_of_memory: returns whether the kernel may have killed the process for lack of memory. It is called only if
            the log gives no cause.
    """
    lines = read_last_attempt(path)
    text = "" if is_of_another(lines, attempt) else "\n".join(lines)
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
    """The kernel's kills for lack of memory since this was made; each of them explains at most one death."""

    def __init__(self) -> None:
        self._count = count_memory_kills()
        self._noticed_s: list[float] = []

    def look(self) -> None:
        """Note the time of new kills."""
        count = count_memory_kills()
        self._noticed_s += [time.monotonic()] * (count - self._count)
        self._count = count

    def take(self) -> bool:
        """Return whether a recent kill may explain a death that has just been reported, and use that kill up."""
        self.look()
        self._noticed_s = [noticed_s for noticed_s in self._noticed_s if time.monotonic() - noticed_s < RECENT_S]
        return bool(self._noticed_s and self._noticed_s.pop())


def count_memory_kills() -> int:
    """Return how often the kernel has killed for lack of memory, in this container if it counts that, else in all."""
    for path in OOM_COUNTERS:
        try:
            counter = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
        except OSError:
            continue
        if counter:
            return int(counter[1])
    return 0

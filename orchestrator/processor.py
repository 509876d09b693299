"""CPUs on which a version of torch is known to crash, and a probe that tries it in a child process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

Outcome = Literal["fine", "crashed", "hung", "failed"]
"""How the probe ended; `failed`: with a Python error, which says nothing about the CPU."""
CPUINFO = Path("/proc/cpuinfo")
INSTRUCTION_SETS: dict[str, frozenset[str]] = {
    "AVX512": frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq"}),
    "AVX2": frozenset({"avx2"}),
    "AVX": frozenset({"avx"}),
    "SSE41": frozenset({"sse4_1"}),
}
"""The instruction sets for which oneDNN has kernels, best first, and the CPU flags that each needs."""
OTHER = "other"
BROKEN = frozenset({("2.14.1", "AVX2"), ("2.15.0", "AVX2")})
"""Pairs of a torch version and an instruction set that crash; docs/known_problems.md has the measurements."""
KNOWN = "known problem:"
"""The beginning of the line that a worker writes into a trial's log."""
RULE = "a strided 1x1 convolution with fewer than 8 input channels in channels-last memory"
"""The operation that crashes."""
PROBE_LIMIT_S = 120.0
PROBE = f"""
import resource, torch
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
torch.set_num_threads(1)
for channels in (1, 3, 4, 5):
    # {RULE}
    layer = torch.nn.Conv2d(channels, 24, 1, stride=2).to(memory_format=torch.channels_last)
    for _ in range(20):
        maps = torch.randn(16, channels, 64, 64).to(memory_format=torch.channels_last)
        layer(maps).square().mean().backward()
"""


@cache
def torch_version() -> str:
    """Return the installed version of torch without its build suffix: `2.14.1` for `2.14.1+cu126`."""
    return version("torch").partition("+")[0]


def instruction_set(environment: Mapping[str, str] = os.environ) -> str:
    """Return the best instruction set of this CPU that ONEDNN_MAX_CPU_ISA allows; `other` if it has none."""
    try:
        line = re.search(r"^flags\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        line = None
    flags = set(line[1].split()) if line else set()
    limit = environment.get("ONEDNN_MAX_CPU_ISA", "").upper()
    names = list(INSTRUCTION_SETS)
    # A limit such as AVX512_CORE_BF16 allows what AVX512 allows; an unknown limit allows everything.
    allowed = [place for place, name in enumerate(names) if limit == name or limit.startswith(f"{name}_")]
    best = allowed[0] if allowed else 0
    for name in names[best:]:
        if flags >= INSTRUCTION_SETS[name]:
            return name
    return OTHER


def is_broken() -> bool:
    """Return whether this version of torch is known to crash on this CPU."""
    return (torch_version(), instruction_set()) in BROKEN


def probe(command: Sequence[str] = (sys.executable, "-c", PROBE), limit_s: float = PROBE_LIMIT_S) -> Outcome:
    """Run a child process that executes the operation that is known to crash, and return how it ended."""
    try:
        child = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return "hung"
    if child.returncode < 0:
        # A signal ended it.
        return "crashed"
    return "failed" if child.returncode else "fine"


def probe_once() -> Outcome:
    """Return the outcome of the probe on this machine; only the first call runs it and caches it on the disk."""
    name = f"orchestrate-probe-{os.getuid()}-torch-{torch_version()}-{instruction_set()}"
    path = Path(tempfile.gettempdir()) / name
    outcomes: dict[str, Outcome] = {outcome: outcome for outcome in get_args(Outcome)}
    try:
        if path.lstat().st_uid == os.getuid() and (text := path.read_text()) in outcomes:
            return outcomes[text]
    except (OSError, UnicodeDecodeError):
        pass  # There is no cached outcome yet.
    outcome = probe()
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=name, delete=False) as file:
            file.write(outcome)
        os.replace(file.name, path)
    except OSError:
        pass  # The outcome is not cached, so the next worker probes again.
    return outcome


def warning(outcome: Outcome) -> str:
    """Return the warning for users whose own trainable runs on a CPU on which torch crashes."""
    pair = f"torch {torch_version()} on {instruction_set()} without AVX-512"
    return (
        f"{pair} corrupts memory in the weight gradient of {RULE} (the probe: {outcome}); shipped trainables avoid it,"
        " and your own must not use one (docs/known_problems.md)"
    )


def known_problem() -> str | None:
    """Return the line for a trial's log if this version of torch is known to crash on this CPU, else None."""
    return f"{KNOWN} {warning(probe_once())}" if is_broken() else None

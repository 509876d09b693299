"""Which processors a version of torch is known to crash on, and a probe of that in a process of its own."""

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
"""`failed`: the probe ended with an error of Python's, which says nothing of the processor."""
CPUINFO = Path("/proc/cpuinfo")
INSTRUCTION_SETS: dict[str, frozenset[str]] = {
    "AVX512": frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq"}),
    "AVX2": frozenset({"avx2"}),
    "AVX": frozenset({"avx"}),
    "SSE41": frozenset({"sse4_1"}),
}
"""Those that oneDNN tells apart here, best first, and the flags of the processor that each needs."""
OTHER = "other"
BROKEN = frozenset({("2.14.1", "AVX2"), ("2.15.0", "AVX2")})
"""Versions of torch and instruction sets; docs/known_problems.md has the measurements."""
KNOWN = "known problem:"
"""How the line begins that a worker writes into a trial's log."""
RULE = "a strided 1x1 convolution with fewer than 8 input channels in channels-last memory"
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
    """The installed version, without what it was built for."""
    return version("torch").partition("+")[0]


def instruction_set(environment: Mapping[str, str] = os.environ) -> str:
    """The best instruction set that oneDNN uses: what the processor has, within ONEDNN_MAX_CPU_ISA."""
    try:
        line = re.search(r"^flags\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        line = None
    flags = set(line[1].split()) if line else set()
    limit = environment.get("ONEDNN_MAX_CPU_ISA", "").upper()
    names = list(INSTRUCTION_SETS)
    allowed = [place for place, name in enumerate(names) if limit == name or limit.startswith(f"{name}_")]
    for name in names[allowed[0] if allowed else 0 :]:
        if flags >= INSTRUCTION_SETS[name]:
            return name
    return OTHER


def is_broken() -> bool:
    """Whether this version of torch is known to crash on this processor."""
    return (torch_version(), instruction_set()) in BROKEN


def probe(command: Sequence[str] = (sys.executable, "-c", PROBE), limit_s: float = PROBE_LIMIT_S) -> Outcome:
    """What becomes of a child process that computes what is known to crash."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return "hung"
    if done.returncode < 0:
        return "crashed"
    return "failed" if done.returncode else "fine"


def remembered_probe() -> Outcome:
    """The outcome of the probe on this machine; the first time, it is run and kept below the temporary folder."""
    name = f"orchestrate-probe-{os.getuid()}-torch-{torch_version()}-{instruction_set()}"
    path = Path(tempfile.gettempdir()) / name
    outcomes: dict[str, Outcome] = {outcome: outcome for outcome in get_args(Outcome)}
    try:
        if path.lstat().st_uid == os.getuid() and (text := path.read_text()) in outcomes:
            return outcomes[text]
    except (OSError, UnicodeDecodeError):
        pass  # Nobody has probed yet.
    outcome = probe()
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=name, delete=False) as file:
            file.write(outcome)
        os.replace(file.name, path)
    except OSError:
        pass  # Then the next worker probes again.
    return outcome


def warning(outcome: Outcome) -> str:
    """What somebody has to know whose own trainable runs on a processor that torch crashes on."""
    pair = f"torch {torch_version()} on {instruction_set()} without AVX-512"
    return (
        f"{pair} corrupts memory in the weight gradient of {RULE} (the probe: {outcome}); shipped trainables avoid it,"
        " and your own must not use one (docs/known_problems.md)"
    )


def known_problem() -> str | None:
    """The line that says so where this version of torch is known to crash; None elsewhere."""
    return f"{KNOWN} {warning(remembered_probe())}" if is_broken() else None

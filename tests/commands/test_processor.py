"""Processors that torch is known to crash on: the table, the probe, and who says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator import processor


@pytest.mark.parametrize(
    ("flags", "limit", "expected"),
    [
        ("sse4_1 avx avx2", "", "AVX2"),
        ("sse4_1 avx avx2 avx512f avx512bw avx512vl avx512dq", "", "AVX512"),
        ("sse4_1 avx avx2 avx512f avx512bw avx512vl avx512dq", "avx2_vnni", "AVX2"),
        ("sse4_1 avx avx2 avx512f avx512bw avx512vl avx512dq", "SSE41", "SSE41"),
        ("sse4_1 avx avx2", "AVX512_CORE", "AVX2"),
        ("asimd", "", processor.OTHER),
    ],
)
def test_the_instruction_set_is_what_the_processor_has_within_the_limit(
    flags: str, limit: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n")
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    assert processor.instruction_set({"ONEDNN_MAX_CPU_ISA": limit}) == expected


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("pass", "fine"),
        ("import os; os.abort()", "crashed"),
        ("import time; time.sleep(60)", "hung"),
        ("raise ValueError", "failed"),
    ],
)
def test_a_probe_tells_a_crash_from_a_hang_and_from_an_error(code: str, outcome: str) -> None:
    assert processor.probe((sys.executable, "-c", code), limit_s=2) == outcome


@pytest.mark.parametrize("is_known", [True, False])
def test_a_known_pair_of_version_and_processor_is_told_with_what_the_probe_saw(
    is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = (processor.torch_version(), processor.instruction_set())
    monkeypatch.setattr(processor, "BROKEN", {pair} if is_known else set())
    problem = processor.known_problem()
    if not is_known:
        assert problem is None
        return
    assert problem is not None and problem.startswith(f"{processor.KNOWN} torch {pair[0]} on {pair[1]}")
    assert "(the probe: " in problem and processor.RULE in problem

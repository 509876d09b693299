"""A short run of `tests/benchmarks/power_cut.py`: what was judged survives a machine that loses power."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.power_cut import mounted_disk, run


@pytest.mark.timeout(1800)
def test_a_power_cut_mixes_nothing_and_loses_nothing_that_was_judged(tmp_path: Path) -> None:
    with mounted_disk(tmp_path) as disk:
        assert disk is not None, "a file system can't be mounted here: it needs root and loop devices"
        outcome = run(tmp_path, disk, cuts=3, seed=1)
    assert not outcome.wrong
    assert outcome.cuts == 3 and outcome.put_back == 1 and outcome.trials == 20

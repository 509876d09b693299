"""A short run of `tests/benchmarks/power_cut.py`: what was judged survives a machine that loses power."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.benchmarks.power_cut import mounted_disk, run
from trainables.support.cache import write_once

pytestmark = pytest.mark.root
CANNOT_MOUNT = "a file system can't be mounted here: it needs root and loop devices"


@pytest.mark.timeout(1800)
def test_a_power_cut_mixes_nothing_and_loses_nothing_that_was_judged(tmp_path: Path) -> None:
    with mounted_disk(tmp_path) as disk:
        assert disk is not None, CANNOT_MOUNT
        outcome = run(tmp_path, disk, cuts=2, seed=1, put_back_every=2)
    assert not outcome.wrong
    assert outcome.cuts == 2 and outcome.put_back == 1 and outcome.trials == 16


def test_a_power_cut_leaves_no_part_of_a_cached_file_under_its_name(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096

    def write(part: Path) -> None:
        part.write_bytes(content)

    with mounted_disk(tmp_path) as disk:
        assert disk is not None, CANNOT_MOUNT
        path = write_once(tmp_path / "home" / "cache" / "judge.pt", write)
        # The name reaches the disk together with whatever the next process syncs.
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        disk.keep()
        disk.unmount()
        disk.restore()
        assert disk.mount()
        assert path.read_bytes() == content

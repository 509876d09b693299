"""A short run of `tests/benchmarks/power_cut.py`: what was judged survives a machine that loses power."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.plugins.loader import Media
from orchestrator.storage import json_lines
from orchestrator.worker import media
from tests.benchmarks.power_cut import Disk, mounted_disk, run
from trainables.command.snapshots import Snapshots
from trainables.corpora.shards.decoded import Decoded
from trainables.corpora.shards.shard import ARRAY, ShardWriter, read_entries
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


def cut_power(disk: Disk) -> None:
    """Lose what has not reached the disk."""
    disk.keep()
    disk.unmount()
    disk.restore()
    assert disk.mount()


@pytest.fixture(scope="module")
def disk_and_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Disk, Path]]:
    folder = tmp_path_factory.mktemp("disk")
    with mounted_disk(folder) as disk:
        assert disk is not None, CANNOT_MOUNT
        yield disk, folder / "home"


def test_the_tables_of_an_evaluation_are_there_if_the_log_says_that_it_is_over(
    disk_and_home: tuple[Disk, Path],
) -> None:
    disk, home = disk_and_home
    log = json_lines.Log(home / "sweep.jsonl")
    sound = np.linspace(-1, 1, 20_000, dtype=np.float32)
    media.write(
        home / "trials" / "0001" / "media" / "best",
        Media(audio={"dog": sound}, images={}, clips=[{"clip": "dog"}], rate_hz=16_000),
        epoch=3,
        tables={"per_recording.csv": pd.DataFrame({"recording": ["dog"], "lsd": [0.5]})},
    )
    log.append({"event": "evaluated"})
    log.close()
    cut_power(disk)
    assert json_lines.read(home / "sweep.jsonl")[0] == [{"event": "evaluated"}]
    folder = home / "trials" / "0001" / "media" / "best"
    assert pd.read_csv(folder / "per_recording.csv").to_dict("records") == [{"recording": "dog", "lsd": 0.5}]
    assert (folder / "dog.wav").stat().st_size > 2 * len(sound)


def test_a_copy_of_a_commands_checkpoint_has_its_name_before_older_ones_are_deleted(
    disk_and_home: tuple[Disk, Path],
) -> None:
    disk, home = disk_and_home
    checkpoint, copies = home / "checkpoint", home / "command" / "kept"
    snapshots = Snapshots(checkpoint, copies)
    for epoch in range(1, 4):
        checkpoint.write_text("weights" * epoch)
        assert snapshots.take(epoch, is_sure=True)
        cut_power(disk)
        assert (copies / str(epoch)).read_text() == "weights" * epoch


def test_a_finished_shard_keeps_its_name(disk_and_home: tuple[Disk, Path]) -> None:
    disk, home = disk_and_home
    writer = ShardWriter(home, (4,), np.int16)
    entry = writer.append("dog", "key", Decoded(np.full((3, 4), 7, np.int16), (0.0, 2.0, 4.0)))
    name = writer.finish()
    cut_power(disk)
    assert read_entries(home / f"{name}.jsonl") == [entry]
    assert (np.load(home / f"{name}{ARRAY}") == np.full((3, 4), 7)).all()

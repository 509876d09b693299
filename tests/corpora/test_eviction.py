"""Features that were not used for long are evicted, and none that a process holds."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from orchestrator.plugins.corpora import evict_features
from trainables.corpora.features import list_feature_sets
from trainables.support.evictable import evict, hold_once

SIZE = 1000
READER = """
import sys
from pathlib import Path
from trainables.support.evictable import hold_once
path = hold_once(Path(sys.argv[1]), lambda path: path.write_bytes(b"made anew"))
print(path.read_bytes()[:9].decode(), flush=True)
sys.stdin.read()
"""


def write(path: Path, age_s: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(SIZE * b"x")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def save(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def start_reader(path: Path) -> subprocess.Popen[str]:
    """Start a process that holds a file until it is killed."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", READER, str(path)], stdin=pipe, stdout=pipe, text=True)


def read_line(reader: subprocess.Popen[str]) -> str:
    assert reader.stdout is not None
    return reader.stdout.readline().strip()


def test_the_least_recently_used_goes_first_and_what_a_process_holds_stays_until_it_is_killed(tmp_path: Path) -> None:
    held, old, new = (write(tmp_path / name, age_s) for name, age_s in (("held", 300), ("old", 200), ("new", 100)))
    reader = start_reader(held)
    try:
        assert read_line(reader) == "xxxxxxxxx"
        os.utime(held, (0, 0))
        assert evict([held, old, new], 2 * SIZE) == ([old], 2 * SIZE)
        assert evict([held, old, new], 0) == ([new], SIZE), "what is gone is no mistake"
    finally:
        reader.kill()
        reader.communicate()
    assert evict([held], 0) == ([held], 0)


def test_using_a_file_makes_it_recent(tmp_path: Path) -> None:
    first, second = write(tmp_path / "first", 200), write(tmp_path / "second", 100)
    reader = start_reader(first)
    read_line(reader)
    reader.kill()
    reader.communicate()
    assert evict([first, second], SIZE) == ([second], SIZE)


def test_who_waits_for_an_eviction_makes_the_file_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "features", 100)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        reader = start_reader(path)
        lines: list[str] = []
        line = threading.Thread(target=lambda: lines.append(read_line(reader)))
        line.start()
        line.join(1)
        path.unlink()
    line.join(60)
    reader.kill()
    reader.communicate()
    assert lines == ["made anew"]


def test_this_process_evicts_nothing_of_its_own_and_reads_what_was_deleted_anew(tmp_path: Path) -> None:
    path = tmp_path / "features"
    hold_once(path, lambda path: save(path, b"first"))
    assert evict([path], 0) == ([], 5)
    path.unlink()
    hold_once(path, lambda path: save(path, b"second"))
    assert path.read_bytes() == b"second" and evict([path], 0) == ([], 6)


def test_only_features_of_the_home_are_evicted_and_what_was_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "0123456789ab"
    names = ("log_power-48x128.npy", "angle-192x512.npy", "judge.npz", "motion-1.npy")
    for number, name in enumerate(names):
        write(folder / name, 100 - number)
    lines: list[str] = []
    evict_features(tmp_path, None, lines.append)
    assert len(list_feature_sets(tmp_path)) == 2 and not lines
    evict_features(tmp_path, SIZE / 2**30, lines.append)
    assert lines == ["Deleted from the cache, since cache.max_gib is 9.31323e-07: 0123456789ab/log_power-48x128"]
    hold_once(folder / "angle-192x512.npy", lambda path: save(path, b""))
    evict_features(tmp_path, 0, lines.append)
    assert lines[1:] == ["The cache has 0.00 GiB of features in use, more than cache.max_gib (0)"]
    assert {path.name for path in folder.iterdir()} == set(names[1:])

"""The cache of decoded recordings: appended to, continued after a kill, and never read half-written."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from trainables.corpora.shards import store as store_module
from trainables.corpora.shards.array import ABSENT, ShardedArray, open_places, write_places
from trainables.corpora.shards.decoded import Decoded
from trainables.corpora.shards.shard import ARRAY, LINES
from trainables.corpora.shards.store import Counts, Placed, ShardStore, Wanted
from trainables.corpora.shards.verification import verify
from trainables.errors import InputError
from trainables.support.processes import IN_HAND, Failed, map_surviving

SHAPE = (4,)


def decode(number: int, log: Path | None = None) -> Decoded:
    """Three items of a number; a multiple of seven has a problem. What is decoded is logged."""
    if log is not None:
        with log.open("a") as file:
            file.write(f"{number}\n")
    if number % 7 == 0:
        return Decoded(np.empty((0, *SHAPE), np.int16), (), "a multiple of seven")
    return Decoded(np.full((3, *SHAPE), number, np.int16), (0.0, 2.0, 4.0))


def slowly(number: int, log: Path) -> Decoded:
    time.sleep(0.02)
    return decode(number, log)


def fatal(number: int, log: Path) -> Decoded:
    """Break the process of one number, and the memory limit of another."""
    if number == 3:
        ctypes.string_at(0)
    if number == 5:
        np.ones(1 << 34, np.uint8)
    if number == 6:
        raise RuntimeError("an\nerror of a decoder")
    return decode(number, log)


def wanted(numbers: range) -> list[Wanted[int]]:
    return [Wanted(f"r{number}", f"key {number}", number) for number in numbers]


def is_unchanged(task: Wanted[int]) -> bool:
    return False


def prepare(
    folder: Path, numbers: range, make: Callable[[int], Decoded] = decode, counts: list[Counts] | None = None
) -> dict[str, Placed]:
    store = ShardStore(folder, SHAPE, np.int16)
    observe = counts.append if counts is not None else lambda count: None
    return store.prepare(wanted(numbers), make, observe, is_unchanged)


def read(folder: Path, places: dict[str, Placed]) -> ShardedArray:
    """The items of the recordings that have some."""
    rows: list[tuple[Placed | None, int]] = [
        (place, index) for place in places.values() for index in range(place.entry.count)
    ]
    write_places(folder / "places.npz", rows)
    array = open_places(folder / "places.npz", ShardStore(folder, SHAPE, np.int16))
    assert array is not None
    return array


def test_recordings_that_are_added_are_decoded_alone(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "shards"
    prepare(folder, range(1, 7), partial(decode, log=log))
    counts: list[Counts] = []
    places = prepare(folder, range(1, 10), partial(decode, log=log), counts)
    assert sorted(map(int, log.read_text().split())) == list(range(1, 10))
    assert counts[0] == Counts(6, 9, 18, 0)
    assert counts[-1] == Counts(9, 9, 24, 1)
    assert len(list(folder.glob(f"[!.]*{ARRAY}"))) == 2
    array = read(folder, places)
    assert np.array_equal(array[:, 0], np.repeat([1, 2, 3, 4, 5, 6, 8, 9], 3))
    assert places["r7"].entry.problem == "a multiple of seven"
    assert not list(folder.glob(".writing*"))


def test_an_array_is_indexed_like_one_of_numpy(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    rows = np.random.default_rng(0).integers(0, 100, (2, 5, *SHAPE)).astype(np.int16)
    for name, items in zip("ab", rows, strict=True):
        np.save(tmp_path / "shards" / f"{name}.npy", items)
    shard, row = np.array([1, 0, ABSENT, 1]), np.array([4, 0, 0, 2])
    array = ShardedArray(tmp_path / "shards", ["a", "b"], shard, row, SHAPE, np.int16)
    expected = np.stack([rows[1, 4], rows[0, 0], np.zeros(SHAPE, np.int16), rows[1, 2]])
    keys = (0, -1, np.int64(2), slice(1, 3), slice(None, None, -2), np.array([3, 0, 3]), [1, 2], np.array([], np.int64))
    for key in (*keys, np.array([True, False, True, False]), np.array([[0, 1], [2, 3]])):
        assert np.array_equal(array[key], expected[key]), key
    assert (array.shape, len(array), array.dtype) == (expected.shape, 4, expected.dtype)
    assert np.array_equal(np.asarray(array), expected) and np.array_equal(np.stack(list(array)), expected)
    for tuple_key in ((0, 1), (slice(1, 3), slice(None, 2)), (np.array([3, 0]), 2), (np.array([[0, 1], [2, 3]]), -1)):
        assert np.array_equal(array[tuple_key], expected[tuple_key]), tuple_key
    with pytest.raises(IndexError):
        array[4]


def prepare_slowly(folder: Path, log: Path) -> None:
    prepare(folder, range(60), partial(slowly, log=log))


def test_a_preparation_that_is_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, folder = tmp_path / "log", tmp_path / "shards"
    process = multiprocessing.get_context("spawn").Process(target=prepare_slowly, args=(folder, log))
    process.start()
    while process.is_alive() and len(log.read_text().split() if log.exists() else ()) < 30:
        time.sleep(0.01)
    assert process.is_alive()
    process.kill()
    process.join()
    assert not list(folder.glob(f"[!.]*{LINES}")), "nothing reads as whole"
    monkeypatch.setattr(store_module, "SHARD_BYTES", 1000)
    places = prepare(folder, range(60), partial(slowly, log=log))
    decoded = list(map(int, log.read_text().split()))
    assert set(decoded) == set(range(60))
    assert len(decoded) <= 60 + IN_HAND * len(os.sched_getaffinity(0)), "only the files in hand are decoded twice"
    assert len(list(folder.glob(f"[!.]*{LINES}"))) == 2, "another shard is begun once one is large"
    assert np.array_equal(read(folder, places)[:, 0], np.repeat([k for k in range(60) if k % 7], 3))


@pytest.mark.parametrize("cut", ["items", "line", "zeros", "lines", "array", "renamed"])
def test_what_a_power_cut_leaves_is_repaired(tmp_path: Path, cut: str) -> None:
    folder = tmp_path / "shards"
    writer = store_module.ShardWriter(_make(folder), SHAPE, np.int16)
    for number in (1, 2, 3):
        writer.append(f"r{number}", f"key {number}", decode(number))
    writer.close()
    array, lines = folder / f".writing{ARRAY}", folder / f".writing{LINES}"
    match cut:
        case "items":
            os.truncate(array, array.stat().st_size - 3)
        case "line":
            os.truncate(lines, lines.stat().st_size - 3)
        case "zeros":
            data = lines.read_bytes()
            lines.write_bytes(data[:-3] + 2 * b"\0" + b"\n")
        case "lines":
            lines.unlink()
        case "array":
            data = bytearray(array.read_bytes())
            data[-1] ^= 1
            array.write_bytes(data)
        case "renamed":
            writer = store_module.ShardWriter(folder, SHAPE, np.int16)
            name = writer.finish()
            (folder / f"{name}{LINES}").rename(lines)
    log = tmp_path / "log"
    places = prepare(folder, range(1, 5), partial(decode, log=log))
    expected = {"lines": [1, 2, 3, 4], "renamed": [1, 2, 3, 4]}.get(cut, [3, 4])
    assert sorted(map(int, log.read_text().split())) == expected
    assert np.array_equal(read(folder, places)[:, 0], np.repeat([1, 2, 3, 4], 3))


def _make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_file_that_kills_its_decoder_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    places = prepare(tmp_path / "shards", range(1, 9), partial(fatal, log=tmp_path / "log"))
    problems = {name: place.entry.problem for name, place in places.items() if place.entry.problem}
    assert problems == {
        "r3": "its decoder was killed (SIGSEGV)",
        "r5": "needs more than 3 GiB of memory",
        "r6": "RuntimeError: an error of a decoder",
        "r7": "a multiple of seven",
    }
    assert np.array_equal(read(tmp_path / "shards", places)[:, 0], np.repeat([1, 2, 4, 8], 3))


def kill_once(path: Path) -> str:
    """Kill the own process, as the kernel does when memory is short, unless that has happened before."""
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def test_a_file_whose_process_was_killed_is_tried_again(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    assert sorted(map_surviving(kill_once, paths)) == [(0, "a"), (1, "b"), (2, "c")]


def holds_interrupts(_: int) -> bool:
    """Return whether this process and the one that forked it hold Ctrl-C back."""
    masks = [Path(f"/proc/{pid}/status").read_text().partition("SigBlk:")[2] for pid in (os.getpid(), os.getppid())]
    return all(int(mask.split()[0], 16) >> (signal.SIGINT - 1) & 1 for mask in masks)


def test_ctrl_c_reaches_no_process_that_decodes() -> None:
    assert list(map_surviving(holds_interrupts, [0])) == [(0, True)]
    assert not holds_interrupts(0), "it reaches this one"


def test_a_file_that_could_not_be_decoded_for_another_reason_than_itself_is_tried_next_time(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    places = prepare(folder, range(1, 4), kill_at_two)
    assert places["r2"].entry.problem.startswith("its decoder was killed (SIGKILL")
    log = tmp_path / "log"
    places = prepare(folder, range(1, 4), partial(decode, log=log))
    assert log.read_text().split() == ["2"]
    assert np.array_equal(read(folder, places)[:, 0], np.repeat([1, 2, 3], 3))


def kill_at_two(number: int) -> Decoded:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(number)


def test_a_process_may_die_while_it_answers(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    answers = map_surviving(partial(answer_and_die, flag=flag), [0, 1], num_processes=1)
    assert next(answers) == (0, b"")
    # The second answer fills the pipe, which nobody reads meanwhile.
    while not flag.exists():
        time.sleep(0.01)
    time.sleep(0.5)
    assert list(answers) == [(1, bytes(4 << 20))]


def answer_and_die(number: int, flag: Path) -> bytes:
    """Answer with nothing, then with 4 MiB; the first time, the process ends meanwhile."""
    if number and not flag.exists():
        flag.touch()
        threading.Timer(0.3, os._exit, (9,)).start()
    return bytes(number * (4 << 20))


def test_a_shard_whose_items_were_deleted_is_decoded_again(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    prepare(folder, range(1, 3))
    prepare(folder, range(1, 5))
    deleted, _ = sorted(folder.glob(f"[!.]*{ARRAY}"))
    deleted.unlink()
    array = read(folder, prepare(folder, range(1, 5)))
    assert np.array_equal(array[:, 0], np.repeat([1, 2, 3, 4], 3))


def test_where_items_are_is_never_missing_while_it_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    read(folder, prepare(folder, range(1, 3)))
    places = folder / "places.npz"
    store = ShardStore(folder, SHAPE, np.int16)
    with FileLock(places.with_name(f".{places.name}.lock")):
        # Another process is about to read them, or writes them, too.
        thread = threading.Thread(target=write_places, args=(places, []))
        thread.start()
        time.sleep(0.2)
        before = open_places(places, store)
    thread.join()
    after = open_places(places, store)
    assert before is not None and after is not None and (len(before), len(after)) == (6, 0)


def test_a_damaged_line_hides_what_is_behind_it_and_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    prepare(folder, range(1, 4))
    (lines,) = folder.glob(f"[!.]*{LINES}")
    before = lines.read_bytes()
    lines.write_bytes(before.replace(b'"r2"', b'"r\xff"'))
    store = ShardStore(folder, SHAPE, np.int16)
    assert [place.entry.name for place in store.read()] == ["r1"]
    assert verify([store], []).damaged == {lines: ["r1"]}
    log = tmp_path / "log"
    places = prepare(folder, range(1, 4), partial(decode, log=log))
    assert log.read_text().split() == ["2", "3"]
    assert np.array_equal(read(folder, places)[:, 0], np.repeat([1, 2, 3], 3))
    lines.write_bytes(before.replace(b"key 1", b"key 2"))
    assert verify([store], []).damaged == {lines: ["r1", "r2", "r3"]}


def test_only_recordings_with_items_are_damaged_when_the_array_is_gone(tmp_path: Path) -> None:
    prepare(tmp_path, range(6, 9))
    store = ShardStore(tmp_path, SHAPE, np.int16)
    assert verify([store], []).damaged == {}
    (array,) = tmp_path.glob(f"[!.]*{ARRAY}")
    array.unlink()
    assert verify([store], []).damaged == {array: ["r6", "r8"]}, "the problem of r7 is in the lines"


def test_a_file_that_is_always_killed_is_tried_twice() -> None:
    assert list(map_surviving(os._exit, [5])) == [(0, Failed("its decoder ended (exit code 5)", True, True))]


def test_a_file_that_changes_while_it_is_read_is_not_used_and_tried_next_time(tmp_path: Path) -> None:
    store = ShardStore(tmp_path, SHAPE, np.int16)
    places = store.prepare(wanted(range(1, 4)), decode, lambda counts: None, lambda task: task.name == "r2")
    assert {name: place.entry.problem for name, place in places.items()} == {
        "r1": "",
        "r2": "changed while it was read",
        "r3": "",
    }
    log = tmp_path / "log"
    # Its state is the old one again: it could not be asked for a moment, or a copy has its time from another file.
    assert prepare(tmp_path, range(1, 4), partial(decode, log=log))["r2"].entry.count == 3
    assert log.read_text().split() == ["2"]


def test_a_full_disk_is_named_and_what_was_written_is_used_later(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "shards"
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # Writing beyond the limit fails as it does on a full disk, with another number.
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, old[1]))
    try:
        with pytest.raises(InputError, match=f"{folder}: can't write the cache .*; free the disk"):
            prepare(folder, range(1, 30), partial(decode))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(folder.glob(f"[!.]*{LINES}")), "nothing reads as whole"
    places = prepare(folder, range(1, 30), partial(decode, log=log))
    assert len(log.read_text().split()) < 29
    assert np.array_equal(read(folder, places)[:, 0], np.repeat([k for k in range(1, 30) if k % 7], 3))

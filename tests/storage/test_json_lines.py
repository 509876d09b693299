import gc
import json
import os
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.storage.json_lines import Log, Reader, pause_collector, read


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.append({"event": "one"})
    log.append({"event": "two", "value": float("inf")})
    assert read(log.path)[0] == [{"event": "one"}, {"event": "two", "value": float("inf")}]


@pytest.mark.parametrize("torn", [b"{", b'{"event":"tw', b'{"event":"two"}'])
def test_a_torn_last_line_is_not_read_and_is_cut_off_on_opening(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "log.jsonl"
    whole = json.dumps({"event": "one"}).encode() + b"\n"
    path.write_bytes(whole + torn)
    assert read(path) == ([{"event": "one"}], len(whole))
    log = Log(path)
    assert path.read_bytes() == whole
    log.append({"event": "three"})
    assert [event["event"] for event in read(path)[0]] == ["one", "three"]


def test_reading_goes_on_from_an_offset(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.append({"event": "one"})
    _, offset = read(log.path)
    assert read(log.path, offset) == ([], offset)
    log.append({"event": "two"})
    assert [event["event"] for event in read(log.path, offset)[0]] == ["two"]


@pytest.mark.parametrize("next_event", [None, "2", "two", "two and more"])
def test_a_log_that_has_lost_a_line_is_read_anew(tmp_path: Path, next_event: str | None) -> None:
    log = Log(tmp_path / "log.jsonl")
    reader = Reader(log.path)
    log.append({"event": "one"})
    assert reader.read_new() == ([{"event": "one"}], False)
    size = log.path.stat().st_size
    log.append({"event": "TWO"})
    assert reader.read_new() == ([{"event": "TWO"}], False)
    # It could not be synced, so that its writer has taken it back; what comes next is shorter, as long, or longer.
    os.truncate(log.path, size)
    lines = [{"event": "one"}]
    if next_event is not None:
        log.append({"event": next_event})
        lines.append({"event": next_event})
    assert reader.read_new() == (lines, True)
    assert reader.read_new() == ([], False) and reader.offset == log.path.stat().st_size
    log.append({"event": "three"})
    assert reader.read_new() == ([{"event": "three"}], False)


def test_an_offset_at_which_no_line_ends_any_more_is_not_trusted(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.append({"event": "one"})
    _, offset = read(log.path)
    os.truncate(log.path, 0)
    log.append({"event": "another one"})
    assert read(log.path, offset) == ([{"event": "another one"}], log.path.stat().st_size)


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "none.jsonl") == ([], 0)


def test_a_full_disk_leaves_whole_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.append({"event": "one"})
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:5]))
    with pytest.raises(OSError, match="No space left"):
        log.append({"event": "two"})
    monkeypatch.undo()
    log.append({"event": "three"})
    assert [event["event"] for event in read(log.path)[0]] == ["one", "three"]


@pytest.mark.parametrize("broken", [b'{"event":"tw', b"[1]", b"\xff\xfe"])
def test_a_broken_line_before_the_last_is_named_with_its_file_and_left_alone(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "log.jsonl"
    written = b'{"event":"one"}\n' + broken + b'\n{"event":"three"}\n'
    path.write_bytes(written)
    with pytest.raises(UserError, match=r"log\.jsonl:2: not a line that was written here"):
        Log(path)
    assert path.read_bytes() == written


def test_the_collector_goes_on_as_before_even_after_a_broken_line(tmp_path: Path) -> None:
    (tmp_path / "sweep.jsonl").write_text("broken\n")
    for was_enabled in (True, False):
        (gc.enable if was_enabled else gc.disable)()
        try:
            with pytest.raises(UserError, match="not a line that was written here"), pause_collector():
                assert not gc.isenabled()
                read(tmp_path / "sweep.jsonl")
            assert gc.isenabled() == was_enabled
        finally:
            gc.enable()


def test_a_broken_line_has_its_place_in_the_whole_log_wherever_reading_began(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b": 2}\n')
    _, offset = read(path)
    with path.open("a") as file:
        file.write("broken\n")
    with pytest.raises(UserError, match=r"log\.jsonl:3: not a line that was written here"):
        read(path, offset)

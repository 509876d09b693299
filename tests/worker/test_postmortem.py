"""What a trial's log says of the death of its process."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.worker import postmortem
from orchestrator.worker.postmortem import END_SIGNAL, MemoryKills, cause_of_death, read_last_attempt, was_told_to_end


def write(folder: Path, *lines: str) -> Path:
    path = folder / "log.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("line", "cause", "reason"),
    [
        ("Timeout (0:00:02)!", "timeout", "no epoch within limits.minutes_per_epoch"),
        ("Fatal Python error: Segmentation fault", "node", r"its process crashed \(Segmentation fault;"),
        ("os._exit(3)", "node", r"its code ended the process, os\._exit\(3\)"),
        ("SystemExit: 4", "node", r"its code ended the process, sys\.exit\(4\)"),
        ("SystemExit", "node", r"its code ended the process, sys\.exit\(\)"),
        ("epoch 3", "node", r"killed \(signal 9\)"),
    ],
)
def test_the_last_words_of_a_process_tell_its_cause(tmp_path: Path, line: str, cause: str, reason: str) -> None:
    path = write(tmp_path, "--- attempt 2, 2026-11-24 10:00:00, process 7", line)
    found, said = cause_of_death(path, 2, out_of_memory=lambda: False)
    assert found == cause
    assert re.search(reason, said)


def test_what_an_earlier_attempt_said_is_not_held_against_this_one(tmp_path: Path) -> None:
    path = write(
        tmp_path, "--- attempt 1, then, process 7", "Fatal Python error: Aborted", "--- attempt 2, now, process 8"
    )
    assert "signal 9" in cause_of_death(path, 2, out_of_memory=lambda: False)[1]
    # The third was killed before it wrote a line.
    write(tmp_path, "--- attempt 2, then, process 7", "Fatal Python error: Aborted")
    assert "signal 9" in cause_of_death(path, 3, out_of_memory=lambda: False)[1]


def test_a_signal_to_an_earlier_process_of_an_evaluation_is_not_one_to_the_last(tmp_path: Path) -> None:
    begin = ["--- attempt 1, then, process 7", "--- machine a1, node-7"]
    signal = f" 12 %{END_SIGNAL}, attempt 1"
    assert was_told_to_end(write(tmp_path, *begin, signal), 1)
    assert was_told_to_end(write(tmp_path, "--- attempt 1, then, process 7", signal), 1)
    assert not was_told_to_end(write(tmp_path, *begin, signal, " 3 %--- machine a1, node-7", "loading"), 1)
    assert was_told_to_end(write(tmp_path, *begin, signal, "--- machine a1, node-7", signal), 1)


def test_a_kill_for_memory_is_one_unless_the_process_says_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path, "--- attempt 1, now, process 7", "loading")
    assert cause_of_death(path, 1, out_of_memory=lambda: True)[0] == "oom"
    write(tmp_path, "--- attempt 1, now, process 7", "os._exit(1)")
    assert cause_of_death(path, 1, out_of_memory=lambda: True)[0] == "node"


def test_a_trial_without_a_log_was_killed(tmp_path: Path) -> None:
    assert read_last_attempt(tmp_path / "log.txt") == []
    assert cause_of_death(tmp_path / "log.txt", 1, out_of_memory=lambda: False)[0] == "node"


def test_of_a_long_log_only_the_end_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "--- attempt 1, now, process 7", *(f"line {number}" for number in range(50_000)))
    assert read_last_attempt(path)[-1] == "line 49999" and len(read_last_attempt(path)) < 20_000


def test_an_attempt_that_said_much_still_tells_the_cause_of_its_death(tmp_path: Path) -> None:
    chatter = (f"line {number}" for number in range(50_000))
    path = write(tmp_path, "--- attempt 1, now, process 7", *chatter, "Timeout (0:00:02)!")
    assert cause_of_death(path, 1, out_of_memory=lambda: False)[0] == "timeout"


def test_a_kill_for_memory_explains_one_death_soon_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = tmp_path / "vmstat"
    monkeypatch.setattr(postmortem, "OOM_COUNTERS", (counter,))
    counter.write_text("oom_kill 5\n")
    kills = MemoryKills()
    assert not kills.take()
    counter.write_text("oom_kill 7\n")
    assert [kills.take(), kills.take(), kills.take()] == [True, True, False]
    counter.write_text("oom_kill 8\n")
    kills.look()
    monkeypatch.setattr(postmortem, "RECENT_S", -1.0)
    assert not kills.take()

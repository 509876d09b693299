"""What is kept on the disk, what `clean` frees, and what is on it once although two have it."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.commands.clean import clean
from orchestrator.errors import UserError
from orchestrator.state import disk
from orchestrator.state.disk import GIB, Space, check_free, format_bytes, tidy
from orchestrator.state.home import lock_sweep
from orchestrator.storage.scratch import make_scratch
from orchestrator.tracking.__main__ import follow
from tests.support.sweep_folder import SweepFolder

FILES = ("last.pt", "previous.pt", "best.pt", "saving.tmp")


def write_checkpoints(trial: Path, size: int = 1000) -> Path:
    folder = trial / "checkpoint"
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_bytes(bytes(size))
    return folder


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("outcome", "keep_pruned", "kept"),
    [
        ("completed", False, {"best.pt", "last.pt"}),
        ("pruned", False, set()),
        ("pruned", True, {"best.pt", "last.pt"}),
        # These can be tried again, from the checkpoint before if their last one is no use.
        ("failed", False, set(FILES)),
        ("diverged", False, set(FILES)),
    ],
)
def test_an_ended_trial_keeps_what_can_still_be_used(
    tmp_path: Path, outcome: str, keep_pruned: bool, kept: set[str]
) -> None:
    folder = write_checkpoints(tmp_path)
    tidy(tmp_path, outcome, keep_pruned=keep_pruned)
    assert left(folder) == kept


def test_a_trial_without_checkpoints_has_nothing_to_tidy(tmp_path: Path) -> None:
    tidy(tmp_path / "never trained", "completed", keep_pruned=False)


def test_a_sweep_that_would_begin_with_a_pause_is_refused_with_the_cures(tmp_path: Path) -> None:
    check_free(tmp_path / "not made yet", 0.001)
    with pytest.raises(UserError, match=r"GiB free, disk\.min_free_gib asks for 1e\+06; free some .*clean.*--home"):
        check_free(tmp_path, 1e6)


def test_there_has_to_be_room_for_what_running_trials_still_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LOOK_EVERY_S", -1.0)
    free = 5 * 10**6
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": free}))
    write_checkpoints(tmp_path / "trials" / "0003", size=3 * 10**6)
    space = Space(tmp_path, min_free_gib=10**6 / GIB)
    assert space.look([]) == "" and space.look([7]) == ""
    assert "0.00 GiB free, 0.01 are needed" in space.look([3])
    free = 7 * 10**6
    assert space.look([3]) == ""


def test_a_write_that_failed_counts_for_a_while_whatever_the_disk_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Space(tmp_path, min_free_gib=0)
    assert space.look([]) == ""
    space.note_full()
    assert space.look([]) != ""
    monkeypatch.setattr(disk, "WAIT_S", -1.0)
    space.note_full()
    assert space.look([]) == ""


def test_sizes_are_told_as_people_read_them() -> None:
    assert [format_bytes(size) for size in (0, 999, 1500, 2.5e7, 3.21e9)] == ["0 B", "999 B", "2 kB", "25 MB", "3.2 GB"]


@pytest.fixture
def swept(home: Path) -> SweepFolder:
    """Trial 1 best of its arm, 2 pruned, 3 completed; all with checkpoints and renderings, all in MLflow."""
    sweep = SweepFolder(home)
    sweep.start()
    for number, outcome, score in ((1, "completed", 0.9), (2, "pruned", 0.2), (3, "completed", 0.5)):
        sweep.ask(number, "vae")
        sweep.report(number, 1, judge_probability=score)
        sweep.render(number, "best", 1)
        sweep.end(number, outcome, epochs=1)
        write_checkpoints(sweep.trial(number))
    sweep.close()
    follow(sweep.path, once=True)
    return sweep


def cleaned(sweep: SweepFolder, *, keep_best: bool = False, dry_run: bool = False) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))
    clean(sweep.home, sweep.name, console, keep_best=keep_best, dry_run=dry_run)
    return console.export_text()


def checkpoints(sweep: SweepFolder) -> list[set[str]]:
    return [left(sweep.trial(number) / "checkpoint") for number in (1, 2, 3)]


def test_a_dry_run_says_as_much_and_deletes_nothing(swept: SweepFolder) -> None:
    before = sorted(swept.path.glob("trials/**/*"))
    assert "Would free 8 kB." in cleaned(swept, dry_run=True)
    assert sorted(swept.path.glob("trials/**/*")) == before
    assert "Freed 8 kB." in cleaned(swept)


def test_a_dry_run_leaves_a_killed_drivers_scratch_and_its_note(swept: SweepFolder) -> None:
    scratch = make_scratch()
    note = json.dumps({"host": socket.gethostname(), "scratch": str(scratch)})
    (swept.path / "driver.lock").write_text(note)
    cleaned(swept, dry_run=True)
    assert scratch.exists() and (swept.path / "driver.lock").read_text() == note
    cleaned(swept)
    assert not scratch.exists()


def test_a_dry_run_of_a_sweep_that_runs_is_refused_too(swept: SweepFolder) -> None:
    with lock_sweep(swept.path), pytest.raises(UserError, match="already running"):
        cleaned(swept, dry_run=True)


def test_clean_leaves_what_can_be_gone_on_from_and_is_done_the_second_time(swept: SweepFolder) -> None:
    said = cleaned(swept)
    assert checkpoints(swept) == [{"best.pt", "last.pt"}, set(), {"best.pt", "last.pt"}]
    rows = {line[:30].strip(): line[30:].split() for line in said.splitlines()}
    assert rows["leftovers of saving"] == ["6", "6", "kB"]
    assert rows["checkpoints of pruned trials"] == ["2", "2", "kB"]
    assert "Freed 0 B." in cleaned(swept)


def test_what_has_another_name_frees_nothing_until_its_last_one_goes(swept: SweepFolder, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        best = swept.trial(number) / "checkpoint" / "best.pt"
        best.unlink()
        best.hardlink_to(best.with_name("last.pt"))
    # Another sweep begins from trial 3.
    (tmp_path / "copy.pt").hardlink_to(swept.trial(3) / "checkpoint" / "best.pt")
    said = cleaned(swept, keep_best=True, dry_run=True)
    rows = {line[:38].strip(): line[38:].split() for line in said.splitlines()}
    assert rows["checkpoints of pruned trials"] == ["2", "1", "kB"]
    assert rows["all checkpoints but each arm's best"] == ["3", "0", "B"]
    assert "Would free 7 kB." in said and "Freed 7 kB." in cleaned(swept, keep_best=True)


def test_the_trial_that_listeners_prefer_keeps_its_checkpoint(home: Path) -> None:
    sweep = SweepFolder(home)
    sweep.start(preference=True)
    for number, score in ((1, 0.9), (2, 0.2), (3, 0.1)):
        sweep.ask(number, "vae")
        sweep.report(number, 1, judge_probability=score)
        sweep.end(number, epochs=1)
        write_checkpoints(sweep.trial(number))
    sweep.event("preferred", scores={"1": 0.1, "2": 1.5, "3": -1.6}, votes=9)
    sweep.close()
    cleaned(sweep, keep_best=True)
    assert checkpoints(sweep) == [{"best.pt"}, {"best.pt"}, set()]


def test_keep_best_leaves_one_checkpoint_an_arm(swept: SweepFolder) -> None:
    cleaned(swept, keep_best=True)
    assert checkpoints(swept) == [{"best.pt"}, set(), set()]


def test_trials_on_a_front_keep_their_checkpoints(home: Path) -> None:
    sweep = SweepFolder(home)
    sweep.start(objective={"metric": "val/judge_probability", "mode": "max", "beside": {"val/fvu": "min"}})
    for number, outcome, score in ((1, "completed", 0.9), (2, "pruned", 0.2), (3, "pruned", 0.1)):
        sweep.ask(number, "vae")
        sweep.report(number, 1, judge_probability=score, fvu=0.1 + abs(score - 0.2))
        sweep.end(number, outcome, epochs=1)
        write_checkpoints(sweep.trial(number))
    sweep.close()
    cleaned(sweep)
    assert checkpoints(sweep) == [{"best.pt", "last.pt"}, {"best.pt", "last.pt"}, set()]
    cleaned(sweep, keep_best=True)
    assert checkpoints(sweep) == [{"best.pt"}, {"best.pt"}, set()]


def test_a_sweep_that_runs_is_not_cleaned(swept: SweepFolder) -> None:
    with lock_sweep(swept.path), pytest.raises(UserError, match="already running"):
        cleaned(swept)
    assert checkpoints(swept) == [set(FILES)] * 3


def test_sounds_are_on_the_disk_once(swept: SweepFolder) -> None:
    kept = {path.stat().st_ino for path in (swept.home / "artifacts").rglob("*.wav")}
    for sound in (swept.trial(1) / "media" / "best").glob("*.wav"):
        assert sound.stat().st_ino in kept
    cleaned(swept)
    assert (swept.trial(2) / "media" / "best").exists()


def test_renderings_that_only_a_server_has_beside_are_freed_but_for_the_best_trials(swept: SweepFolder) -> None:
    # What a server keeps is no second name of these files.
    shutil.rmtree(swept.home / "artifacts")
    cleaned(swept)
    assert [(swept.trial(number) / "media" / "best").exists() for number in (1, 2, 3)] == [True, False, False]


def test_renderings_that_were_not_sent_are_left(swept: SweepFolder) -> None:
    shutil.rmtree(swept.home / "artifacts")
    swept.render(3, "best", 1, level=0.1)
    cleaned(swept)
    assert [(swept.trial(number) / "media" / "best").exists() for number in (1, 2, 3)] == [True, False, True]


def test_clean_keeps_what_a_resumed_sweep_still_needs(swept: SweepFolder) -> None:
    for number, outcome in ((4, "pruned"), (5, "failed")):
        swept.ask(number, "vae")
        swept.report(number, 1, judge_probability=0.1)
        swept.end(number, outcome, epochs=1)
        write_checkpoints(swept.trial(number))
    swept.close("interrupted")
    cleaned(swept)
    # Not evaluated yet; and to be tried again, from the checkpoint before if the last one is no use.
    assert left(swept.trial(4) / "checkpoint") == {"best.pt", "last.pt"}
    assert left(swept.trial(5) / "checkpoint") == {"best.pt", "last.pt", "previous.pt"}
    swept.close()
    (swept.path / "search_space.yaml").write_text("name: vae\ndisk: {keep_pruned_checkpoints: true}\n")
    cleaned(swept)
    assert left(swept.trial(4) / "checkpoint") == {"best.pt", "last.pt"}

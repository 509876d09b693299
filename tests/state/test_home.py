import errno
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.search_space.reader import Sweep
from orchestrator.state.home import driver_note, find_home, keep_search_space, lock_sweep, open_home
from orchestrator.storage.scratch import make_scratch
from tests.support.spaces import noop_sweep


def test_the_home_is_the_option_else_the_variable_else_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_home(None) == tmp_path / "runs"
    monkeypatch.setenv("ORCHESTRATE_HOME", str(tmp_path / "shared"))
    assert find_home(None) == tmp_path / "shared"
    assert find_home(Path("mine")) == tmp_path / "mine"


def test_a_home_that_cannot_be_written_is_said_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/home: can't write here .* --home or ORCHESTRATE_HOME"):
        open_home(tmp_path / "file" / "home")


def test_a_sweep_has_one_driver_and_the_second_hears_who_it_is(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom orchestrator.state.home import lock_sweep\n"
        "with lock_sweep(pathlib.Path(sys.argv[1])):\n print('locked', flush=True)\n sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "vae")]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdin is not None
    assert other.stdout.readline() == "locked\n"
    message = rf"vae: this sweep is already running on .*process {other.pid};"
    with pytest.raises(UserError, match=message), lock_sweep(tmp_path / "vae"):
        pass
    other.kill()
    other.wait()
    with lock_sweep(tmp_path / "vae") as note:
        assert note["pid"] == os.getpid()


def left_by_a_killed_driver(sweep: Path, **changes: object) -> None:
    """A note beside the lock, of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    sweep.mkdir(exist_ok=True)
    note = {"host": socket.gethostname(), "pid": ended.pid, **changes}
    (sweep / "driver.lock").write_text(json.dumps(note))


@pytest.fixture
def scratch() -> Iterator[Path]:
    folder = make_scratch()
    (folder / "session").mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_the_scratch_folder_of_a_killed_driver_is_deleted(tmp_path: Path, scratch: Path) -> None:
    left_by_a_killed_driver(tmp_path / "vae", scratch=str(scratch))
    with lock_sweep(tmp_path / "vae"):
        assert not scratch.exists()


def test_a_note_of_another_machine_or_of_a_living_driver_deletes_nothing(tmp_path: Path, scratch: Path) -> None:
    left_by_a_killed_driver(tmp_path / "vae", scratch=str(scratch), host="elsewhere")
    with lock_sweep(tmp_path / "vae"):
        assert scratch.exists()
    # A copy of a sweep's folder names the driver of the original.
    left_by_a_killed_driver(tmp_path / "vae", scratch=str(scratch), pid=os.getppid())
    with lock_sweep(tmp_path / "vae"):
        assert scratch.exists()


def test_a_note_deletes_no_folder_that_no_driver_made(tmp_path: Path, scratch: Path) -> None:
    link = scratch.with_name("orchestrate-a_link__")
    link.symlink_to(scratch)
    foreign = Path(tempfile.mkdtemp(prefix="somebody-"))
    named = [tmp_path / "thesis", tmp_path / "orchestrate-abcdefgh", scratch / "session", link, foreign]
    named.append(scratch / ".." / foreign.name)
    for path in named:
        path.mkdir(exist_ok=True)
        left_by_a_killed_driver(tmp_path / "vae", scratch=str(path))
        with lock_sweep(tmp_path / "vae"):
            assert path.exists(), path
    link.unlink()
    foreign.rmdir()


@pytest.mark.parametrize("scratch", [None, 3, "", ["/tmp"], "orchestrate-abcdefgh"])
def test_a_note_that_names_no_folder_keeps_nobody_out(tmp_path: Path, scratch: object) -> None:
    left_by_a_killed_driver(tmp_path / "vae", scratch=scratch)
    with lock_sweep(tmp_path / "vae") as note:
        assert note["pid"] == os.getpid()


def test_a_disk_without_locks_is_said_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "driver.lock").touch()

    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    message = r"vae/driver\.lock: its file system \(.+\) can't lock files \(No locks available\).*--home"
    with pytest.raises(UserError, match=message), lock_sweep(tmp_path / "vae"):
        pass
    with pytest.raises(UserError, match=message):
        driver_note(tmp_path / "vae")


def test_a_sweep_that_cannot_be_locked_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "vae" / "driver.lock").mkdir(parents=True)
    with (
        pytest.raises(UserError, match=r"vae: can't write here \(Is a directory\).*--home"),
        lock_sweep(tmp_path / "vae"),
    ):
        pass


def keep_what_ran(folder: Path, sweep: Sweep) -> None:
    """A search space under which something was recorded."""
    folder.mkdir()
    keep_search_space(folder, sweep)
    (folder / "sweep.jsonl").write_text("{}\n")


def test_a_search_space_under_which_nothing_was_recorded_may_be_changed(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    keep_search_space(folder, noop_sweep(tmp_path))
    (folder / "sweep.jsonl").touch()
    changed = noop_sweep(tmp_path, params={"x": {"uniform": [0.0, 0.5]}})
    keep_search_space(folder, changed)
    assert (folder / "search_space.yaml").read_text() == changed.text


def test_a_changed_search_space_under_the_same_name_is_refused_with_the_difference(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    keep_what_ran(folder, noop_sweep(tmp_path))
    before = (folder / "search_space.yaml").read_text()
    changed = noop_sweep(tmp_path, params={"x": {"uniform": [0.0, 0.5]}}, seed=8)
    with pytest.raises(
        UserError, match=r"(?s)was run with another search space:.*-.*seed: 7.*\+.*seed: 8.*--name tiny-2"
    ):
        keep_search_space(folder, changed)
    assert (folder / "search_space.yaml").read_text() == before


@pytest.mark.parametrize(
    "change",
    [
        {"budget": {"trials_per_arm": 9, "max_epochs": 4}},
        {"confirm": {"top": 3, "seeds": 1}},
        {"budget": {"trials_per_arm": 6, "max_epochs": 8, "hours": 1}},
        {"resources": {"cpu": 2}},
        {"media": {"clips": 3}},
        {"limits": {"minutes_per_epoch": 5}},
    ],
)
def test_more_budget_and_other_resources_go_on_under_the_same_name(tmp_path: Path, change: dict[str, object]) -> None:
    folder = tmp_path / "tiny"
    keep_what_ran(folder, noop_sweep(tmp_path))
    grown = noop_sweep(tmp_path, **change)
    keep_search_space(folder, grown)
    assert (folder / "search_space.yaml").read_text() == grown.text


def bundles(small: dict[str, object], large: float = 0.1) -> dict[str, object]:
    return {"size": {"small": {"arm": "a", "epoch_s": small}, "large": {"arm": "b", "epoch_s": large}}}


def test_a_range_may_change_and_nothing_else_about_a_parameter(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    compare = bundles({"uniform": [1.0, 4.0]})
    keep_what_ran(folder, noop_sweep(tmp_path, compare=compare))
    ranges = bundles({"uniform": [2.0, 9.0]})
    changed = noop_sweep(tmp_path, compare=ranges, params={"x": {"uniform": [0.5, 0.8]}})
    keep_search_space(folder, changed)
    assert (folder / "search_space.yaml").read_text() == changed.text
    for params in ({"x": {"loguniform": [0.5, 0.8]}}, {"x": 0.5}, {"x": {"choice": [0.5, 0.8]}}):
        with pytest.raises(UserError, match="another search space"):
            keep_search_space(folder, noop_sweep(tmp_path, compare=ranges, params=params))
    with pytest.raises(UserError, match="another search space"):
        keep_search_space(folder, noop_sweep(tmp_path, compare=bundles({"uniform": [2.0, 9.0]}, large=0.2)))


BUDGET = {"trials_per_arm": 6, "max_epochs": 4}
STOPS = {"stop_when": {"no_better_for": 9}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"hours": "none"}, {"hours": 3}),
        ({"hours": 3}, {"hours": "none"}),
        ({"hours": 3}, {"hours": 4}),
        ({"seeds": "none"}, {}),
        ({}, {"price_per_gpu_hour": 2.5}),
        (STOPS, STOPS),
        (STOPS, {}),
        (STOPS, {"stop_when": "none"}),
    ],
)
def test_a_limit_may_be_added_extended_and_taken_out(
    tmp_path: Path, before: dict[str, object], after: dict[str, object]
) -> None:
    folder = tmp_path / "tiny"
    keep_what_ran(folder, noop_sweep(tmp_path, budget=BUDGET | before))
    changed = noop_sweep(tmp_path, budget=BUDGET | after)
    keep_search_space(folder, changed)
    assert (folder / "search_space.yaml").read_text() == changed.text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"trials_per_arm": 2}),
        ({}, {"trials_per_arm": "none", "seeds": 9}),
        ({"hours": 3}, {"hours": 2}),
        ({}, STOPS),
        (STOPS, {"stop_when": {"no_better_for": 2}}),
    ],
)
def test_less_budget_is_refused(tmp_path: Path, before: dict[str, object], after: dict[str, object]) -> None:
    folder = tmp_path / "tiny"
    fixed = {"params": {"x": 0.5}, "pruning": "none"}
    keep_what_ran(folder, noop_sweep(tmp_path, budget=BUDGET | before, **fixed))
    with pytest.raises(UserError, match="was run with another search space"):
        keep_search_space(folder, noop_sweep(tmp_path, budget=BUDGET | after, **fixed))


SUCCESSIONS = """
import os, sys
from pathlib import Path
from orchestrator.state.home import lock_sweep

home, number = Path(sys.argv[1]), int(sys.argv[2])
with lock_sweep(home / "finished"):
    pass
with lock_sweep(home / "vae") as note:
    is_inherited = os.get_inheritable(note._file.fileno())
    print(os.getpid(), number, is_inherited, "ORCHESTRATE_LOCK" in os.environ, flush=True)
    if number < 4:
        note.hand_on()
        os.execv(sys.executable, [sys.executable, __file__, str(home), str(number + 1)])
"""


def test_a_lock_is_handed_on_as_often_as_ray_dies_also_behind_another_sweep_of_the_command(tmp_path: Path) -> None:
    script = tmp_path / "succession.py"
    script.write_text(SUCCESSIONS)
    done = subprocess.run([sys.executable, script, tmp_path, "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[1:] for row in rows] == [[str(number), "False", "False"] for number in (1, 2, 3, 4)]
    assert len({pid for pid, *_ in rows}) == 1


def test_resources_of_some_arms_may_change_too(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    keep_what_ran(folder, noop_sweep(tmp_path))
    more_room = [{"when": {"arm": "a"}, "resources": {"cpu": 2}}]
    keep_search_space(folder, noop_sweep(tmp_path, arms=more_room))
    with pytest.raises(UserError, match="another search space"):
        keep_search_space(folder, noop_sweep(tmp_path, arms=[{"when": {"arm": "a"}, "params": {"x": 0.5}}]))


def test_a_kept_search_space_that_was_deleted_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    keep_what_ran(folder, noop_sweep(tmp_path))
    (folder / "search_space.yaml").unlink()
    keep_search_space(folder, noop_sweep(tmp_path))
    assert (folder / "search_space.yaml").exists()


@pytest.mark.parametrize("left", ["", "3", "[]", "{half"])
def test_a_note_that_says_nothing_keeps_nobody_out(tmp_path: Path, left: str) -> None:
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "driver.lock").write_text(left)
    with lock_sweep(tmp_path / "vae") as note:
        assert note["pid"] == os.getpid()

"""A finished sweep that is asked for again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.commands.already_finished import Request, find_finished, has_report, record_finished
from orchestrator.errors import UserError
from orchestrator.search_space.reader import read_search_space
from orchestrator.tracking.__main__ import follow
from tests.benchmarks import noop
from tests.support.spaces import write_space
from tests.support.sweep_folder import SweepFolder

HEAVY = ("torch", "ray", "mlflow", "optuna", "pandas", "numpy")


@pytest.fixture
def finished(home: Path, tmp_path: Path) -> Request:
    """A search space whose sweep is finished, with its report, and all of it in MLflow."""
    trainable = tmp_path / "noop.py"
    trainable.write_text(Path(noop.__file__).read_text())
    finished = Request(write_space(tmp_path / "tiny.yaml", trainable="./noop.py"), overrides=("seed=3",))
    space = read_search_space(finished.path, overrides=finished.overrides)
    folder = SweepFolder(home, "tiny")
    folder.start()
    folder.whole_trial(1)
    folder.close()
    (folder.path / "search_space.yaml").write_text(space.text)
    follow(folder.path, once=True)
    (home / "reports").mkdir()
    (home / "reports" / "tiny.html").write_text("what it found")
    record_finished(home, finished, space)
    return finished


def written(home: Path) -> dict[Path, int]:
    """Every file with the time of its last change, without those through which readers of a database agree."""
    return {path: path.stat().st_mtime_ns for path in home.rglob("*") if not path.name.startswith("mlflow.db-")}


def test_asked_for_again_it_is_known_without_reading_it(finished: Request, home: Path) -> None:
    before = written(home)
    code = (
        "import resource, sys\nfrom orchestrator.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        f"print('heavy:', sorted(set({HEAVY}) & set(sys.modules)))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)"
    )
    command = [sys.executable, "-c", code, "sweep", str(finished.path), "--set", "seed=3", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *said, heavy, cpu_s = done.stdout.splitlines()
    assert said[0] == "Sweep tiny is finished: nothing left to do."
    assert any(line.startswith("Compare them:") for line in said)
    assert heavy == "heavy: []" and float(cpu_s) < 2
    assert written(home) == before


def test_whatever_is_asked_for_otherwise_is_read(
    finished: Request, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_finished(home, finished) == "tiny"
    others = [
        Request(finished.path),
        Request(finished.path, overrides=("seed=4",)),
        Request(finished.path, overrides=finished.overrides, name="other"),
        Request(finished.path, preset="quick", overrides=finished.overrides),
        Request(finished.path.with_name("none.yaml")),
    ]
    assert [find_finished(home, other) for other in others] == [None] * len(others)
    # Paths in options start at the current folder.
    monkeypatch.chdir("/")
    assert find_finished(home, finished) is None


@pytest.mark.parametrize("file", ["tiny.yaml", "noop.py", "runs/tiny/sweep.jsonl"])
def test_a_changed_file_is_read(finished: Request, home: Path, file: str) -> None:
    path = home / "tiny" / "sweep.jsonl" if file.startswith("runs") else finished.path.with_name(file)
    with path.open("a") as changed:
        changed.write("\n")
    assert find_finished(home, finished) is None


@pytest.mark.parametrize("lost", ["tiny/search_space.yaml", "tiny/tracking.json", "reports/tiny.html"])
def test_what_was_lost_is_made_again(finished: Request, home: Path, lost: str) -> None:
    (home / lost).unlink()
    assert find_finished(home, finished) is None


def test_a_sweep_that_somebody_drives_is_not_finished(finished: Request, home: Path) -> None:
    with SweepFolder(home, "tiny").driven():
        assert find_finished(home, finished) is None


def test_a_finished_sweep_of_a_copied_home_is_refused(finished: Request, home: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(home, tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="was moved or copied"):
        find_finished(copied, finished)


def test_a_sweep_that_has_more_to_do_is_not_kept_as_finished(finished: Request, home: Path) -> None:
    folder = SweepFolder(home, "tiny")
    folder.close("interrupted")
    follow(folder.path, once=True)
    (home / "reports" / "tiny.html").touch()
    (folder.path / "finished.json").unlink()
    record_finished(home, finished, read_search_space(finished.path, overrides=finished.overrides))
    assert not (folder.path / "finished.json").exists()


def test_a_report_is_written_again_only_after_something_was_recorded(finished: Request, home: Path) -> None:
    assert has_report(home, "tiny")
    SweepFolder(home, "tiny").close()
    assert not has_report(home, "tiny")

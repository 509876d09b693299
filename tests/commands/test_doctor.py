"""A home that was moved, and the rest of what `doctor` looks at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.commands.doctor import examine, relocate
from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import UserError
from orchestrator.overview.screen import Screen
from orchestrator.tracking import ui
from orchestrator.tracking.__main__ import follow
from orchestrator.tracking.moved_homes import check_place
from orchestrator.tracking.sender import is_behind
from orchestrator.tracking.ui import serve
from tests.support.spaces import noop_sweep
from tests.support.sweep_folder import SweepFolder


@pytest.fixture
def moved(home: Path, tmp_path: Path) -> SweepFolder:
    """A home with a finished sweep and its sounds in MLflow, somewhere else than it was."""
    sweep = SweepFolder(home)
    sweep.start()
    sweep.ask(1)
    sweep.report(1, 1)
    sweep.render(1, "best", 1)
    sweep.end(1, epochs=1)
    sweep.close()
    # What a search space has of its home is where its corpus lies.
    space = home / "vae" / "search_space.yaml"
    space.write_text(f"name: vae\ncorpus: {{name: folder, root: {home}/recordings}}\n")
    follow(sweep.path, once=True)
    there = tmp_path / "another disk" / "it's here"
    there.parent.mkdir()
    shutil.move(home, there)
    again = SweepFolder(there)
    again.ts = sweep.ts
    return again


def test_a_moved_home_is_said_with_the_cure_before_anything_is_written(moved: SweepFolder, home: Path) -> None:
    with pytest.raises(UserError) as caught:
        check_place(moved.home)
    assert f"was moved or copied from {home}," in str(caught.value)
    assert f"orchestrate doctor --relocate --home {moved.home}" in str(caught.value)
    with pytest.raises(UserError, match="was moved or copied"):
        run_sweep(noop_sweep(moved.home.parent), moved.home, Screen())
    assert not (moved.home / "tiny").exists()


def test_relocated_the_sounds_are_heard_again_and_new_lines_arrive(moved: SweepFolder, home: Path) -> None:
    (run,) = [each for name, each in moved.runs().items() if name.startswith("t01")]
    assert not moved.client.list_artifacts(run.info.run_id)
    said: list[str] = []
    relocate(moved.home, said.append)
    assert said[-1] == f"{moved.home} no longer names {home}."
    check_place(moved.home)
    (again,) = [each for name, each in moved.runs().items() if name.startswith("t01")]
    assert again.info.run_id == run.info.run_id
    sounds = {name for name in moved.artifacts(1) if name.endswith(".wav")}
    assert sounds == {
        "dog_1_original.wav",
        "dog_1_reconstruction.wav",
        "rain_2_original.wav",
        "rain_2_reconstruction.wav",
    }
    assert moved.download(again, "dog_1_original.wav").stat().st_size > 44
    assert f"root: {moved.home}/recordings" in (moved.path / "search_space.yaml").read_text()

    moved.ask(2)
    moved.report(2, 1)
    moved.render(2, "best", 1)
    moved.end(2, epochs=1)
    moved.close()
    follow(moved.path, once=True)
    assert moved.steps(2) == [1] and moved.artifacts(2) and moved.steps(1) == [1]
    assert not home.exists()

    relocate(moved.home, said.append)
    assert said[-1] == f"{moved.home}: mlflow.db has this path already; nothing to do."


def test_relocated_every_file_names_the_new_place(moved: SweepFolder, home: Path) -> None:
    relocate(moved.home, print)
    assert moved.status()["tracking_uri"] == f"sqlite:///{moved.home / 'mlflow.db'}"
    examine(moved.home, print)


def test_a_copied_home_does_not_open_the_database_of_the_original(moved: SweepFolder, home: Path) -> None:
    shutil.copytree(moved.home, home)
    # As an older version relocated it: the log and the database name this place, tracking.json does not.
    status = (moved.path / "tracking.json").read_bytes()
    relocate(moved.home, print)
    (moved.path / "tracking.json").write_bytes(status)
    with pytest.raises(UserError, match=rf"vae: this sweep was moved or copied from {home}, .* doctor --relocate"):
        serve(moved.home, "vae", 5000)
    with pytest.raises(UserError, match="vae: this sweep was moved or copied"):
        examine(moved.home, print)
    said: list[str] = []
    relocate(moved.home, said.append)
    assert said == ["sweep vae", f"{moved.home} no longer names {home}."]
    assert moved.status()["tracking_uri"] == f"sqlite:///{moved.home / 'mlflow.db'}" and moved.status()["links"]


def test_where_the_database_was_left_behind_no_link_is_told_and_the_sweep_is_sent_again(
    moved: SweepFolder, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (moved.home / "mlflow.db").unlink()
    with pytest.raises(UserError, match="this sweep was moved or copied"):
        examine(moved.home, print)
    relocate(moved.home, print)
    assert not (moved.path / "tracking.json").exists() and is_behind(moved.path)
    monkeypatch.setattr(ui, "_is_free", lambda port: True)
    with pytest.raises(UserError, match=r"mlflow\.db: there is no such database"):
        serve(moved.home, "vae", 5000)
    assert not (moved.home / "mlflow.db").exists() and not home.exists()
    follow(moved.path, once=True)
    assert moved.steps(1) == [1] and moved.artifacts(1)


def test_an_underscore_in_a_path_is_no_other_character(home: Path, tmp_path: Path) -> None:
    there = home.rename(tmp_path / "my_runs")
    sweep, neighbour = (
        SweepFolder(there),
        SweepFolder(tmp_path / "my-runs", "other", f"sqlite:///{there / 'mlflow.db'}"),
    )
    for each in (sweep, neighbour):
        each.start(search_space=each.name)
        each.whole_trial(1)
        follow(each.path, once=True)
    untouched = neighbour.run(1, "other").info.artifact_uri
    new = SweepFolder(there.rename(tmp_path / "new"))
    neighbour.uri = new.uri
    relocate(new.home, print)
    assert Path(new.run(1).info.artifact_uri).is_relative_to(new.home)
    assert neighbour.run(1, "other").info.artifact_uri == untouched


def test_paths_that_only_end_alike_are_left(moved: SweepFolder, home: Path) -> None:
    left = f"corpus: {{root: /mnt{home}/recordings, other: {home}-2/recordings, all: {home}}}\n"
    (moved.path / "search_space.yaml").write_text(left)
    relocate(moved.home, print)
    assert (moved.path / "search_space.yaml").read_text() == left.replace(f"all: {home}", f"all: {moved.home}")


def test_a_database_that_somebody_chose_is_no_sign_of_a_move(home: Path, tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "mine", uri=f"sqlite:///{home / 'mlflow.db'}")
    sweep.start()
    sweep.whole_trial(1)
    follow(sweep.path, once=True)
    examine(sweep.home, print)


def test_a_home_in_which_a_sweep_runs_stays_where_it_is(moved: SweepFolder) -> None:
    with moved.driven(), pytest.raises(UserError, match="vae runs in it; stop it first"):
        relocate(moved.home, print)


def test_a_sound_home_has_nothing_wrong(home: Path) -> None:
    said: list[str] = []
    examine(home, said.append)
    assert said[-1] == "Nothing is wrong."
    assert any(line.startswith("CPUs: ") for line in said)
    assert any(line.startswith("GPUs: ") for line in said)


def test_a_home_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't write here"):
        examine(tmp_path / "file" / "home", print)

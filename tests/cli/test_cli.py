"""What the commands refuse before they start anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import UserError
from orchestrator.overview.screen import Screen
from orchestrator.search_space.reader import read_search_space
from tests.support.spaces import write_space

NOWHERE = r"corpus\.root: .*nowhere: No such file or directory; a folder with one sub-folder of audio or video files"


def call(*arguments: str) -> Result:
    """Run a command in this process; its exception is in the result."""
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def space(tmp_path: Path) -> Path:
    return write_space(tmp_path / "tiny.yaml", corpus={"name": "folder", "root": str(tmp_path / "nowhere")})


@pytest.mark.parametrize("verb", ["plan", "sweep", "try"])
def test_a_corpus_that_is_not_there_is_refused_before_anything_starts(space: Path, tmp_path: Path, verb: str) -> None:
    result = call(verb, str(space), "--home", str(tmp_path / "home"))
    with pytest.raises(UserError, match=NOWHERE):
        raise result.exception or AssertionError("it ended without a word")
    assert "MLflow" not in result.output
    assert not (tmp_path / "home" / "tiny").exists()


def test_a_corpus_without_classes_is_refused_by_a_plan(space: Path, tmp_path: Path) -> None:
    (tmp_path / "nowhere").mkdir()
    result = call("plan", str(space))
    assert str(result.exception) == (
        f"corpus.root: {tmp_path / 'nowhere'}: has no sub-folder; one of audio or video files per class is needed"
    )
    vegas = call("plan", str(space), "--set", "corpus.name=vegas")
    assert "no VEGAS here" in str(vegas.exception)


def test_no_search_space_runs_before_the_corpora_of_all_are_found(space: Path, tmp_path: Path) -> None:
    write_space(tmp_path / "another.yaml", name="another")
    result = call("sweep", str(tmp_path), "--home", str(tmp_path / "home"))
    assert "nowhere" in str(result.exception)
    assert not (tmp_path / "home" / "another").exists()


def test_the_dashboard_in_the_environment_is_where_drivers_are_sent_and_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:9")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    space = write_space(tmp_path / "tiny.yaml")
    sent = call("sweep", str(space), "--detach", "--home", str(tmp_path / "home"))
    assert "which is what is sent to the cluster" in str(sent.exception)
    for verb in ("status", "stop"):
        assert "--address http://127.0.0.1:9: no dashboard answers there" in str(call(verb, "tiny").exception)


def test_a_folder_without_search_spaces_is_refused(tmp_path: Path) -> None:
    result = call("sweep", str(tmp_path))
    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith(f"{tmp_path}: has no search space; a folder with files named *.yaml")


@pytest.mark.parametrize("has_one_class", [False, True])
def test_a_sweep_that_does_not_get_over_its_corpus_says_nothing_of_mlflow(
    space: Path, tmp_path: Path, home: Path, has_one_class: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if has_one_class:
        (tmp_path / "nowhere" / "rain").mkdir(parents=True)
    with pytest.raises(UserError, match="has no recording" if has_one_class else NOWHERE):
        run_sweep(read_search_space(space), home, Screen())
    assert "MLflow" not in capsys.readouterr().out

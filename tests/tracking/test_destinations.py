"""The MLflow of a sweep: what the variable names, else where the sweep is, else the home's own file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.commands.report import read_markdown
from orchestrator.machines.jobs import make_variables
from orchestrator.tracking.__main__ import follow
from orchestrator.tracking.sender import VARIABLE, choose_destination, is_behind, shared_uri, tracking_uri
from tests.support.sweep_folder import SweepFolder

SERVER = "http://ada:secret@mlflow.lab:5000"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def chosen(sweep: SweepFolder) -> tuple[str | None, str | None, list[str]]:
    """The URI and the artifact root with which a driver goes on, and what it says."""
    said: list[str] = []
    destination = choose_destination(sweep.home, sweep.name, said.append)
    return destination["tracking_uri"], destination["artifact_root"], said


def test_a_sweep_goes_on_where_it_was_without_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = SweepFolder(tmp_path, uri=SERVER, artifact_root=None)
    monkeypatch.setenv(VARIABLE, SERVER)
    assert chosen(sweep) == (SERVER, None, [])
    sweep.start()
    assert chosen(sweep) == (SERVER, None, [])
    monkeypatch.delenv(VARIABLE)
    assert chosen(sweep) == (SERVER, None, [])
    other = "http://other:5000"
    monkeypatch.setenv(VARIABLE, other)
    line = f"MLflow: all of vae is sent to {other} ({VARIABLE}), no longer to http://mlflow.lab:5000"
    assert chosen(sweep) == (other, None, [line])
    sweep.event("redirected", tracking_uri=other, artifact_root=None)
    monkeypatch.delenv(VARIABLE)
    assert chosen(sweep) == (other, None, [])
    # New sweeps of the home are not concerned.
    assert tracking_uri(tmp_path) == tracking_uri(tmp_path, "new") == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_homes_own_file_moves_with_the_home(tmp_path: Path) -> None:
    first = SweepFolder(tmp_path / "first")
    first.start()
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    second = SweepFolder(tmp_path / "second")
    assert chosen(second) == (f"sqlite:///{tmp_path}/second/mlflow.db", f"{tmp_path}/second/artifacts", [])
    # A file elsewhere, which somebody has named, stays where it is.
    second.event("redirected", tracking_uri="sqlite:////data/all.db", artifact_root=second.artifact_root)
    assert chosen(second)[0] == "sqlite:////data/all.db"


def test_who_reads_a_sweep_looks_where_it_was_sent(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_database, tmp_path / "all.db")
    sweep = SweepFolder(tmp_path / "home", uri=f"sqlite:///{tmp_path / 'all.db'}")
    sweep.start()
    sweep.whole_trial(1)
    sweep.close()
    follow(sweep.path, once=True)
    assert "loss=vae" in read_markdown(sweep.home, "vae")
    # Named, another MLflow gets everything the next time.
    assert not is_behind(sweep.path)
    monkeypatch.setenv(VARIABLE, sweep.uri)
    assert not is_behind(sweep.path)
    monkeypatch.setenv(VARIABLE, SERVER)
    assert is_behind(sweep.path)


@pytest.mark.parametrize(
    ("uri", "is_shared"),
    [
        (SERVER, True),
        ("postgresql+psycopg2://mlflow@db/mlflow", True),
        ("http://localhost:5000", False),
        ("http://127.0.0.1:5000", False),
        ("sqlite:////home/ada/mlflow.db", False),
        ("", False),
    ],
)
def test_a_job_gets_an_address_that_its_cluster_can_use(
    monkeypatch: pytest.MonkeyPatch, uri: str, is_shared: bool
) -> None:
    monkeypatch.setenv(VARIABLE, uri)
    assert shared_uri() == (uri if is_shared else None)
    assert make_variables().get(VARIABLE) == shared_uri() and make_variables()["PYTHONUNBUFFERED"] == "1"

"""`orchestrate init`: examples as files of one's own, from the repository and from a wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.init import find_examples, write_example, write_own
from orchestrator.errors import UserError
from orchestrator.search_space.reader import read_search_space

ROOT = Path(__file__).parents[2]
EXAMPLES = find_examples()


def test_every_search_space_of_the_repository_is_an_example_with_a_question() -> None:
    shipped = {path.stem for folder in ("search_spaces", "docs/examples") for path in (ROOT / folder).glob("*.yaml")}
    assert set(EXAMPLES) == shipped
    assert all(len(example.question) > 10 and example.question[-1] in ".?" for example in EXAMPLES.values())


def test_without_a_name_the_examples_are_listed_in_a_line_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(app, ["init"]).output.splitlines()
    assert [line.split()[0] for line in listed[:-1]] == list(EXAMPLES)
    vae = next(line for line in listed if line.startswith("vae "))
    assert vae.split(maxsplit=1)[1].startswith("Does a variational bottleneck cost sound quality")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_search_space_wherever_it_is_written(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    written = write_example(name, Path(), said.append)
    assert [str(path) for path in written] == [f"{name}{file.suffix}" for file in EXAMPLES[name].files]
    assert read_search_space(written[0]).name == name
    text = written[0].read_text()
    assert f"# orchestrate sweep {name}.yaml" in text
    assert "search_spaces/" not in text and "docs/examples" not in text and "$schema" not in text
    assert said[-1].endswith(f"orchestrate sweep {name}.yaml")


def test_the_page_about_scripts_shows_the_file_that_is_written(tmp_path: Path) -> None:
    space, _ = write_example("script", tmp_path, print)
    page = (ROOT / "docs" / "own_trainables.md").read_text()
    assert f"```yaml\n{space.read_text()}```\n" in page


def test_a_trainable_of_ones_own_gets_a_name_of_ones_own(tmp_path: Path) -> None:
    written = write_own("my_vae", tmp_path / "new", print)
    assert [path.name for path in written] == ["my_vae.yaml", "my_vae.py"]
    sweep = read_search_space(written[0])
    assert (sweep.name, sweep.space.trainable) == ("my_vae", str(written[1]))


@pytest.mark.parametrize("present", ["my_net.yaml", "my_net.py"])
def test_nothing_is_overwritten(present: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / present).write_text("mine")
    with pytest.raises(UserError, match=rf"^{present}: already exists, and nothing was written") as caught:
        write_own(None, Path(), print)
    assert caught.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == [present]
    assert (tmp_path / present).read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vea"], r"^vea: no such example \(did you mean 'vae'\?\); there are: as_reported, "),
        (["--own", "my-net"], r"^'my-net': needs the name of a Python file"),
        (["vae", "--out", "file"], r"^file: can't be written to \(File exists\); give another folder"),
    ],
)
def test_what_can_not_be_written_is_one_message(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=message):
        CliRunner().invoke(app, ["init", *arguments], catch_exceptions=False)


def test_names_are_completed_with_their_questions() -> None:
    command = get_command(app).commands["init"]
    context = command.make_context("init", [])
    items = command.params[0].shell_complete(context, "vae")
    assert [item.value for item in items] == ["vae", "vae_sigma"]
    assert items[0].help.startswith("Does a variational bottleneck")


def test_the_examples_come_with_the_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheel")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheel").iterdir()
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", "import avsweep; avsweep.main()", "init", "two_moons"],
        cwd=tmp_path / "here",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["two_moons.py", "two_moons.yaml"]

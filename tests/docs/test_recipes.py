"""docs/recipes.md is copied into a folder as it stands, and its commands are run there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.search_space.reader import read_search_space

ROOT = Path(__file__).parents[2]
RECIPES = (ROOT / "docs" / "recipes.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = BLOCK.findall(RECIPES)
FILES = {text.partition("\n")[0].removeprefix("# "): text for language, text in BLOCKS if language != "sh"}
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
SMALL = {
    "my_losses.yaml": (
        *("compare.loss=[charbonnier]", "params.lr=1e-3", "budget.trials_per_arm=1", "budget.max_epochs=1"),
    ),
    "my_painter.yaml": ("params.width=16", "budget.trials_per_arm=1", "budget.max_epochs=2"),
}
"""Smaller sweeps, for a test."""


@pytest.fixture
def folder(tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all recipes in it, and the sounds of the recipe for a corpus; it becomes the current one."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "sounds").mkdir()
    for sound in tiny_corpus.glob("*/*.wav"):
        shutil.copy(sound, tmp_path / "sounds" / f"{sound.parent.name}_{sound.stem[-1]}.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def orchestrate(command: str, home: Path, *options: str, exit_code: int = 0) -> str:
    """Run a command in a process of its own, as somebody who copied the recipe would."""
    words = shlex.split(command)
    assert words[0] == "orchestrate"
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *words[1:], *options, "--home", str(home)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == exit_code, done.stdout
    return done.stdout


def options_of(name: str) -> list[str]:
    return [word for value in SMALL[name] for word in ("--set", value)]


def commands_of(verb: str) -> list[str]:
    return [command for command in COMMANDS if command.startswith(f"orchestrate {verb} ")]


def test_every_block_is_a_file_with_a_name_or_commands() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "yaml", "sh"}
    for language, text in BLOCKS:
        if language != "sh":
            assert re.match(r"# \w+\.(py|yaml)\n", text), text
    assert all(line.startswith("orchestrate ") for line in COMMANDS)


@pytest.mark.parametrize("name", FILES)
def test_a_command_uses_every_file(name: str) -> None:
    spaces = [text for other, text in FILES.items() if other.endswith(".yaml")]
    assert any(name in text for text in (*COMMANDS, *spaces))


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml")])
def test_a_search_space_can_be_planned(name: str, folder: Path) -> None:
    assert read_search_space(Path(name)).name == Path(name).stem
    planned = CliRunner().invoke(app, ["plan", name, "--home", str(folder / "home")], catch_exceptions=False)
    assert planned.exit_code == 0
    assert planned.output.split(":")[0].strip() == Path(name).stem
    assert_it_does_what_it_seems_to(planned.output)


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_example_does_what_it_seems_to(path: Path, tmp_path: Path) -> None:
    planned = CliRunner().invoke(app, ["plan", str(path), "--home", str(tmp_path)], catch_exceptions=False)
    assert_it_does_what_it_seems_to(planned.output)


def assert_it_does_what_it_seems_to(plan: str) -> None:
    """Check that seeds are repeated for a test, and that a sampler that is named in the plan proposes a trial."""
    assert "proposes nothing" not in plan
    assert "there is no baseline" not in plan


@pytest.mark.parametrize("command", commands_of("check"))
def test_what_a_recipe_defines_holds_all_promises(
    command: str, folder: Path, tiny_corpus: Path, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = {"name": "folder", "root": str(tiny_corpus)}
    monkeypatch.setattr("orchestrator.commands.check.DEMO", demo)
    _, verb, name = shlex.split(command)
    options = ["--home", str(tiny_home)]
    # The demo corpus takes a minute to make.
    if name.endswith(".yaml") and "name: demo" in FILES[name]:
        options += ["--set", "corpus.name=folder", "--set", f"corpus.root={tiny_corpus}"]
    checked = CliRunner().invoke(app, [verb, name, *options], catch_exceptions=False)
    assert checked.exit_code == 0, checked.output
    assert re.search(r"all \d+ promises hold$", checked.output.strip())


@pytest.mark.parametrize("command", [*commands_of("try"), *(c for c in commands_of("plan") if "--preset" in c)])
def test_other_commands_of_recipes_run(command: str, folder: Path) -> None:
    words = shlex.split(command)[1:]
    done = CliRunner().invoke(app, [*words, "--home", str(folder / "home")], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.mark.long
def test_the_recipe_for_a_loss_trains(folder: Path, tiny_corpus: Path, tiny_home: Path) -> None:
    (command,) = (command for command in commands_of("sweep") if "my_losses.yaml" in command)
    on_tiny = ("--set", "corpus.name=folder", "--set", f"corpus.root={tiny_corpus}")
    shown = orchestrate(command, tiny_home, *options_of("my_losses.yaml"), *on_tiny)
    assert "loss=charbonnier" in shown
    assert "completed after 1 epoch" in shown
    assert (tiny_home / "reports" / "my_losses.html").exists()


@pytest.mark.long
def test_the_recipe_that_generates_paints_a_picture(folder: Path, tiny_corpus: Path, tiny_home: Path) -> None:
    shutil.copy(tiny_corpus / "siren" / "take 0.wav", folder / "siren.wav")
    (sweep,) = (command for command in commands_of("sweep") if "my_painter.yaml" in command)
    on_tiny = ("--set", "corpus.name=folder", "--set", f"corpus.root={tiny_corpus}")
    orchestrate(sweep, tiny_home, *options_of("my_painter.yaml"), *on_tiny)
    (command,) = commands_of("generate")
    shown = orchestrate(command, tiny_home)
    assert re.search(r"^my_painter/1 \(.*\), epoch \d: mse 0\.\d\d on validation$", shown, re.MULTILINE)
    assert Image.open(folder / "out" / "siren_1.png").size == (16, 16)
    orchestrate("orchestrate promote my_painter --as painter", tiny_home)
    (folder / "my_painter.py").unlink()
    shown = orchestrate(
        "orchestrate generate siren.wav --model models:/painter@champion -o again/ --count 1", tiny_home
    )
    assert (folder / "again" / "siren_1.png").read_bytes() == (folder / "out" / "siren_1.png").read_bytes(), shown

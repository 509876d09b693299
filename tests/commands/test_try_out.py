"""`orchestrate try`: one trial of an arm in this process, and nothing of the other arms."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator.commands.try_out import try_out
from orchestrator.errors import UserError
from orchestrator.overview.screen import Screen
from orchestrator.search_space.reader import Sweep, read_search_space
from tests.support.spaces import write_space


@pytest.fixture
def sweep(tiny_corpus: Path, tmp_path: Path) -> Sweep:
    space = write_space(
        tmp_path / "weights.yaml",
        name="weights",
        trainable="image_to_sound",
        corpus={"name": "folder", "root": str(tiny_corpus)},
        objective={"metric": "val/judge_probability", "mode": "max"},
        compare={"weights": ["none", "imagenet"], "route": ["decode", "retrieve"]},
        params={"backbone": "resnet18", "spectrogram": "24x64", "latent_dim": 8, "width": 8, "image_size": 32},
    )
    return read_search_space(space)


def test_an_arm_is_tried_without_what_only_others_need(
    sweep: Sweep, tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    try_out(sweep, tiny_home, Screen(), "weights=none,route=retrieve")
    told = capsys.readouterr().out
    assert told.startswith("route=retrieve, weights=none: ")
    assert "val/judge_probability" in told and "rendered: " in told
    assert not (tmp_path / "torch").exists(), "weights of another arm were asked for"
    assert not (tiny_home / "weights").exists(), "nothing is recorded"


def test_an_arm_that_there_is_not_is_refused_with_those_that_there_are(sweep: Sweep, tiny_home: Path) -> None:
    with pytest.raises(
        UserError, match=r"--arm route=none: .*weights\.yaml has no such arm; it has: route=decode, weights=none;"
    ):
        try_out(sweep, tiny_home, Screen(), "route=none")


FAILING = """
import sys
if sys.argv[1] != "20":
    print("this many epochs:", sys.argv[1])
print("reading the data")
sys.exit("no such table")
"""


def test_a_command_that_fails_is_one_message_with_its_last_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "train.py").write_text(FAILING)
    space = write_space(
        tmp_path / "script.yaml",
        trainable={
            "command": [sys.executable, "train.py", "{max_epochs}", "{x}"],
            "metrics": {"val/loss": r"loss (\S+)"},
        },
        objective={"metric": "val/loss", "mode": "min"},
        compare=None,
        budget={"trials_per_arm": 6, "max_epochs": 20},
    )
    with pytest.raises(UserError) as error:
        try_out(read_search_space(space), tmp_path / "home", Screen(), None)
    assert str(error.value) == (
        "train.py ended with exit code 1; its last line: no such table; correct it, or run the command above by "
        "itself; nothing was recorded"
    )
    shown = capsys.readouterr().out
    assert shown.endswith("  reading the data\n  no such table\n")
    (log,) = tmp_path.glob("orchestrate-try-*/output.log")
    assert f"its output is in {log}" in shown


def test_a_command_that_works_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "train.py").write_text("print('loss 0.25')")
    space = write_space(
        tmp_path / "script.yaml",
        trainable={"command": [sys.executable, "train.py", "{x}"], "metrics": {"val/loss": r"loss (\S+)"}},
        objective={"metric": "val/loss", "mode": "min"},
        compare=None,
    )
    try_out(read_search_space(space), tmp_path / "home", Screen(), None)
    assert re.search(r"val/loss +0.25$", capsys.readouterr().out.strip())
    assert not list(tmp_path.glob("orchestrate-try-*"))

"""`orchestrate try`: one trial of an arm in this process, and nothing of the other arms."""

from __future__ import annotations

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

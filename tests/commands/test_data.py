"""`orchestrate data …`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from click.testing import Result
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.data.check import CacheWrong
from orchestrator.errors import UserError
from tests.support.spaces import write_space

RATE_HZ = 22_050
SEARCH_SPACES = Path(__file__).parents[2] / "search_spaces"


def call(*arguments: str | Path, exception: type[Exception] | None = None) -> Result:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)], env={"COLUMNS": "120"})
    assert isinstance(result.exception, exception or type(None)), result.exception
    return result


def write_sound(path: Path, seed: int, duration_s: float = 4.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal(int(duration_s * RATE_HZ))
    soundfile.write(path, noise, RATE_HZ)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("[dog]", "rain")):
        for index in range(3):
            write_sound(tmp_path / "sounds" / name / f"{index}.wav", 10 * number + index)
    return tmp_path / "sounds"


def cells(output: str) -> dict[str, list[str]]:
    """The rows of the table, by class."""
    rows = [line.replace("│", " ").split() for line in output.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) == 8}


def test_prepare_shows_each_class_and_what_was_left_out(root: Path, tmp_path: Path) -> None:
    (root / "rain" / "broken.mp3").write_bytes(b"no sound")
    (root / "fog" / "mute.wav").parent.mkdir()
    soundfile.write(root / "fog" / "mute.wav", np.zeros(RATE_HZ), RATE_HZ)
    result = call("prepare", "folder", "--root", root, "--home", tmp_path / "home")
    rows = cells(result.output)
    assert rows["[dog]"] == ["3", "6", "0.00", "1", "1", "1", "0"]
    assert rows["rain"] == ["3", "6", "0.00", "1", "1", "1", "1"]
    assert rows["fog"] == ["0", "0", "0.00", "0", "0", "0", "1"]
    assert "skipped: 1 file: silent, such as fog/mute.wav" in result.output
    (path,) = (tmp_path / "home" / "cache").glob("*/skipped.csv")
    assert str(path) in result.output
    skipped = pd.read_csv(path)
    assert list(skipped.columns) == ["recording", "class", "reason"]
    assert set(skipped["recording"]) == {"fog/mute.wav", "rain/broken.mp3"}


def test_check_finds_what_is_new_and_what_is_damaged(root: Path, tmp_path: Path) -> None:
    arguments = ("folder", "--root", root, "--home", tmp_path / "home")
    result = call("check", *arguments, exception=CacheWrong)
    assert "6 recordings new or changed" in str(result.exception)
    call("prepare", *arguments)
    assert "6 recordings in 1 shard: every checksum is right" in call("check", *arguments).output
    write_sound(root / "rain" / "new.wav", 50)
    assert "not prepared: rain/new.wav" in call("check", *arguments, exception=CacheWrong).output
    call("prepare", *arguments)

    shard = max((tmp_path / "home" / "cache").glob("clips-*/*.npy"), key=lambda path: path.stat().st_size)
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    result = call("check", *arguments, exception=CacheWrong)
    assert f"damaged: {shard}: " in result.output and "1 shard damaged; delete" in str(result.exception)
    assert "data prepare decodes their sounds again" in str(result.exception)
    assert CacheWrong.exit_code == 1
    shard.write_bytes(whole[:100_000])
    call("check", *arguments, exception=CacheWrong)
    shard.unlink()
    shard.with_suffix(".jsonl").unlink()
    call("prepare", *arguments)
    assert "7 recordings in 2 shards: every checksum is right" in call("check", *arguments).output


def test_size_estimates_what_a_search_space_takes(root: Path, tmp_path: Path) -> None:
    # What follows ` #` is no comment.
    root = root.rename(tmp_path / "sounds #2 🐕")
    settings = ("--set", "corpus.name=folder", "--root", root, "--set", "params.spectrogram=24x64")
    output = call("size", SEARCH_SPACES / "vae.yaml", *settings, "--home", tmp_path / "home").output
    assert "6 recordings, 12 clips (estimated from the durations of 6 files)" in output
    assert "clips: 1 MB" in output
    assert f"spectrogram log_power-linear-24x64-pool: {12 * 24 * 64 * 2 / 1000:.0f} kB" in output
    output = call("size", SEARCH_SPACES / "channels.yaml", *settings, "--home", tmp_path / "home").output
    for quantity in ("log_power", "instantaneous_frequency", "angle"):
        assert f"spectrogram {quantity}-linear-24x64-pool: 37 kB" in output
    long = (*settings, "--set", "corpus.clip_s=4", "--set", "corpus.hop_s=2")
    output = call("size", SEARCH_SPACES / "vae.yaml", *long, "--home", tmp_path / "home").output
    assert f"spectrogram log_power-linear-24x64-pool: {6 * 48 * 64 * 2 / 1000:.0f} kB" in output
    assert not (tmp_path / "home").exists(), "nothing is decoded"


def test_a_search_space_names_its_corpus(root: Path, tmp_path: Path) -> None:
    space = write_space(tmp_path / "tiny.yaml", corpus={"name": "folder", "root": "nowhere"})
    moved = shutil.copytree(root, tmp_path / "moved")
    output = call("prepare", space, "--root", moved, "--home", tmp_path / "home").output
    assert "corpus folder" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("foldr",), "unknown corpus 'foldr'. Did you mean 'folder'?"),
        (("folder",), "corpus folder: needs root; give it with --root DIR"),
        (("folder", "--root", "nowhere"), "nowhere: No such file or directory"),
        (("esc50", "--root", ".", "--set", "test_fold=9"), "corpus esc50: test_fold: "),
        (
            ("esc50", "--root", ".", "--set", "rate_hzz=9"),
            "unknown setting 'rate_hzz' (did you mean 'rate_hz'?); it has: ",
        ),
        (("demo", "--set", "seed"), "--set seed: a setting of the corpus is needed"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_refused(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = call("prepare", *arguments, "--home", tmp_path / "home", exception=UserError)
    assert message in str(result.exception) and "\n" not in str(result.exception)
    assert not (tmp_path / "home").exists()

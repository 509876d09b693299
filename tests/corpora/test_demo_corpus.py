"""The demo corpus: what is in its files, and that it is always written whole and the same."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from trainables.corpora.demo.canvas import Canvas
from trainables.corpora.demo.recording import RECIPES, make_recording
from trainables.corpora.demo.scene import FRAMES, RATE_HZ, SAMPLES, Latent
from trainables.corpora.demo.signal import noise
from trainables.corpora.demo.write import write_demo
from trainables.errors import InputError

CLASSES = "baby_cry chainsaw dog drum fireworks helicopter printer rail_transport snoring water_flowing".split()


def hashes(root: Path) -> dict[str, str]:
    """SHA-256 of every file of a recording, by its path under the root."""
    files = (path for path in sorted(root.glob("data/*/*/*")))
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def stamps(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.glob("data/**/*") if path.is_file()}


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording a class, written by two workers."""
    return write_demo(tmp_path_factory.mktemp("single"), recordings_per_class=1, workers=2)


@pytest.fixture(scope="module")
def double(single: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same corpus after it grew to two recordings a class."""
    root = tmp_path_factory.mktemp("double")
    shutil.copytree(single, root, dirs_exist_ok=True)
    return write_demo(root, recordings_per_class=2, workers=2)


@pytest.fixture(scope="module")
def sounds(double: Path) -> NDArray[np.float64]:
    """Every sound of the corpus in ±1; shape (classes, recordings, samples)."""
    paths = [double / "data" / name / "audios" / f"video_{index:05d}.wav" for name in CLASSES for index in range(2)]
    return np.array([soundfile.read(path)[0] for path in paths]).reshape(len(CLASSES), 2, -1)


def decode(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32], int]:
    """Frames, sound and sampling rate of an mp4."""
    with av.open(str(path)) as container:
        frames = np.array([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
        return frames, sound, container.streams.audio[0].rate


def test_layout_is_that_of_vegas_and_classes_are_balanced(double: Path) -> None:
    expected = {
        f"data/{name}/{kind}/video_{index:05d}.{suffix}"
        for name in CLASSES
        for kind, suffix in (("videos", "mp4"), ("audios", "wav"), ("img", "jpg"))
        for index in range(2)
    }
    assert set(hashes(double)) == expected
    rows = list(csv.DictReader((double / "data/dog/video_info.csv").open()))
    assert [row["YTID"] for row in rows] == ["PROC_dog_0", "PROC_dog_1"]
    assert (rows[0]["start_second"], rows[0]["end_second"]) == ("0", "10")


def test_a_larger_corpus_only_adds_files(single: Path, double: Path) -> None:
    assert hashes(single).items() < hashes(double).items()


def test_a_smaller_corpus_asked_for_later_cuts_nothing(double: Path) -> None:
    before = stamps(double)
    write_demo(double, recordings_per_class=1)
    assert stamps(double) == before


def test_a_recording_is_the_same_in_any_process(double: Path) -> None:
    for name in ("dog", "water_flowing"):
        recording = make_recording(name, 1, seed=0)
        for kind, suffix, content in zip(("videos", "img", "audios"), recording._fields, recording, strict=True):
            assert (double / "data" / name / kind / f"video_00001.{suffix}").read_bytes() == content


def test_another_seed_gives_another_recording() -> None:
    assert all(one != other for one, other in zip(*(make_recording("drum", 0, seed) for seed in (0, 1)), strict=True))


def test_recordings_differ(double: Path) -> None:
    assert len(set(hashes(double).values())) == len(hashes(double)) == 3 * 2 * len(CLASSES)


def test_a_complete_corpus_is_left_alone(single: Path) -> None:
    before, calls = stamps(single), []
    write_demo(single, recordings_per_class=1, progress=lambda *call: calls.append(call))
    assert stamps(single) == before
    assert not calls


@pytest.mark.parametrize(
    "torn", ["videos/video_00000.mp4", "audios/video_00000.wav", "img/video_00000.jpg", "video_info.csv"]
)
def test_a_torn_corpus_is_completed(single: Path, tmp_path: Path, torn: str) -> None:
    shutil.copytree(single, tmp_path, dirs_exist_ok=True)
    index = (single / "data/snoring/video_info.csv").read_text()
    (tmp_path / "data/snoring" / torn).unlink()
    calls: list[tuple[str, int, int]] = []
    write_demo(tmp_path, recordings_per_class=1, progress=lambda *call: calls.append(call))
    assert hashes(tmp_path) == hashes(single)
    assert (tmp_path / "data/snoring/video_info.csv").read_text() == index
    assert calls == ([] if torn.endswith("csv") else [("writing the demo corpus", 10, 10)])


def test_a_kill_leaves_no_worker_and_nothing_half_written(single: Path, tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from trainables.corpora.demo.write import write_demo;"
        "write_demo(pathlib.Path(sys.argv[1]), recordings_per_class=1, workers=2)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    wait_until(lambda: any(tmp_path.glob("data/*/audios/*.wav")))
    workers = Path(f"/proc/{writer.pid}/task/{writer.pid}/children").read_text().split()
    assert len(workers) >= 2
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in workers))
    left = {path: digest for path, digest in hashes(tmp_path).items() if not path.endswith(".part")}
    assert 0 < len(left) < 30
    assert left.items() <= hashes(single).items()
    write_demo(tmp_path, recordings_per_class=1, workers=2)
    assert hashes(tmp_path) == hashes(single)


def wait_until(condition: Callable[[], bool], limit_s: float = 30) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_another_seed_is_refused(single: Path) -> None:
    with pytest.raises(InputError, match=r'"seed": 0.*asked for is .*"seed": 1.*; delete it'):
        write_demo(single, recordings_per_class=1, seed=1)


def test_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text(json.dumps({"seed": 0, "version": 0}))
    with pytest.raises(InputError, match=r'"version": 0'):
        write_demo(tmp_path, recordings_per_class=1)


def test_a_folder_of_other_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "dog").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no demo\.json"):
        write_demo(tmp_path, recordings_per_class=1)


def test_a_root_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Not a directory"):
        write_demo(tmp_path / "file" / "demo")


def test_the_mp4_has_the_frames_and_the_sound_of_the_wav(double: Path, sounds: NDArray[np.float64]) -> None:
    frames, sound, rate_hz = decode(double / "data/drum/videos/video_00000.mp4")
    assert frames.shape == (FRAMES, 128, 128, 3)
    assert rate_hz == RATE_HZ
    assert len(sound) >= SAMPLES
    priming = len(sound) - SAMPLES
    heard = max(np.corrcoef(sound[lag : lag + SAMPLES], sounds[3, 0])[0, 1] for lag in range(0, priming, 256))
    assert heard > 0.9


def test_the_jpg_is_the_middle_frame(double: Path) -> None:
    frames, _, _ = decode(double / "data/helicopter/videos/video_00000.mp4")
    with av.open(str(double / "data/helicopter/img/video_00000.jpg")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    distance = np.abs(frames.astype(int) - picture).mean(axis=(1, 2, 3))
    assert distance.argmin() == FRAMES // 2


def test_sounds_are_whole_and_neither_clipped_nor_silent(sounds: NDArray[np.float64]) -> None:
    assert sounds.shape == (len(CLASSES), 2, SAMPLES)
    assert (np.abs(sounds) >= 0.989).mean(axis=-1).max() <= 0.01
    clips = sounds.reshape(len(CLASSES), 2, 5, -1)
    assert np.sqrt((clips**2).mean(axis=-1)).min() > 1e-4


def test_level_does_not_tell_the_class(sounds: NDArray[np.float64]) -> None:
    level_db = 10 * np.log10((sounds.reshape(len(CLASSES), 2, 5, -1) ** 2).mean(axis=-1))
    means_db = level_db[:, 0].mean(axis=-1)
    guess = np.abs(level_db[:, 1, :, None] - means_db).argmin(axis=-1)
    assert (guess == np.arange(len(CLASSES))[:, None]).mean() < 0.35


@pytest.mark.parametrize("name", ["baby_cry", "chainsaw", "dog", "printer", "rail_transport"])
def test_larger_sources_sound_lower(name: str) -> None:
    def centre_hz(size: float) -> float:
        take = RECIPES[name].sound(np.random.default_rng(0), Latent(size, 0.5, 0.5, 0.5))
        power = np.abs(np.fft.rfft(take.sound)) ** 2
        frequency_hz = np.fft.rfftfreq(SAMPLES, 1 / RATE_HZ)
        audible = frequency_hz > 60
        return float(np.exp(np.average(np.log(frequency_hz[audible]), weights=power[audible])))

    assert centre_hz(0.9) < centre_hz(0.1)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_moves_more_than_its_camera(name: str) -> None:
    rng, latent = np.random.default_rng(0), Latent(0.5, 0.5, 0.5, 0.5)
    take = RECIPES[name].sound(rng, latent)

    def movement(of: str | None) -> float:
        canvas = Canvas(latent, np.random.default_rng(1))
        canvas.backdrop((0.2, 0.3, 0.4), (0.6, 0.5, 0.4))
        if of is not None:
            RECIPES[of].picture(np.random.default_rng(2), canvas, take, latent)
        return float(np.abs(np.diff(canvas.develop().astype(float), axis=0)).mean())

    assert movement(name) > 1.2 * movement(None)


def test_the_dog_moves_when_it_barks(double: Path, sounds: NDArray[np.float64]) -> None:
    for index in range(2):
        frames, _, _ = decode(double / f"data/dog/videos/video_{index:05d}.mp4")
        moved = np.abs(np.diff(frames.astype(float), axis=0)).mean(axis=(1, 2, 3))
        level = np.log(1e-3 + np.sqrt((sounds[2, index].reshape(FRAMES, -1) ** 2).mean(axis=1)))
        assert np.corrcoef(moved, np.abs(np.diff(level)))[0, 1] > 0.5


def test_noise_keeps_to_its_band_and_slope() -> None:
    frequency_hz = np.fft.rfftfreq(SAMPLES, 1 / RATE_HZ)
    sound = noise(np.random.default_rng(0), 500.0, 2000.0)
    power = np.abs(np.fft.rfft(sound)) ** 2
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(1)
    assert power[(frequency_hz > 350) & (frequency_hz < 2800)].sum() > 0.8 * power.sum()
    pink = np.abs(np.fft.rfft(noise(np.random.default_rng(0), 20.0, RATE_HZ / 2, slope=1.0))) ** 2
    octave_db = [10 * np.log10(pink[(frequency_hz > f) & (frequency_hz < 1.1 * f)].mean()) for f in (250, 2000)]
    assert octave_db[0] - octave_db[1] == pytest.approx(9, abs=1)

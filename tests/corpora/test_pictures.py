from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from trainables.corpora import folder as folder_layout
from trainables.corpora import vegas as vegas_layout
from trainables.corpora.corpus import Corpus
from trainables.corpora.opening import open_corpus
from trainables.corpora.picture_files import read_picture
from trainables.corpora.pictures import open_motion, open_pictures, read_frames, select_visible
from trainables.corpora.tree import Tree
from trainables.support.parallel import map_in_parallel
from trainables.support.progress import silent

FRAME_RATE_HZ = 25
RATE_HZ = 22050
SIDE = 32
COLOURS = ((200, 30, 30), (30, 220, 120), (30, 30, 200), (200, 200, 30), (60, 60, 60))
"""One a second; motion is seen in greys, so neighbours differ in brightness."""
CODEC_ERROR = 8


def noise(duration_s: float) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(int(duration_s * RATE_HZ))


def seconds_of(*colours: Sequence[int]) -> np.ndarray:
    """A second of each colour; shape (frames, side, side, 3)."""
    frames = np.array(colours, np.uint8).repeat(FRAME_RATE_HZ, axis=0)
    return np.broadcast_to(frames[:, None, None], (len(frames), SIDE, SIDE, 3))


def flicker(duration_s: float) -> np.ndarray:
    """Another random picture five times a second."""
    pictures = np.random.default_rng(0).integers(0, 256, (int(duration_s * 5), 4, 4, 3), np.uint8)
    return pictures.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2).repeat(FRAME_RATE_HZ // 5, axis=0)


def write_wav(path: Path, duration_s: float = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(duration_s), RATE_HZ)


def write_video(path: Path, frames: np.ndarray | None, *, video: str = "libx264", audio: str = "aac") -> None:
    """A video with sound of the same duration; of 2 s where it has no frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = None if frames is None else container.add_stream(video, rate=FRAME_RATE_HZ)
        sound = container.add_stream(audio, rate=RATE_HZ, layout="mono")
        if stream is not None and frames is not None:
            stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
            for index, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE_HZ)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        pcm = (noise(2 if frames is None else len(frames) / FRAME_RATE_HZ)[None] * 32767).astype(np.int16)
        samples = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        samples.sample_rate = RATE_HZ
        container.mux(sound.encode(samples))
        container.mux(sound.encode())


def write_picture(path: Path, colour: str, side: int = 20) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).save(path)


def open_folder(root: Path, home: Path) -> Corpus:
    return open_corpus({"name": "folder", "root": str(root)}, home)


def near(picture: np.ndarray, colour: Sequence[int]) -> bool:
    return bool(np.abs(picture.astype(int) - np.reshape(colour, (3, 1, 1))).max() <= CODEC_ERROR)


def rows_of(corpus: Corpus, *recordings: str) -> np.ndarray:
    return np.flatnonzero(corpus.clips["recording"].isin(recordings)).astype(np.int64)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Videos and sounds, of which some can be seen."""
    root = tmp_path_factory.mktemp("shown")
    write_video(root / "videos" / "colours.mp4", seconds_of(*COLOURS))
    write_video(root / "videos" / "still.mp4", np.broadcast_to(flicker(2)[:1], (50, SIDE, SIDE, 3)))
    write_video(root / "videos" / "flicker.mp4", flicker(2))
    write_video(root / "videos" / "blind.mp4", None)
    for name in ("alone", "beside", "broken", "small"):
        write_wav(root / "sounds" / f"{name}.wav", 4)
    write_picture(root / "sounds" / "beside.png", "red")
    write_picture(root / "sounds" / "small.png", "red", side=1)
    (root / "sounds" / "broken.jpg").write_text("no picture")
    corpus = open_folder(root, tmp_path_factory.mktemp("shown_home"))
    assert corpus.skipped == ()
    return corpus


def test_a_corpus_knows_what_shows_each_recording(shown: Corpus) -> None:
    names = {name: path.name for name, path in shown.pictures.items()}
    assert names == {
        "sounds/beside.wav": "beside.png",
        "sounds/broken.wav": "broken.jpg",
        "sounds/small.wav": "small.png",
        "videos/blind.mp4": "blind.mp4",
        "videos/colours.mp4": "colours.mp4",
        "videos/flicker.mp4": "flicker.mp4",
        "videos/still.mp4": "still.mp4",
    }
    assert all(path.is_absolute() and path.is_file() for path in shown.pictures.values())


def test_every_clip_has_the_frame_in_its_middle(shown: Corpus) -> None:
    pictures = open_pictures(shown, 16)
    assert pictures.shape == (len(shown.clips), 3, 16, 16)
    assert pictures.dtype == np.uint8
    first, second = pictures[rows_of(shown, "videos/colours.mp4")]
    assert near(first, COLOURS[1]) and near(second, COLOURS[3])


def test_every_clip_of_a_sound_has_the_picture_beside_it(shown: Corpus) -> None:
    pictures = open_pictures(shown, 16)[rows_of(shown, "sounds/beside.wav")]
    assert len(pictures) == 2
    assert all(near(picture, (255, 0, 0)) for picture in pictures)


@pytest.mark.parametrize("name", ["sounds/alone.wav", "sounds/broken.wav", "sounds/small.wav", "videos/blind.mp4"])
def test_what_cannot_be_seen_is_black_and_not_visible(shown: Corpus, name: str) -> None:
    pictures = open_pictures(shown, 16)
    rows = rows_of(shown, name)
    assert len(rows) and not pictures[rows].any()
    seen = select_visible(shown, pictures, shown.clips.index.to_numpy(np.int64))
    assert set(shown.clips["recording"][seen]) == {
        "sounds/beside.wav",
        "videos/colours.mp4",
        "videos/flicker.mp4",
        "videos/still.mp4",
    }


def test_a_black_picture_is_one(tmp_path: Path) -> None:
    for name in ("rain", "dog"):
        for index in range(3):
            write_wav(tmp_path / "sounds" / name / f"{index}.wav")
            write_picture(tmp_path / "sounds" / name / f"{index}.png", "black" if index else "white")
    corpus = open_folder(tmp_path / "sounds", tmp_path / "home")
    clips = corpus.clips.index.to_numpy(np.int64)
    assert select_visible(corpus, open_pictures(corpus, 16), clips).tolist() == clips.tolist()


def test_visible_clips_stay_in_their_order(shown: Corpus) -> None:
    wanted = rows_of(shown, "videos/colours.mp4", "sounds/beside.wav", "sounds/alone.wav")[::-1].copy()
    seen = select_visible(shown, open_pictures(shown, 16), wanted)
    assert list(seen) == [row for row in wanted if shown.clips["recording"][row] != "sounds/alone.wav"]


def test_a_still_video_hardly_moves_and_another_does(shown: Corpus) -> None:
    motion = open_motion(shown)
    assert motion.shape == (len(shown.clips), 20)
    still, moving = (motion[rows_of(shown, f"videos/{name}.mp4")] for name in ("still", "flicker"))
    assert still.min() >= 0 and still.max() < 0.01
    assert (moving > 0.1).sum() == 9, "another picture five times a second for 2 s"


def test_motion_is_where_the_picture_changes(shown: Corpus) -> None:
    first, second = open_motion(shown)[rows_of(shown, "videos/colours.mp4")]
    assert list(np.flatnonzero(first > 0.05)) == [10]
    assert list(np.flatnonzero(second > 0.05)) == [0, 10], "from the moment before a clip begins"


def test_without_a_video_motion_is_not_a_number(shown: Corpus) -> None:
    motion = open_motion(shown)
    unknown = set(shown.clips["recording"][np.isnan(motion).all(axis=1)])
    assert unknown == {
        "sounds/alone.wav",
        "sounds/beside.wav",
        "sounds/broken.wav",
        "sounds/small.wav",
        "videos/blind.mp4",
    }
    assert not np.isnan(motion[~shown.clips["recording"].isin(unknown)]).any()


def test_nothing_is_visible_where_there_are_only_sounds(tiny_corpus: Path, tmp_path: Path) -> None:
    for path in tiny_corpus.rglob("*.wav"):
        (tmp_path / "sounds" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "sounds" / path.parent.name / path.name).symlink_to(path)
    settings = {"name": "folder", "root": str(tmp_path / "sounds"), "follow_links": True}
    corpus = open_corpus(settings, tmp_path / "home")
    pictures = open_pictures(corpus, 16)
    assert corpus.pictures == {}
    assert not np.asarray(pictures).any()
    assert np.isnan(open_motion(corpus)).all()
    with pytest.raises(ValueError) as error:
        select_visible(corpus, pictures, corpus.indices("train"))
    assert str(error.value) == (
        "corpus folder has no picture that can be read; sound and image together need videos, or a picture of the same"
        " name beside each sound"
    )


def test_the_second_opening_reads_the_first_ones_file_and_other_pictures_are_read_again(tmp_path: Path) -> None:
    for name in ("dog", "rain"):
        for index in range(3):
            write_wav(tmp_path / "sounds" / name / f"{index}.wav")
    beside = tmp_path / "sounds" / "dog" / "0.bmp"

    def opened(size: int = 16) -> tuple[Corpus, np.ndarray]:
        corpus = open_folder(tmp_path / "sounds", tmp_path / "home")
        return corpus, np.asarray(open_pictures(corpus, size))

    def files(corpus: Corpus) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in corpus.folder.glob("pictures-*.npz")}

    write_picture(beside, "red")
    corpus, pictures = opened()
    written = files(corpus)
    assert near(pictures[0], (255, 0, 0))
    opened()
    assert len(written) == 1 and files(corpus) == written
    size_bytes = beside.stat().st_size
    write_picture(beside, "blue")
    assert beside.stat().st_size == size_bytes
    again, pictures = opened()
    assert again.folder == corpus.folder, "the sounds are the same"
    assert near(pictures[0], (0, 0, 255))
    beside.unlink()
    assert not opened()[1].any()
    opened(size=24)
    assert len(files(corpus)) == 4
    assert not list(corpus.folder.glob(".*.part"))


@pytest.mark.parametrize(
    ("name", "video", "audio"),
    [
        ("a.mp4", "libx264", "aac"),
        ("a.mkv", "libx264", "aac"),
        ("a.avi", "mpeg4", "pcm_s16le"),
        ("a.mpg", "mpeg1video", "mp2"),
    ],
)
def test_times_count_from_the_beginning_of_any_video(tmp_path: Path, name: str, video: str, audio: str) -> None:
    write_video(tmp_path / name, seconds_of(*COLOURS[:3]), video=video, audio=audio)
    times_s = [2.2, 0.0, 0.8, 1.2, 1.8, 0.8, 99.0, -1.0]
    frames = read_frames(tmp_path / name, times_s, 16)
    assert frames is not None and frames.shape == (8, 3, 16, 16)
    found = [next((k for k, colour in enumerate(COLOURS) if near(frame, colour)), None) for frame in frames]
    assert found == [2, 0, 0, 1, 1, 0, 2, 0]


def test_a_wide_video_is_cropped_around_its_centre(tmp_path: Path) -> None:
    frames = np.full((5, SIDE, 3 * SIDE, 3), COLOURS[0], np.uint8)
    frames[:, :, SIDE : 2 * SIDE] = COLOURS[1]
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE_HZ, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 3 * SIDE, SIDE, "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    pictures = read_frames(tmp_path / "wide.mp4", [0.1], 16)
    assert pictures is not None and near(pictures[0, :, 2:-2, 2:-2], COLOURS[1])


def test_a_video_that_cannot_be_read_has_no_frames(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    assert read_frames(tmp_path / "broken.mp4", [0.0], 16) is None
    assert read_frames(tmp_path / "missing.mp4", [0.0], 16) is None
    assert read_frames(tmp_path, [0.0], 16) is None
    write_video(tmp_path / "half.mp4", seconds_of(COLOURS[0]))
    (tmp_path / "half.mp4").write_bytes((tmp_path / "half.mp4").read_bytes()[:1000])
    assert read_frames(tmp_path / "half.mp4", [0.0], 16) is None


def test_beside_a_sound_a_picture_of_the_same_name_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "birds"
    for name in ("a.wav", "b.mp3", "c.flac", "d.wav", "e.wav"):
        write_wav((folder / name).with_suffix(".wav"))
        (folder / name).with_suffix(".wav").rename(folder / name)
    for name in ("a.webp", "a.jpg", "b.PNG", "c.txt", "ee.png"):
        (folder / name).write_bytes(b"")
    (folder / "d.png").mkdir()
    (folder / "film.MKV").write_bytes(b"")
    (folder / "film.png").write_bytes(b"")
    found = {each.name: each.picture and each.picture.name for each in folder_layout.find_recordings(Tree([tmp_path]))}
    assert found == {
        "birds/a.wav": "a.jpg",
        "birds/b.mp3": "b.PNG",
        "birds/c.flac": None,
        "birds/d.wav": None,
        "birds/e.wav": None,
        "birds/film.MKV": "film.MKV",
    }


def test_vegas_shows_the_video_and_otherwise_the_image(tmp_path: Path) -> None:
    dog, drum = tmp_path / "dog", tmp_path / "drum"
    for index in range(4):
        write_wav(dog / "audios" / f"video_0000{index}.wav")
        write_wav(drum / "audios" / f"video_0000{index}.wav")
    write_video(dog / "videos" / "video_00000.mp4", seconds_of(COLOURS[1], COLOURS[2]))
    write_picture(dog / "img" / "video_00000.jpg", "white")
    write_picture(dog / "img" / "video_00001.jpg", "red")
    (dog / "videos" / "video_00003.mp4").write_bytes(b"broken")
    recordings = vegas_layout.find_recordings(Tree([tmp_path]))
    found = {each.name: each.picture for each in recordings if each.class_name == "dog"}
    assert found == {
        "dog/video_00000": dog / "videos" / "video_00000.mp4",
        "dog/video_00001": dog / "img" / "video_00001.jpg",
        "dog/video_00002": None,
        "dog/video_00003": dog / "videos" / "video_00003.mp4",
    }
    corpus = open_corpus({"name": "vegas", "root": str(tmp_path)}, tmp_path / "home")
    pictures = open_pictures(corpus, 16)
    assert near(pictures[0], COLOURS[2]), "of the video, and not the image that was written beside it"
    assert near(pictures[1], (255, 0, 0))
    assert list(select_visible(corpus, pictures, np.arange(len(pictures)))) == [0, 1]
    assert list(np.flatnonzero(~np.isnan(open_motion(corpus)).any(axis=1))) == [0]


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})


@pytest.mark.usefixtures("two_cores")
def test_many_files_are_read_by_other_processes_and_stay_in_order(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(35)]
    for index, path in enumerate(paths):
        Image.new("L", (16, 16), 7 * index).save(path)
    told: list[tuple[str, int, int]] = []
    work = map_in_parallel(partial(read_picture, size=16), paths, "looking", lambda *report: told.append(report))
    assert [int(picture.mean()) for picture in work] == [7 * index for index in range(35)]
    assert told == [("looking", done, 35) for done in range(1, 36)]


@pytest.mark.usefixtures("two_cores")
def test_only_for_many_files_is_a_process_started() -> None:
    def process_ids(count: int) -> set[str]:
        return set(map_in_parallel(os.readlink, ["/proc/self"] * count, "asking", silent))

    assert process_ids(31) == {str(os.getpid())}
    assert str(os.getpid()) not in process_ids(32)
    assert process_ids(0) == set()


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("count", [3, 32])
def test_what_goes_wrong_with_a_file_is_raised(tmp_path: Path, count: int) -> None:
    paths = [tmp_path / "missing.png"] * count
    with pytest.raises(ValueError, match=f"{paths[0]}: No such file"):
        list(map_in_parallel(partial(read_picture, size=16), paths, "looking", silent))


def test_the_picture_of_a_longer_clip_is_later(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_video(tmp_path / "videos" / "seen" / f"{name}.mp4", seconds_of(*COLOURS))
        write_wav(tmp_path / "videos" / "heard" / f"{name}.wav", 4)
    settings = {"name": "folder", "root": str(tmp_path / "videos")}
    short, long = (open_corpus({**settings, "rate_hz": rate_hz}, tmp_path / "home") for rate_hz in (22_050, 11_025))
    assert (short.clip_s, long.clip_s) == (2, 4) and short.fingerprint != long.fingerprint
    first = [open_pictures(corpus, 16)[rows_of(corpus, "seen/a.mp4")[0]] for corpus in (short, long)]
    assert near(first[0], COLOURS[1]) and near(first[1], COLOURS[2])
